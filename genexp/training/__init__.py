"""The fit loop, optimisers and schedules, distribution strategies, resume."""
