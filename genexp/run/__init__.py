"""The run directory: its files, its record, its lock."""
