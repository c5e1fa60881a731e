"""Runs that differ only in seed or fold, found by their configs: repeats of one experiment."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from genexp.config.keys import leaves
from genexp.errors import UserError
from genexp.run import RunDirectory, find_run, read_environment, read_metrics
from genexp.training.config import RunConfig, read_config

#: Keys of a config that do not make another experiment: what a repeat changes, where it was computed or logged, how its
#: settings (which stand there too) were found, and what was computed beside it.
REPEATED = ("seed", "logger", "settings", "baseline", "plots")
#: Keys of the hardware that change what is computed.
COMPUTED = {"precision"}
#: What runs of one experiment have in common of their datasets, whichever genes a fold holds.
SAME = ("unit", "labels", "made_from", "promoter", "promoter_length", "embedding", "tss", "widths", "feature_names")


@dataclass(frozen=True)
class Member:
    """A run of a group: its directory, config and metrics, and the description of its dataset ({} if unknown)."""

    run: RunDirectory
    config: RunConfig
    metrics: Mapping[str, Any]
    described: Mapping[str, Any]

    @property
    def fingerprint(self) -> str:
        """The fingerprint of its genes; "" if unknown."""
        return str(self.described.get("fingerprint") or "")

    @property
    def status(self) -> str:
        """How the run ended; "not finished" of one without metrics.json."""
        return str(self.metrics.get("status", "not finished"))

    @property
    def fold(self) -> int | None:
        """The number of its cross-validation fold, or None."""
        return getattr(self.config.dataset, "fold", None)


@dataclass(frozen=True)
class Group:
    """Runs that differ only in seed or fold, in the order given; `name` tells groups found together apart."""

    name: str
    members: tuple[Member, ...]

    @property
    def completed(self) -> tuple[Member, ...]:
        """The runs that have results."""
        return tuple(member for member in self.members if member.status == "completed")

    @property
    def distinct(self) -> tuple[Member, ...]:
        """The completed runs, of those with one seed and fold the first: they say the same, and count once."""
        return tuple({(member.config.seed, member.fold): member for member in reversed(self.completed)}.values())[::-1]


def group_members(members: Iterable[Member]) -> list[Group]:
    """Group runs whose configs agree but for `REPEATED` and the fold, and whose datasets are the same.

    Returns
    -------
    list of Group
        In the order in which the first run of each was given.

    Raises
    ------
    UserError
        If runs of the same fold were trained on different genes.
    """
    found: dict[str, list[Member]] = {}
    for member in members:
        found.setdefault(_experiment(member), []).append(member)
    for mine in found.values():
        _check_folds(mine)
    return [Group(name, tuple(m)) for name, m in zip(_names(list(found.values())), found.values(), strict=True)]


def read_member(directory: str | Path, key: str = "runs") -> Member:
    """Read what `group_members` needs of a run directory; `key` is the config key by which the user named it."""
    run = find_run(directory, key)
    described = read_environment(run)["dataset"] if run.environment.is_file() else {}
    return Member(run, read_config(run), read_metrics(run) or {}, described)


def _settings(config: RunConfig) -> dict[str, Any]:
    """Return what makes an experiment: a config as plain values, without what its repeats change."""
    content = config.model_dump(mode="json", exclude=set(REPEATED))
    content["hardware"] = config.hardware.model_dump(mode="json", include=COMPUTED)
    if content["dataset"] is not None:
        content["dataset"].pop("fold", None)
    return content


def _experiment(member: Member) -> str:
    """Return a text that is the same for all runs of a group; each fold has a fingerprint of its own."""
    genes = member.fingerprint if member.fold is None else "folds"
    common = [member.described.get(key) for key in SAME]
    return json.dumps([_settings(member.config), genes, common], sort_keys=True)


def _check_folds(members: list[Member]) -> None:
    """Raise a UserError if two runs of one fold were trained on different genes."""
    first: dict[int | None, Member] = {}
    for member in members:
        known = first.setdefault(member.fold, member)
        if known.fingerprint != member.fingerprint:
            what, hint = f"two runs of fold {member.fold} have different genes", "name runs of one dataset only"
            expected, received = (f"{m.run.path}: fingerprint {m.fingerprint}" for m in (known, member))
            raise UserError(what, expected=expected, received=received, hint=hint)


def _names(groups: list[list[Member]]) -> list[str]:
    """Return model and data of each group, and what else tells it apart: settings that differ, else its dataset."""
    flat = [dict(leaves(_settings(members[0].config))) for members in groups]
    kinds: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for settings in flat:
        kinds.setdefault((settings["model.name"], settings["data.name"]), []).append(settings)
    # By text, as a value may be a list; comparing each group with each other takes a minute for 1,000.
    found = {kind: {key: {str(each.get(key)) for each in own} for key in own[0]} for kind, own in kinds.items()}
    names = []
    for settings in flat:
        kind = settings["model.name"], settings["data.name"]
        differ = [key for key in settings if len(found[kind].get(key, {1, 2})) > 1]
        names.append(" ".join([*kind, *(f"{key}={settings[key]}" for key in differ)]))
    firsts = [members[0] for members in groups]
    names = _told_apart(names, "genes", [first.fingerprint for first in firsts])
    for key in SAME:
        names = _told_apart(names, key, [first.described.get(key) for first in firsts])
    return names


def _told_apart(names: Sequence[str], key: str, values: Sequence[Any]) -> list[str]:
    """Return names, those that several groups have with the value of a key, where it differs between them."""
    groups = Counter(names)
    kinds = Counter(name for name, _ in {(n, str(v)) for n, v in zip(names, values, strict=True)})
    told = [groups[name] > 1 and kinds[name] > 1 for name in names]
    return [f"{n} {key}={v}" if t else n for n, v, t in zip(names, values, told, strict=True)]
