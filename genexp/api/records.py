"""The record of many runs, such as sweep.yaml: the command that was given, and what follows from it."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal, Self

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError

from genexp.config.words import Words
from genexp.files import write_atomically
from genexp.run import read_yaml, unreadable


class Record(BaseModel):
    """What every record says: the words of the command, the folder that it was given in, and ``--config-dir``."""

    model_config = ConfigDict(extra="forbid", strict=True)

    format: Literal[1] = 1
    typed: list[str]
    cwd: str
    config_dir: str | None

    @staticmethod
    def of(words: Words) -> dict[str, Any]:
        """Return what is recorded of a command that is given here and now."""
        config_dir = str(Path(words.config_dir).resolve()) if words.config_dir else None
        return {"typed": list(words.typed), "cwd": str(Path.cwd()), "config_dir": config_dir}

    @property
    def flags(self) -> tuple[str, ...]:
        """What stands before the overrides of each run."""
        return ("--config-dir", self.config_dir) if self.config_dir else ()

    @classmethod
    def read(cls, path: Path) -> Self:
        """Return the content of a record; raise a UserError if it is damaged."""
        try:
            return cls.model_validate(read_yaml(path))
        except ValidationError as error:
            raise unreadable(path, str(error).splitlines()[0]) from None

    def write(self, path: Path) -> None:
        """Write the record, whole or not at all."""
        content = yaml.safe_dump(self.model_dump(), sort_keys=False, allow_unicode=True, width=10_000)
        write_atomically(path, content)
