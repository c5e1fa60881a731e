"""What was found by explaining a run: arrays and tables, and the folder that holds them."""

from __future__ import annotations

import re
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from rich.table import Table

from genexp import console
from genexp.explain.config import Settings
from genexp.explain.motifs import write_meme
from genexp.files import whole_or_nothing, write_json

if TYPE_CHECKING:
    import pandas as pd

SUMMARY = "explain.json"
#: Genes of an interval over genes; fewer give none.
FEWEST = 3
#: Features that the table on the screen has; permutation.csv has all.
LISTED_FEATURES = 15


@dataclass
class Explanation:
    """What was found of some genes, and of the features of a split.

    Attributes
    ----------
    genes : (n,) array of str
    tokens : (n, window) uint8
        A=0 C=1 G=2 T=3 N=4, from the position `start` relative to the TSS on.
    predictions : (n,) float32
        The mean over members, in the unit of the label of training.
    contributions : dict of (n, window, 4) float32
        By method: how much A, C, G or T would add to the prediction at each position, compared with the mean of the
        four; the mean over members. The difference of two bases is, by mutagenesis, what the prediction changes by.
    spread : dict of (n, window, 4) float32
        Standard deviation (n - 1) of the contributions over the members of an ensemble.
    profile : DataFrame
        By position relative to the TSS: the mean over genes of the absolute contribution of the base there.
    permutation : DataFrame, or None
        By block and feature: the loss of r2, and its 95 % interval over permutations.
    changes : (n, motifs, 2, positions) float32, or None
        By gene, inserted motif, strand and position: the change of the prediction; the mean over members.
    insertion : DataFrame, or None
        By motif, strand and position of its first base: the mean change of the prediction, and its 95 % interval over
        genes.
    summary : dict
        The content of explain.json.
    """

    genes: np.ndarray = field(default_factory=lambda: np.zeros(0, str))
    tokens: np.ndarray = field(default_factory=lambda: np.zeros((0, 0), np.uint8))
    start: int = 0
    predictions: np.ndarray = field(default_factory=lambda: np.zeros(0, np.float32))
    contributions: dict[str, np.ndarray] = field(default_factory=dict)
    spread: dict[str, np.ndarray] = field(default_factory=dict)
    profile: pd.DataFrame | None = None
    permutation: pd.DataFrame | None = None
    changes: np.ndarray | None = None
    insertion: pd.DataFrame | None = None
    summary: dict[str, Any] = field(default_factory=dict)

    def one_hot(self) -> np.ndarray:
        """Return the bases, (n, window, 4) float32; zeros for N."""
        from genexp.explain.gradients import one_hot

        return one_hot(self.tokens)

    def of_bases(self, method: str) -> np.ndarray:
        """Return the contribution of the base at each position, (n, window) float32; 0 for N."""
        found: np.ndarray = (self.contributions[method] * self.one_hot()).sum(axis=-1)
        return found


def profile(found: Explanation) -> pd.DataFrame:
    """Return the mean over genes of the absolute contribution of the base at each position, by method."""
    import pandas as pd

    columns = {name: np.abs(found.of_bases(name)).mean(axis=0) for name in found.contributions}
    positions = np.arange(found.tokens.shape[1]) + found.start
    return pd.DataFrame({"position": positions if columns else [], **columns})


def insertion_table(changes: np.ndarray, motifs: Sequence[str], positions: np.ndarray) -> pd.DataFrame:
    """Return the mean of (genes, motifs, 2, positions) changes over genes, with Student's 95 % interval."""
    import pandas as pd
    from scipy import stats

    n = np.isfinite(changes).sum(axis=0)
    mean = np.nansum(changes, axis=0) / np.maximum(n, 1)
    squares = np.nansum((changes - mean) ** 2, axis=0)
    # Of too few genes it is missing.
    freedom = np.where(n < FEWEST, np.nan, n - 1)
    half = stats.t.ppf(0.975, freedom) * np.sqrt(squares / freedom / np.maximum(n, 1))
    index = pd.MultiIndex.from_product([motifs, ["+", "-"], positions], names=["motif", "strand", "position"])
    columns = {"genes": n, "mean": mean, "low": mean - half, "high": mean + half}
    table = pd.DataFrame({name: x.ravel() for name, x in columns.items()}, index=index).reset_index()
    return table[table["genes"] > 0].reset_index(drop=True)


def report(found: Explanation) -> None:
    """Print where the contributions are largest, the losses of shuffled features, and how exact the methods were."""
    for method, about in found.summary["methods"].items():
        for key in (key for key in about if key.startswith("largest_")):
            console.say(f"{method}: {key.replace('_', ' ')} {about[key]:.2g}")
    for name in found.contributions:
        place = int(np.abs(found.of_bases(name)).mean(axis=0).argmax()) + found.start
        console.say(f"{name}: over {len(found.genes)} genes, the largest mean contribution is at position {place:+,}")
    if found.permutation is None:
        return
    table = Table(title="loss of r² when shuffled", title_justify="left", title_style="bold")
    table.add_column("block")
    table.add_column("feature", overflow="fold")
    table.add_column("loss", justify="right")
    table.add_column("95 % interval", justify="right")
    rows = found.permutation.nlargest(LISTED_FEATURES, "loss")
    for block, feature, loss, low, high in zip(*(rows[name] for name in rows.columns), strict=True):
        table.add_row(block, feature, f"{loss:.3f}", f"{low:.3f} to {high:.3f}")
    console.table(table)


def write(out: Path, found: Explanation, chosen: Settings) -> None:
    """Write arrays, tables, figures and explain.json into a folder; an earlier explanation in it is replaced."""
    with whole_or_nothing(out) as folder:
        folder.mkdir()
        if found.contributions and found.profile is not None:
            _write_arrays(folder, found)
            found.profile.to_csv(folder / "profile.csv", index=False)
        if found.insertion is not None and found.changes is not None:
            np.savez_compressed(folder / "insertion.npz", changes=found.changes, genes=found.genes.astype(str))
            found.insertion.to_csv(folder / "insertion.csv", index=False)
        if found.permutation is not None:
            found.permutation.to_csv(folder / "permutation.csv", index=False)
        if chosen.plots:
            _draw(folder, found, chosen)
        if chosen.modisco:
            _discover(folder, found)
        write_json(folder / SUMMARY, found.summary)
        if (out / SUMMARY).is_file():
            shutil.rmtree(out)


def _draw(folder: Path, found: Explanation, chosen: Settings) -> None:
    """Draw what was found, in the formats of the plots."""
    from genexp.evaluation import explain_figure as figures

    title, formats = "{model}, {data}, {dataset}".format(**found.summary), chosen.plots
    if found.contributions and found.profile is not None:
        figures.plot_profile(folder / "profile.png", found.profile, title, formats)
        drawn: set[str] = set()
        for row in range(min(chosen.logos, len(found.genes))):
            each = {name: values[row] for name, values in found.contributions.items()}
            gene = str(found.genes[row])
            name = re.sub(r"[^\w.-]", "_", gene)
            if name in drawn:  # of another gene, whose own name has other characters there
                name += f"-{row}"
            drawn.add(name)
            path = folder / "genes" / f"{name}.png"
            beside = f"{title}\n{gene}, predicted {found.predictions[row]:.3g}"
            figures.plot_gene(path, found.tokens[row], each, found.start, beside, formats)
    if found.insertion is not None:
        figures.plot_insertion(folder / "insertion.png", found.insertion, title, formats)
    if found.permutation is not None:
        figures.plot_permutation(folder / "permutation.png", found.permutation, title, formats)


def _write_arrays(folder: Path, found: Explanation) -> None:
    """Write bases and contributions in the form that TF-MoDISco reads: (n, 4, length) as ``arr_0``."""
    for name, values in {"sequences": found.one_hot(), **found.contributions}.items():
        arrays = {"arr_0": values} | ({"sd": found.spread[name]} if name in found.spread else {})
        first = {key: np.ascontiguousarray(x.transpose(0, 2, 1)) for key, x in arrays.items()}
        more = {"genes": found.genes.astype(str), "start": np.array(found.start), "predictions": found.predictions}
        np.savez_compressed(folder / f"{name}.npz", allow_pickle=False, **first, **more)


def _discover(folder: Path, found: Explanation) -> None:
    """Find motifs in the contributions by TF-MoDISco, and write them as MEME and as TF-MoDISco's own file."""
    from genexp.explain.modisco import discover

    for method in found.contributions:
        console.say(f"TF-MoDISco on {method}: this can take minutes")
        motifs = discover(found.one_hot(), found.contributions[method], folder / f"modisco-{method}.h5")
        if motifs:
            write_meme(folder / f"modisco-{method}.meme", motifs)
        console.say(f"TF-MoDISco on {method}: {len(motifs)} motifs")
        found.summary["methods"][method]["modisco"] = list(motifs)
