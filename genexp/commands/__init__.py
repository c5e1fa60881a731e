"""The subcommands, one file each, readable top to bottom."""

#: Commands whose name is no name of a module.
RENAMED = {"import": "import_checkpoint"}


def module_of(command: str) -> str:
    """Return the full name of the module of a subcommand."""
    return f"genexp.commands.{RENAMED.get(command, command)}"
