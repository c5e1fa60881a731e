"""Explaining a run, or the members of an ensemble: the bases, motifs and features that its predictions come from."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from genexp import console
from genexp.api import evaluation
from genexp.api.explanation import SUMMARY, Explanation, insertion_table, profile, report, write
from genexp.api.prediction import check_usable
from genexp.api.requests import requested
from genexp.api.unfinished import Keep, kept_beside, model_digest
from genexp.blocks import PROMOTER
from genexp.dataset.description import listed
from genexp.dataset.sources import gene_table
from genexp.errors import UserError, nearest
from genexp.explain.config import METHODS, OF_BASES, PER_BASE, Settings
from genexp.explain.motifs import consensus, read_meme
from genexp.explain.request import Request
from genexp.features.tokens import N_TOKEN
from genexp.files import free_folder
from genexp.training.strategy import import_tensorflow
from genexp.version import __version__

if TYPE_CHECKING:
    import keras
    import pandas as pd

    from genexp.api.ensembles import Ensemble
    from genexp.api.runs import Run
    from genexp.dataset.description import DatasetDescription
    from genexp.dataset.genes import Dataset, Split
    from genexp.explain.permutation import Head
    from genexp.prepare.genes import GeneNames


@dataclass(frozen=True)
class Plan:
    """An explanation that can be started.

    `output` is the output of the models that is explained; `window` what the members see, in promoter coordinates;
    `region` the part of it in which bases are replaced, from its left end on. `out` is None to write nothing.
    """

    members: Sequence[evaluation.Plan]
    named: str
    settings: Settings
    methods: tuple[str, ...]
    output: int
    window: tuple[int, int]
    region: tuple[int, int]
    motifs: Mapping[str, np.ndarray]
    out: Path | None

    @property
    def request(self) -> Request:
        """What is asked of every promoter, in positions from the left end of the window on."""
        motifs = [consensus(matrix) for matrix in self.motifs.values()]
        last = self.region[1] - max(map(len, motifs), default=1)
        positions = np.arange(self.region[0], last + 1, self.settings.spacing)
        length = self.window[1] - self.window[0]
        return Request(self.output, length, self.region, self.settings.steps, motifs, positions)

    @property
    def label(self) -> str:
        """The name of the label that is explained."""
        return self.members[0].trained_on.labels[self.output]

    @property
    def origin(self) -> int:
        """The position of the first base of the window, relative to the TSS, or in the promoter where it has none."""
        return self.window[0] - (self.members[0].matched.source.description.tss or 0)


def explained(
    run: Run | Ensemble, out: str | Path | None, changes: Mapping[str, Any], *, progress: bool
) -> Explanation:
    """Explain a run or an ensemble with some of the settings changed; see `genexp.api.Run.explain`."""
    with console.quiet(not progress):
        folder = None if out is None else results_folder(run, str(out))
        plan = check(run, requested("explain", Settings, changes), folder)
        import_tensorflow()
        words = ", ".join(f"{key}={value!r}" for key, value in {"out": out, **changes}.items())
        return explain(plan, f"{run!r}.explain({words})")


def results_folder(run: Run | Ensemble, out: str | None) -> Path:
    """Return the folder to write: a new one, or one with an earlier explanation, which is replaced."""
    if out is None and run.named.startswith("["):
        raise UserError("the results of several runs need a folder", where="out", hint="add out=DIR")
    folder = Path(out or Path(run.named) / "explain").expanduser().resolve()
    return folder if (folder / SUMMARY).is_file() else free_folder(str(folder))


def check(run: Run | Ensemble, chosen: Settings, out: Path | None) -> Plan:
    """Look at runs, dataset and settings; no TensorFlow."""
    check_usable(run, chosen.checkpoint)
    changes = chosen.dataset.model_dump(exclude_none=True)
    members = run.check(checkpoint=chosen.checkpoint, split=chosen.split, dataset=changes)
    methods = _methods(members[0], chosen)
    label = _label(members[0].trained_on.labels, chosen.label)
    window, region = _region(members, chosen) if set(methods) & {*OF_BASES} else ((0, 0), (0, 0))
    if "permutation" in methods and label not in members[0].matched.outputs:
        received = listed(members[0].matched.source.description.labels)
        what = "permutation needs measured labels, and the dataset has none of this name"
        raise UserError(what, where=f"label={members[0].trained_on.labels[label]}", received=received)
    motifs = read_meme(Path(chosen.motifs)) if chosen.motifs and "insertion" in methods else {}
    widest = max(motifs, key=lambda name: len(motifs[name]), default="")
    if motifs and len(motifs[widest]) > region[1] - region[0]:
        received = f"{widest}: {len(motifs[widest])} nt"
        where, expected = f"motifs={chosen.motifs}", f"at most {region[1] - region[0]} nt, the region"
        raise UserError("a motif is longer than the region", where=where, expected=expected, received=received)
    return Plan(members, run.named, chosen, methods, label, window, region, motifs, out)


def _methods(plan: evaluation.Plan, chosen: Settings) -> tuple[str, ...]:
    """Return the methods, in the order of the table; raise a UserError if one does not fit the run."""
    blocks, embedded = plan.config.data.name, plan.trained_on.promoter == "embedded"
    bases = PROMOTER in blocks and not embedded
    possible = [*(OF_BASES if bases else ()), *(["permutation"] if blocks != PROMOTER else [])]
    asked = chosen.methods or [method for method in possible if method != "insertion" or chosen.motifs]
    impossible = [method for method in asked if method not in possible]
    where = f"methods={','.join(asked)}"
    if impossible or not asked:
        reads = "precomputed embeddings, whose bases are unknown" if embedded and PROMOTER in blocks else blocks
        expected = listed(possible) or "a run that reads bases or features"
        what = f"a run on {reads} cannot be explained by {listed(impossible) or 'any method'}"
        raise UserError(what, where=where, expected=expected)
    if "insertion" in asked and not chosen.motifs:
        raise UserError("insertion needs motifs", where=where, hint="add motifs=FILE, a MEME file")
    if chosen.modisco and not set(asked) & {*PER_BASE}:
        raise UserError("modisco=true needs contributions of bases", where=where, expected=listed(PER_BASE))
    if chosen.modisco and find_spec("modiscolite") is None:
        raise UserError("TF-MoDISco is not installed", where="modisco=true", hint="pip install 'genexp[modisco]'")
    return tuple(method for method in METHODS if method in asked)


def _label(labels: Sequence[str], wanted: str | None) -> int:
    if wanted in labels:
        return labels.index(str(wanted))
    if wanted is None and len(labels) == 1:
        return 0
    what = "the run has several labels: one is explained" if wanted is None else "the run has no such label"
    hint = f"{nearest(wanted or '', labels)}label={labels[0]}, for example"
    raise UserError(what, where="label", expected=f"one of {listed(labels)}", received=wanted, hint=hint)


def _region(members: Sequence[evaluation.Plan], chosen: Settings) -> tuple[tuple[int, int], tuple[int, int]]:
    """Return the window of all members, in promoter coordinates, and the region in it, from its left end on."""
    windows = [_window(member) for member in members]
    left, right = min(left for left, _ in windows), max(right for _, right in windows)
    tss = members[0].matched.source.description.tss or 0
    given = chosen.region or [left - tss, right - tss]
    if not left - tss <= given[0] < given[1] <= right - tss:
        expected = f"[left,right) with {left - tss} <= left < right <= {right - tss}, the window of the run"
        raise UserError("the region does not fit the window", where="region", expected=expected, received=given)
    return (left, right), (given[0] + tss - left, given[1] + tss - left)


def explain(plan: Plan, command: str) -> Explanation:
    """Explain, print what was found, and write it into the folder of the plan, unless that is None."""
    with kept_beside(plan.out, command) as keep:
        found = _explained(plan, keep)
        report(found)
        if plan.out:
            write(plan.out, found, plan.settings)
    return found


def _explained(plan: Plan, keep: Keep) -> Explanation:
    """Explain by all members, and return the means."""
    from genexp.evaluation.report import load_checkpoint

    console.say(f"explained: {plan.label}, by {listed(plan.methods)}")
    found, totals, started = Explanation(start=plan.origin), _Totals(), time.monotonic()
    heads: list[Head] = []
    notes: dict[str, float] = {}
    rows: np.ndarray | None = None
    for number, (member, dataset) in enumerate(_read(plan), 1):
        if len(plan.members) > 1:
            console.say(f"member {number} of {len(plan.members)}: {member.run.path.name}")
        model, split = load_checkpoint(member.run, plan.settings.checkpoint), dataset.splits[plan.settings.split]
        if set(plan.methods) & {*OF_BASES}:
            if rows is None:
                rows = _rows(dataset, plan, member.matched.source.description)
            genes = split.take(rows)
            _take_genes(found, plan, member, genes)
            arrays, noted = _explain_genes(plan, member, model, genes, keep)
            for name, values in arrays.items():
                totals.add(name, values)
            notes |= {name: max(x, notes.get(name, 0.0)) for name, x in noted.items()}
        if "permutation" in plan.methods:
            heads.append(_head(model, member, split))
    means, spreads = totals.means(), totals.spreads()
    found.predictions = means.pop("predictions", found.predictions)
    found.changes = means.pop("insertion", None)
    found.contributions, found.spread = means, {name: spreads[name] for name in means if name in spreads}
    if found.changes is not None:
        found.insertion = insertion_table(found.changes, list(plan.motifs), plan.request.positions + plan.origin)
    if heads:
        found.permutation = _permutation(plan, dataset, heads)
    found.profile = profile(found)
    found.summary = {**_summary(plan, dataset, found, notes), "seconds": round(time.monotonic() - started, 1)}
    return found


def _read(plan: Plan) -> Iterator[tuple[evaluation.Plan, Dataset]]:
    """Yield each member with the genes that it reads, which are read again only where they are others."""
    last, dataset, genes = None, None, None
    for member in plan.members:
        if dataset is None or last != (member.matched, member.window):
            last, dataset = (member.matched, member.window), evaluation.read_genes(member)
        names = dataset.splits[plan.settings.split].genes.tolist()
        if genes not in (None, names):
            hint = "leave it out, or set dataset.drop_ambiguous=false"
            raise UserError("members of the ensemble read different genes", where=member.run.path, hint=hint)
        genes = names
        yield member, dataset


def _window(member: evaluation.Plan) -> tuple[int, int]:
    """Return what a member sees, in promoter coordinates of the dataset."""
    return member.window or (0, member.matched.source.description.promoter_length or 0)


def _take_genes(found: Explanation, plan: Plan, member: evaluation.Plan, genes: Split) -> None:
    """Put the genes, and the bases that a member sees of them, into the result."""
    if not found.genes.size:
        found.genes = genes.genes
        found.tokens = np.full((len(genes), plan.window[1] - plan.window[0]), N_TOKEN, np.uint8)
    left, right = (edge - plan.window[0] for edge in _window(member))
    found.tokens[:, left:right] = genes.blocks[PROMOTER]


def _head(model: keras.Model, member: evaluation.Plan, split: Split) -> Head:
    """Return what permutation importance needs of a member: its network behind the promoters of all genes."""
    from genexp.explain.networks import Network
    from genexp.explain.permutation import Head

    features = [letter for letter in split.blocks if letter != PROMOTER]
    return Head(Network(model, member.config.model), split.blocks.get(PROMOTER), features)


class _Totals:
    """Means and standard deviations over members (Welford's updates)."""

    def __init__(self) -> None:
        self._members: dict[str, tuple[int, np.ndarray, np.ndarray]] = {}

    def add(self, name: str, values: np.ndarray) -> None:
        """Add the values of one member."""
        n, mean, squares = self._members.get(name, (0, np.zeros_like(values), np.zeros_like(values)))
        change = values - mean
        mean = mean + change / (n + 1)
        self._members[name] = n + 1, mean, squares + change * (values - mean)

    def means(self) -> dict[str, np.ndarray]:
        """Return the means by name."""
        return {name: mean for name, (_, mean, _) in self._members.items()}

    def spreads(self) -> dict[str, np.ndarray]:
        """Return the standard deviations (n - 1) by name, where there are several members."""
        return {name: np.sqrt(squares / (n - 1)) for name, (n, _, squares) in self._members.items() if n > 1}


def _rows(dataset: Dataset, plan: Plan, described: DatasetDescription) -> np.ndarray:
    """Return the rows of the genes whose promoters are explained, in their split; report which are named otherwise."""
    own = plan.settings.split
    if plan.settings.genes is None:
        return np.arange(min(plan.settings.most, len(dataset.splits[own])))
    order = [own, *(name for name in dataset.splits if name != own)]
    place: dict[str, tuple[str, int]] = {}
    for split in order:
        for row, gene in enumerate(map(str, dataset.splits[split].genes)):
            place.setdefault(gene, (split, row))
    names = _names(list(place), described)
    found = {name: (name, "id") if name in place else _named(name, names) for name in plan.settings.genes}
    if absent := [name for name, (gene, _) in found.items() if not gene]:
        if several := _several(absent[0], names):
            what, hint = "a name stands for several genes", f"choose by id: genes=[{','.join(several)}]"
            raise UserError(what, where="genes", received=absent[0], hint=hint)
        hint = f"{nearest(absent[0], place)}use ids of the dataset, as {listed(list(place)[:2])}"
        raise UserError("there are no such genes in the dataset", where="genes", received=listed(absent), hint=hint)
    if others := [f"{name} is {gene} (joined by {by})" for name, (gene, by) in found.items() if name != gene]:
        console.say(f"genes: {listed(others)}")
    splits = {name: place[gene][0] for name, (gene, _) in found.items()}
    if elsewhere := [name for name, split in splits.items() if split != own]:
        received = listed([f"{name} in {splits[name]}" for name in elsewhere])
        alone = len({*splits.values()}) == 1
        hint = f"set split={splits[elsewhere[0]]}" if alone else "explain the genes of each split by themselves"
        raise UserError(f"there are no such {own} genes", where="genes", received=received, hint=hint)
    return np.array(list(dict.fromkeys(place[gene][1] for gene, _ in found.values())))


def _names(ids: list[str], described: DatasetDescription) -> GeneNames:
    """Return what genes are called, with their names where the dataset has them."""
    from genexp.prepare.genes import GeneNames

    table = gene_table(described)
    names = {"gene_name": table["gene_name"].reindex(ids).fillna("").to_numpy(str)} if "gene_name" in table else {}
    return GeneNames(np.array(ids), names)


def _named(name: str, genes: GeneNames) -> tuple[str, str]:
    """Return the id of the gene that a name means, and what it was joined by; or empty texts."""
    from genexp.prepare.genes import join

    with suppress(UserError):
        joined = join(genes, [name], "genes")
        return str(genes.ids[joined.found][0]), joined.by
    return "", ""


def _several(name: str, genes: GeneNames) -> list[str]:
    """Return the ids of the genes that have a name in common, in upper or lower case; none if it is not known."""
    from genexp.prepare.genes import without_version

    called = (map(without_version, map(str, genes.ids)), *genes.others.values())
    rows = zip(map(str, genes.ids), *called, strict=True)
    return [gene for gene, *names in rows if without_version(name).casefold() in (str(x).casefold() for x in names)]


def _explain_genes(
    plan: Plan, member: evaluation.Plan, model: keras.Model, split: Split, keep: Keep
) -> tuple[dict[str, np.ndarray], dict[str, float]]:
    """Explain promoters by one member: an array per method, its first axis the genes, and the largest error of each."""
    from genexp.explain.genes import Explainer

    left, right = (edge - plan.window[0] for edge in _window(member))
    explainer = Explainer(model, member.config.model, slice(left, right), plan.request)
    digest = model_digest(member.run, member.config, plan.settings.checkpoint)
    methods = [name for name in plan.methods if name in OF_BASES]
    rows: dict[str, list[Any]] = {name: [] for name in ("predictions", *methods)}
    errors = dict.fromkeys(methods, 0.0)
    with console.progress("explaining promoters", len(split), "genes") as done:
        for row in range(len(split)):
            gene = {k: x[row].astype(np.float32) for k, x in split.blocks.items() if k != PROMOTER}
            tokens = split.blocks[PROMOTER][row]
            rows["predictions"].append(explainer.predict(tokens, gene))
            depends_on = [digest, tokens, *gene.values(), plan.request.digest()]
            for method in methods:
                values, error = keep([method.encode(), *depends_on], partial(explainer.explain, method))
                rows[method].append(values)
                errors[method] = max(errors[method], float(error))
            done(row + 1)
    return {name: np.stack(values) for name, values in rows.items()}, errors


def _permutation(plan: Plan, dataset: Dataset, heads: Sequence[Head]) -> pd.DataFrame:
    """Shuffle each feature among the genes of the split."""
    import pandas as pd

    from genexp.evaluation.metrics import by_label, r2
    from genexp.explain.permutation import importance

    split, described = dataset.splits[plan.settings.split], dataset.description
    features = {letter: x.astype(np.float32) for letter, x in split.blocks.items() if letter != PROMOTER}
    column = plan.members[0].matched.outputs.index(plan.output)
    ((known, _),) = by_label(labels := split.labels[:, [column]], labels)
    names = {
        letter: described.feature_names.get(letter) or [f"{letter}{n + 1}" for n in range(x.shape[1])]
        for letter, x in features.items()
    }
    there = np.isfinite(labels[:, 0])
    total = sum(1 + x.shape[1] for x in features.values()) + (PROMOTER in split.blocks)
    with console.progress("shuffling features", total, "features") as done:
        found = importance(
            heads,
            features,
            names,
            lambda predictions: r2(known, predictions[there, plan.output]),
            promoter=PROMOTER in split.blocks,
            repeats=plan.settings.repeats,
            seed=plan.settings.seed,
            progress=done,
        )
    return pd.DataFrame(found)


def _summary(plan: Plan, dataset: Dataset, found: Explanation, notes: Mapping[str, float]) -> dict[str, Any]:
    """Return the content of explain.json, without the time."""
    chosen, described = plan.settings, dataset.description
    resolved = {"region": [edge + plan.origin for edge in plan.region], "motifs": list(plan.motifs)}
    methods: dict[str, dict[str, Any]] = {}
    for name in plan.methods:
        method = METHODS[name]
        methods[name] = {"title": method.title, "files": list(method.files)}
        methods[name] |= {key: resolved.get(key, getattr(chosen, key)) for key in method.settings}
        methods[name] |= {method.note: notes[name]} if notes.get(name) else {}
    return {
        "genexp": __version__,
        "run_dir": plan.named,
        "members": [str(member.run.path) for member in plan.members],
        "model": ", ".join(dict.fromkeys(member.config.model.name for member in plan.members)),
        "data": plan.members[0].config.data.name,
        "checkpoint": chosen.checkpoint,
        "label": plan.label,
        "unit": plan.members[0].trained_on.unit,
        "dataset": described.name,
        "fingerprint": dataset.fingerprint(),
        "split": chosen.split,
        "genes": found.genes.tolist(),
        "window": [plan.origin, plan.origin + found.tokens.shape[1]] if found.genes.size else None,
        "relative_to": "promoter" if described.tss is None else "TSS",
        "methods": methods,
    }
