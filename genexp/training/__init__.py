"""The fit loop, optimizers and schedules, distribution strategies, resume."""
