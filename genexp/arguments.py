"""The words behind a subcommand: flags, and overrides in Hydra's grammar."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.errors import HydraException

from genexp.errors import UserError

COMMAND_LINE = "the command line"

#: What ``--info`` shows, by Hydra's own names.
INFO = ("all", "config", "defaults", "defaults-tree", "plugins", "searchpath")


@dataclass(frozen=True)
class Arguments:
    """The words behind a subcommand.

    Attributes
    ----------
    overrides
        ``key=value`` words, parsed.
    multirun
        Whether ``-m`` was given.
    shows
        Whether Hydra is only to print something (``--cfg``, ``--info``, ...).
    only_config
        What ``--cfg`` is to print, when no flag of Hydra's goes with it.
    config_dir
        A folder with config files of the user's own.
    words
        All words, flags first: Hydra understands them in no other order.
    """

    overrides: tuple[Override, ...]
    multirun: bool
    shows: bool
    only_config: str | None
    config_dir: str | None
    words: tuple[str, ...] = field(repr=False)

    @property
    def single(self) -> list[str]:
        """The overrides, with the first value of each sweep."""
        return [first_value(o) if o.is_sweep_override() else str(o.input_line) for o in self.overrides]


def parse(words: Sequence[str]) -> Arguments:
    """Split the words behind a subcommand into flags and overrides.

    Raises
    ------
    UserError
        At a flag that does not exist, or a word that is no override.
    """
    parser = argparse.ArgumentParser(add_help=False, exit_on_error=False, allow_abbrev=False)
    parser.add_argument("overrides", nargs="*")
    parser.add_argument("--multirun", "-m", action="store_true")
    parser.add_argument("--config-dir", "-cd")
    parser.add_argument("--cfg", "-c")
    parser.add_argument("--info", "-i", nargs="?", const="all")
    parser.add_argument("--package", "-p")
    parser.add_argument("--resolve", action="store_true")
    parser.add_argument("--hydra-help", action="store_true")
    try:
        found, unknown = parser.parse_known_intermixed_args(list(words))
    except argparse.ArgumentError as error:
        raise UserError(str(error), where=COMMAND_LINE, do="see genexp COMMAND --help") from None
    if unknown:
        raise UserError(
            f"there is no option {unknown[0]}",
            where=COMMAND_LINE,
            expected="-m, --cfg job, --info, --config-dir DIR, --help, or key=value",
            received=unknown[0],
            do="settings are given as key=value, without dashes",
        )
    if found.config_dir and not Path(found.config_dir).is_dir():
        raise UserError(
            "there is no such folder",
            where="--config-dir",
            expected="a folder with config files, as conf/ has them",
            received=found.config_dir,
            do="check the path",
        )
    if found.cfg and found.cfg not in ("job", "hydra", "all"):
        raise UserError(
            "--cfg shows one of three", where="--cfg", expected="job, hydra or all", received=found.cfg, do="--cfg job"
        )
    if found.info and "=" in found.info:  # a bare --info before an override
        found.overrides, found.info = [found.info, *found.overrides], "all"
    if found.info and found.info not in INFO:
        expected = " or ".join((", ".join(INFO[:-1]), INFO[-1]))
        raise UserError(
            "there is no such information", where="--info", expected=expected, received=found.info, do="--info defaults"
        )
    shows = bool(found.cfg or found.info or found.hydra_help)
    overrides = tuple(map(parse_override, found.overrides))
    only_config = found.cfg if not (found.package or found.resolve or found.info) else None
    if (found.resolve or found.package) and not found.cfg:
        flag = "--resolve" if found.resolve else "--package"
        raise UserError(f"{flag} goes with --cfg", where=COMMAND_LINE, received=flag, do=f"--cfg job {flag}")
    return Arguments(overrides, found.multirun, shows, only_config, found.config_dir, words_for_hydra(found))


def words_for_hydra(found: argparse.Namespace) -> tuple[str, ...]:
    """Return the command line as Hydra understands it: flags first, each with its value in one word."""
    values = {"config-dir": found.config_dir, "cfg": found.cfg, "info": found.info, "package": found.package}
    switches = {"multirun": found.multirun, "resolve": found.resolve, "hydra-help": found.hydra_help}
    flags = [f"--{name}={value}" for name, value in values.items() if value]
    return (*flags, *(f"--{name}" for name, on in switches.items() if on), *found.overrides)


def parse_override(word: str) -> Override:
    """Parse one ``key=value`` word in Hydra's grammar."""
    try:
        return OverridesParser.create().parse_overrides([word])[0]
    except HydraException:
        key = word.partition("=")[0]
        raise UserError(
            "this word cannot be understood",
            where=COMMAND_LINE,
            expected="key=value, for example model=xpresso or training.epochs=10; lists as 'data.window=[0,2000]'",
            received=word,
            do=f"""put a value with spaces or commas in quotes within those of the shell: "{key}='...'\"""",
        ) from None


def first_value(override: Override) -> str:
    """Return a sweep override with its first value only."""
    first = next(iter(override.sweep_string_iterator()), None)
    if first is None:
        raise UserError(
            f"{override.key_or_group} has no value at all",
            where=COMMAND_LINE,
            expected="a sweep over at least one value",
            received=override.input_line,
            do=f"for example {override.key_or_group}=range(3)",
        )
    return f"{override.get_key_element()}={first}"
