"""The run directory: its files, its exclusive creation, its record and its lock."""

from genexp.run.directory import (
    check_checkpoint,
    check_free,
    create,
    find_run,
    resume_command,
)
from genexp.run.lock import busy, is_being_written, sole_writer
from genexp.run.paths import CHECKPOINTS, RunDirectory
from genexp.run.record import FORMAT, package_versions, provenance, read_environment, read_metrics, read_yaml

__all__ = [
    "CHECKPOINTS",
    "FORMAT",
    "RunDirectory",
    "busy",
    "check_checkpoint",
    "check_free",
    "create",
    "find_run",
    "is_being_written",
    "package_versions",
    "provenance",
    "read_environment",
    "read_metrics",
    "read_yaml",
    "resume_command",
    "sole_writer",
]
