"""The subcommands, one file each, readable top to bottom."""
