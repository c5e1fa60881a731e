"""What simple models reach on the same genes: ridge regression and gradient boosting, from scikit-learn.

Both read the feature blocks as they are, and of a promoter how often each k-mer occurs in the window: upstream and
downstream of the TSS apart, where it is in the window. They are fitted to the training genes. The penalty of ridge
regression has the lowest leave-one-out error among the training genes (Golub, Heath and Wahba 1979, Technometrics 21,
215, doi 10.1080/00401706.1979.10489751). Boosting, on histograms as in LightGBM (Ke et al. 2017, Advances in Neural
Information Processing Systems 30), stops when the error of the validation genes no longer falls, as a network does.
Test genes are predicted; they choose nothing.
"""

from __future__ import annotations

import hashlib
import io
import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from importlib.metadata import version
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from genexp.blocks import PROMOTER
from genexp.dataset.genes import Dataset, Split
from genexp.errors import UserError
from genexp.evaluation.metrics import Metrics, label_metrics, mean_r2, r2_difference
from genexp.evaluation.tables import prediction_columns, write_predictions
from genexp.features.kmers import chunk_counts
from genexp.files import open_npz
from genexp.run import HELD_OUT, unreadable

if TYPE_CHECKING:
    from sklearn.base import RegressorMixin

#: Part of the name of each cached result: change it with anything below that changes a prediction.
VERSION = 1
#: Length of the k-mers. With 5 on real datasets, ridge and boosting were worse as often as better (docs/baselines.md),
#: and boosting took four times as long.
K = 4
#: The block that stands alone beside any combination with it: it predicts more than the others together.
CONTROL = "T"
#: Begins the name of a baseline that was fitted to shuffled labels.
SHUFFLED = "shuffled_"
#: Seed of what is drawn: labels to shuffle, and genes of large datasets.
SEED = 0
#: Most training genes, and the largest table of them in genes times columns: 0.3 GB. Of more genes, a part is drawn.
MOST_GENES, MOST_VALUES = 50_000, 40_000_000
#: Genes whose features are made at a time.
ROWS = 4096

ALPHAS = tuple(float(10.0 ** (exponent / 2)) for exponent in range(-2, 15))
BOOSTING = {"learning_rate": 0.1, "max_iter": 1000, "n_iter_no_change": 20}

#: Predicts (n, labels) from (n, columns).
Predict = Callable[[np.ndarray], np.ndarray]
#: What a fit returns: how to predict, and what was chosen for each label.
Fitted = tuple[Predict, dict[str, list[Any]]]
#: Fits a model: features (n, columns) and labels (n, labels) of training genes, NaN where missing, and the same of
#: validation genes. The last argument is called after each label.
Fit = Callable[[np.ndarray, np.ndarray, np.ndarray, np.ndarray, Callable[[], None]], Fitted]


@dataclass(frozen=True)
class Baseline:
    """A fitted baseline.

    Attributes
    ----------
    name, data
        The model, ``shuffled_`` before it where the labels of training were; and the blocks that it reads.
    predictions
        Of validation and test genes, (n, labels) float32.
    seconds
        What it took.
    settings
        What it was fitted on, and the settings that were chosen.
    """

    name: str
    data: str
    predictions: Mapping[str, np.ndarray]
    seconds: float
    settings: Mapping[str, Any]

    @property
    def shuffled(self) -> bool:
        """Whether its labels were shuffled."""
        return self.name.startswith(SHUFFLED)

    def __str__(self) -> str:
        return f"{self.name.replace('_', ' ')}, {self.data}"

    def described(self, dataset: Dataset, seed: int) -> dict[str, Any]:
        """Return what metrics.json says of it; `seed` is that of the bootstrap.

        Predictions of shuffled labels are compared with shuffled labels. With the true ones, even a model without any
        signal can have a high r2, as its predictions still follow the columns that vary most.
        """
        names = dataset.description.labels
        found: dict[str, Metrics] = {
            split: label_metrics(_labels(dataset.splits[split], self.shuffled), values, names, seed=seed)
            for split, values in self.predictions.items()
        }
        about = {"name": self.name, "data": self.data, "best": found}
        return {**about, "seconds": round(self.seconds, 3), "settings": dict(self.settings)}


@dataclass(frozen=True)
class Task:
    """Baselines that are fitted and stored together: those of the same blocks, on labels as they are or shuffled."""

    dataset: Dataset
    blocks: str
    shuffled: bool
    fingerprint: str

    @property
    def file(self) -> str:
        """The name of its file in the cache: another one for whatever changes the predictions."""
        method = [VERSION, version("scikit-learn"), list(MODELS)]
        parts = [self.fingerprint, self.blocks, self.edges, self.shuffled, *method]
        key = hashlib.blake2b(json.dumps(parts).encode(), digest_size=12).hexdigest()
        return f"baselines/{key}.npz"

    @property
    def names(self) -> list[str]:
        """The names of its baselines."""
        return [SHUFFLED + name if self.shuffled else name for name in MODELS]

    @property
    def edges(self) -> list[int]:
        """The ends of the parts of the window in which k-mers are counted; empty without bases."""
        if PROMOTER not in self.blocks or self.dataset.window is None:
            return []
        (left, right), tss = self.dataset.window, self.dataset.description.tss
        inside = tss is not None and left + K <= tss <= right - K
        return [0, *([tss - left] if tss is not None and inside else []), right - left]

    @property
    def columns(self) -> int:
        """The number of columns of its table."""
        return int(next(_tables(self, "train", np.arange(1))).shape[1])

    @property
    def genes(self) -> int:
        """The number of training genes that are used."""
        return min(len(self.dataset.splits["train"]), MOST_GENES, max(MOST_VALUES // self.columns, ROWS))

    @property
    def expected_seconds(self) -> float:
        """How long it will take, to within a factor of about three."""
        groups, genes, columns = _known_together(self.dataset.splits["train"].labels), self.genes, self.columns
        ridge = len(groups) * (genes * columns**2 + 20 * columns**3) * RIDGE_S
        return ridge + sum(map(len, groups)) * genes * columns * BOOSTING_S + OVERHEAD_S


#: Seconds: per multiplication of ridge, which is fitted once to labels that the same genes have; per gene, column and
#: label of boosting; and of the imports.
RIDGE_S, BOOSTING_S, OVERHEAD_S = 2e-10, 4e-6, 1.0


def tasks(dataset: Dataset, fingerprint: str, *, shuffled: bool = False) -> list[Task]:
    """Return what is to be fitted on a dataset, whose fingerprint is given: all blocks, `CONTROL` alone, shuffled."""
    blocks = "".join(dataset.splits["train"].blocks)
    found = [Task(dataset, blocks, False, fingerprint)]
    if CONTROL in blocks and blocks != CONTROL:
        only = {name: replace(s, blocks={CONTROL: s.blocks[CONTROL]}) for name, s in dataset.splits.items()}
        alone = replace(dataset, splits=only)
        found.append(Task(alone, CONTROL, False, alone.fingerprint()))
    return [*found, *([Task(dataset, blocks, True, fingerprint)] if shuffled else [])]


def fit(task: Task, fitted: Callable[[], None] = lambda: None) -> list[Baseline]:
    """Fit each of `MODELS` and predict the held-out genes; `fitted` is called after each model and label."""
    import sklearn.ensemble  # noqa: F401 - whose libraries must be there to be limited
    from threadpoolctl import threadpool_limits

    started = time.perf_counter()
    splits, rows = task.dataset.splits, _drawn(len(task.dataset.splits["train"]), task.genes)
    valid_rows = _drawn(len(splits["valid"]), task.genes)
    y, y_valid = _labels(splits["train"], task.shuffled)[rows], _labels(splits["valid"], task.shuffled)[valid_rows]
    mean, sd = np.nanmean(y, axis=0), np.nanstd(y, axis=0)
    sd[sd == 0] = 1
    found = []
    # On a busy machine threads of OpenMP wait for each other: boosting that takes 2 s with one thread took 33 s with
    # two. With one, the digits do not depend on the number of cores either.
    with threadpool_limits(1):
        x, x_valid = _table(task, "train", rows), _table(task, "valid", valid_rows)
        for name, model in zip(task.names, MODELS.values(), strict=True):
            predict, chosen = model(x, (y - mean) / sd, x_valid, (y_valid - mean) / sd, fitted)
            predictions = {split: _predict(task, split, predict) * sd + mean for split in HELD_OUT}
            settings = {
                "genes": len(rows),
                "columns": x.shape[1],
                **({"k": K, "parts": task.edges} if task.edges else {}),
            }
            settings |= {key: values[0] if y.shape[1] == 1 else values for key, values in chosen.items()}
            ended = time.perf_counter()
            as_float = {split: values.astype(np.float32) for split, values in predictions.items()}
            found.append(Baseline(name, task.blocks, as_float, ended - started, settings))
            started = ended
    return found


def _ridge(
    x: np.ndarray, y: np.ndarray, x_valid: np.ndarray, y_valid: np.ndarray, fitted: Callable[[], None]
) -> Fitted:
    """Fit ridge regression on standardised columns; labels that are known for the same genes are fitted at once."""
    from sklearn.linear_model import RidgeCV
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    models: list[tuple[list[int], RegressorMixin]] = []
    alphas = np.zeros(y.shape[1])
    for labels in _known_together(y):
        known = ~np.isnan(y[:, labels[0]])
        model = make_pipeline(StandardScaler(), RidgeCV(ALPHAS, alpha_per_target=True))
        models.append((labels, model.fit(x[known], y[np.ix_(known, labels)])))
        alphas[labels] = model[-1].alpha_
        for _ in labels:
            fitted()

    def predict(features: np.ndarray) -> np.ndarray:
        found = np.empty((len(features), y.shape[1]))
        for labels, model in models:
            found[:, labels] = model.predict(features).reshape(len(features), -1)
        return found

    return predict, {"alpha": alphas.tolist()}


def _boosting(
    x: np.ndarray, y: np.ndarray, x_valid: np.ndarray, y_valid: np.ndarray, fitted: Callable[[], None]
) -> Fitted:
    """Fit gradient boosting of trees to each label."""
    from sklearn.ensemble import HistGradientBoostingRegressor

    models = []
    for label, label_valid in zip(y.T, y_valid.T, strict=True):
        known, known_valid = ~np.isnan(label), ~np.isnan(label_valid)
        model = HistGradientBoostingRegressor(**BOOSTING, early_stopping=True, random_state=SEED)
        model.fit(x[known], label[known], X_val=x_valid[known_valid], y_val=label_valid[known_valid])
        models.append(model)
        fitted()
    predict = lambda features: np.stack([model.predict(features) for model in models], axis=1)  # noqa: E731
    return predict, {"iterations": [model.n_iter_ for model in models]}


#: The baselines by name: a new one is one more row.
MODELS: dict[str, Fit] = {"ridge": _ridge, "boosting": _boosting}


def _known_together(labels: np.ndarray) -> list[list[int]]:
    """Return the labels, columns of a (n, labels) array, in groups that are known (not NaN) for the same genes."""
    groups: dict[bytes, list[int]] = {}
    for number, column in enumerate(labels.T):
        groups.setdefault(np.isnan(column).tobytes(), []).append(number)
    return list(groups.values())


def _labels(split: Split, shuffled: bool) -> np.ndarray:
    """Return the labels of a split, (n, labels) float64; shuffled among its genes if that is asked for."""
    labels = split.labels.astype(np.float64)
    return labels[np.random.default_rng(SEED).permutation(len(labels))] if shuffled else labels


def _drawn(genes: int, most: int) -> np.ndarray:
    """Return rows to use, in order: all, or `most` that are drawn."""
    if genes <= most:
        return np.arange(genes)
    return np.sort(np.random.default_rng(SEED).choice(genes, most, replace=False))


def _columns(letter: str, values: np.ndarray, edges: Sequence[int]) -> list[np.ndarray]:
    """Return what the models read of a block, (n, columns) each; of embedded promoters the mean of the chunks."""
    if letter != PROMOTER:
        return [values]
    if not edges:
        return [values.mean(axis=1)]
    parts = [values[:, left:right] for left, right in pairwise(edges)]
    return [chunk_counts(part, min(K, part.shape[1]), part.shape[1])[:, 0] for part in parts]


def _tables(task: Task, split: str, rows: np.ndarray) -> Iterator[np.ndarray]:
    """Yield what the models read of these genes of a split, `ROWS` at a time, (n, columns) float64."""
    blocks = task.dataset.splits[split].blocks
    for first in range(0, len(rows), ROWS):
        few = rows[first : first + ROWS]
        parts = [part for letter in task.blocks for part in _columns(letter, blocks[letter][few], task.edges)]
        yield np.concatenate(parts, axis=1, dtype=np.float64)


def _table(task: Task, split: str, rows: np.ndarray) -> np.ndarray:
    return np.concatenate(list(_tables(task, split, rows)))


def _predict(task: Task, split: str, predict: Predict) -> np.ndarray:
    """Return the predictions for all genes of a split, (n, labels) float64."""
    rows = np.arange(len(task.dataset.splits[split]))
    return np.concatenate([predict(table) for table in _tables(task, split, rows)])


# --- in the cache ---


def encoded(found: list[Baseline]) -> bytes:
    """Return fitted baselines as the bytes of a .npz file without pickles."""
    about = [{"name": b.name, "data": b.data, "seconds": b.seconds, "settings": b.settings} for b in found]
    arrays: dict[str, Any] = {f"{b.name}_{split}": values for b in found for split, values in b.predictions.items()}
    buffer = io.BytesIO()
    np.savez_compressed(buffer, about=np.array(json.dumps(about)), **arrays)
    return buffer.getvalue()


def stored(path: Path, task: Task) -> list[Baseline]:
    """Return what `encoded` wrote for a task; raise a UserError for any other content."""

    def damaged(reason: object) -> UserError:
        return unreadable(path, str(reason))

    with open_npz(path, damaged) as file:
        found = []
        for about in json.loads(str(file["about"])):
            predictions = {split: file[f"{about['name']}_{split}"] for split in HELD_OUT}
            found.append(Baseline(predictions=predictions, **about))
    for baseline in found:
        for split, values in baseline.predictions.items():
            if values.shape != task.dataset.splits[split].labels.shape or values.dtype != np.float32:
                raise damaged(f"predictions of shape {values.shape}")
            if not np.isfinite(values).all():
                raise damaged("predictions that are not finite")
    if [(b.name, b.data) for b in found] != [(name, task.blocks) for name in task.names]:
        raise damaged("other baselines")
    return found


# --- beside a network ---


@dataclass(frozen=True)
class Baselines:
    """What simple models reach on a dataset.

    Attributes
    ----------
    dataset
        The genes.
    found
        Each baseline, with its predictions of validation and test genes.
    seed
        That of the bootstrap of the intervals.
    """

    dataset: Dataset
    found: Sequence[Baseline]
    seed: int = 0

    @cached_property
    def metrics(self) -> list[dict[str, Any]]:
        """The content of ``baselines`` in metrics.json: name, data, metrics under ``best``, seconds, settings."""
        return [baseline.described(self.dataset, self.seed) for baseline in self.found]

    @property
    def _unshuffled(self) -> list[Baseline]:
        return [baseline for baseline in self.found if not baseline.shuffled]

    @property
    def columns(self) -> list[str]:
        """The columns of `predictions`: ``ridge_PH``; of several labels ``ridge_PH_NAME``."""
        return prediction_columns(self.dataset.description.labels, [f"{b.name}_{b.data}" for b in self._unshuffled])

    @property
    def predictions(self) -> dict[str, np.ndarray]:
        """The predictions of the baselines side by side, (n, columns) float32, but those of shuffled labels."""
        return {split: np.concatenate([b.predictions[split] for b in self._unshuffled], axis=1) for split in HELD_OUT}

    def write(self, path: Path) -> None:
        """Write baselines.csv: gene, split, labels and `columns`."""
        labels = prediction_columns(self.dataset.description.labels, ["label"])
        write_predictions(path, [*labels, *self.columns], self.dataset, self.predictions)

    @property
    def strongest(self) -> Baseline:
        """The baseline with the highest mean r2 on the validation genes; none of shuffled labels."""
        labels = self.dataset.splits["valid"].labels
        return max(self._unshuffled, key=lambda baseline: mean_r2(labels, baseline.predictions["valid"]))

    def level(self, split: str) -> tuple[str, float]:
        """Return the name of `strongest` and its mean r2 on a split, for plots."""
        return str(self.strongest), mean_r2(self.dataset.splits[split].labels, self.strongest.predictions[split])

    def difference(self, predictions: np.ndarray) -> dict[str, Any]:
        """Return how much higher the test r2 of a network is than that of `strongest`, with its interval."""
        labels, other = self.dataset.splits["test"].labels, self.strongest
        value, interval = r2_difference(labels, predictions, other.predictions["test"], seed=self.seed)
        return {"name": other.name, "data": other.data, "r2": value, "r2_ci95": interval}
