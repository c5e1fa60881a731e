"""Ridge and boosting against scikit-learn on arrays made here, and what must not change them."""

from dataclasses import replace
from itertools import product

import numpy as np
import pytest
from sklearn.ensemble import HistGradientBoostingRegressor
from sklearn.linear_model import Ridge
from threadpoolctl import threadpool_limits

from genexp.api.simple_models import find, verdict
from genexp.dataset.description import DatasetDescription
from genexp.dataset.genes import Dataset, Split
from genexp.errors import UserError
from genexp.evaluation import baselines
from genexp.evaluation.baselines import Baselines, Task, encoded, fit, stored, tasks
from genexp.features.tokens import text_from_tokens


@pytest.fixture(autouse=True)
def _few_trees(monkeypatch):
    monkeypatch.setattr(baselines, "BOOSTING", {"learning_rate": 0.3, "max_iter": 25, "n_iter_no_change": 3})


SIZES = {"train": 120, "valid": 40, "test": 30}


def split(rng, genes, first, labels=1):
    tokens = rng.integers(0, 4, (genes, 60), dtype=np.uint8)
    halflife = rng.normal(size=(genes, 3)).astype(np.float32)
    factors = (rng.random((genes, 4)) < 0.4).astype(np.uint8)
    gc = ((tokens == 1) | (tokens == 2)).mean(axis=1)
    y = np.stack([8 * gc + halflife[:, 0] + factors[:, n] for n in range(labels)], axis=1).astype(np.float32)
    names = np.array([f"g{first + n}" for n in range(genes)])
    return Split(names, y, {"P": tokens, "H": halflife, "T": factors})


def made(labels=1, seed=0, tss=20):
    rng = np.random.default_rng(seed)
    splits = {name: split(rng, genes, 1000 * n, labels) for n, (name, genes) in enumerate(SIZES.items())}
    names = tuple(f"l{n}" for n in range(labels))
    described = DatasetDescription(source="", layout="", genes=SIZES, labels=names, window=(10, 70), tss=tss)
    return Dataset(described, splits)


def changed(dataset, name, **values):
    return replace(dataset, splits={**dataset.splits, name: replace(dataset.splits[name], **values)})


def fitted(dataset, blocks="PHT", shuffled=False):
    only = {n: replace(s, blocks={b: s.blocks[b] for b in blocks}) for n, s in dataset.splits.items()}
    return {b.name: b for b in fit(Task(replace(dataset, splits=only), blocks, shuffled, ""))}


def table(split):
    """The definition of the features, word by word: 4-mers before and after the TSS, then the blocks."""
    words, rows = ["".join(w) for w in product("ACGT", repeat=4)], []
    for tokens in split.blocks["P"]:
        text = text_from_tokens(tokens)
        parts = [text[:10], text[10:]]
        counts = [sum(part[i : i + 4] == word for i in range(len(part) - 3)) for part in parts for word in words]
        rows.append(counts)
    return np.concatenate([np.array(rows, float), split.blocks["H"], split.blocks["T"]], axis=1)


def test_boosting_is_that_of_scikit_learn():
    dataset = made()
    y = {name: s.labels[:, 0].astype(float) for name, s in dataset.splits.items()}
    mean, sd = y["train"].mean(), y["train"].std()
    model = HistGradientBoostingRegressor(**baselines.BOOSTING, early_stopping=True, random_state=0)
    x = {name: table(s) for name, s in dataset.splits.items()}
    with threadpool_limits(1):
        model.fit(x["train"], (y["train"] - mean) / sd, X_val=x["valid"], y_val=(y["valid"] - mean) / sd)
    found = fitted(dataset)["boosting"]
    np.testing.assert_allclose(found.predictions["test"][:, 0], model.predict(x["test"]) * sd + mean, rtol=1e-6)
    assert found.settings["iterations"] == model.n_iter_
    assert found.settings["columns"] == 2 * 256 + 7


def test_ridge_has_the_penalty_of_the_lowest_leave_one_out_error():
    dataset = made()
    x = {name: s.blocks["H"].astype(float) for name, s in dataset.splits.items()}
    y = dataset.splits["train"].labels[:, 0].astype(float)
    mean, sd = x["train"].mean(axis=0), x["train"].std(axis=0)
    x = {name: (values - mean) / sd for name, values in x.items()}

    def left_out(alpha):
        keep = ~np.eye(len(y), dtype=bool)
        models = [Ridge(alpha).fit(x["train"][k], y[k]) for k in keep]
        return sum((m.predict(x["train"][[n]])[0] - y[n]) ** 2 for n, m in enumerate(models))

    alpha = min(baselines.ALPHAS[:9], key=left_out)
    found = fitted(dataset, "H")["ridge"]
    assert found.settings["alpha"] == pytest.approx(alpha)
    expected = Ridge(alpha).fit(x["train"], y).predict(x["test"])
    np.testing.assert_allclose(found.predictions["test"][:, 0], expected, rtol=1e-5)


def test_test_labels_choose_nothing():
    dataset = made()
    other = changed(dataset, "test", labels=dataset.splits["test"].labels[::-1])
    for name, baseline in fitted(dataset).items():
        for held_out, values in fitted(other)[name].predictions.items():
            np.testing.assert_array_equal(values, baseline.predictions[held_out])
    both = [Baselines(d, list(fitted(d).values())).strongest.name for d in (dataset, other)]
    assert both[0] == both[1]


def test_the_order_of_the_genes_and_their_names_change_nothing():
    dataset, order = made(), np.random.default_rng(1).permutation(SIZES["train"])
    train = dataset.splits["train"].take(order)
    other = changed(dataset, "train", genes=np.repeat("twice", len(order)), labels=train.labels, blocks=train.blocks)
    for name, baseline in fitted(dataset, "PH").items():
        found = fitted(other, "PH")[name].predictions["test"]
        np.testing.assert_allclose(found, baseline.predictions["test"], rtol=1e-4, atol=1e-5)


def test_a_label_that_is_missing_for_some_genes_is_fitted_to_the_others():
    dataset = made(labels=3)
    labels = dataset.splits["train"].labels.copy()
    labels[:50, 1] = np.nan
    found = fitted(changed(dataset, "train", labels=labels), "HT")
    train = dataset.splits["train"]
    part = changed(dataset, "train", **vars(train.take(np.arange(50, 120))))
    alone, whole = fitted(part, "HT"), fitted(dataset, "HT")
    for name in found:
        values = found[name].predictions["test"]
        np.testing.assert_allclose(values[:, 1], alone[name].predictions["test"][:, 1], rtol=1e-5)
        np.testing.assert_allclose(values[:, [0, 2]], whole[name].predictions["test"][:, [0, 2]], rtol=1e-5)
    described = Baselines(dataset, list(found.values()))
    assert described.columns == [f"{name}_HT_l{n}" for name in ("ridge", "boosting") for n in range(3)]
    assert described.predictions["test"].shape == (30, 6)


def test_the_announced_time_grows_with_the_fits_of_ridge():
    dataset = made(labels=3)
    labels = dataset.splits["train"].labels.copy()
    seconds = []
    for missing in ([], [1], [1, 2]):
        labels[missing, missing] = np.nan
        task = Task(changed(dataset, "train", labels=labels.copy()), "PHT", False, "")
        seconds.append(task.expected_seconds)
    once = (task.genes * task.columns**2 + 20 * task.columns**3) * baselines.RIDGE_S
    assert np.diff(seconds) == pytest.approx([once, once])


def test_t_stands_alone_beside_what_includes_it():
    found = tasks(made(), "0", shuffled=True)
    assert [(t.blocks, t.shuffled) for t in found] == [("PHT", False), ("T", False), ("PHT", True)]
    assert len({t.file for t in found}) == 3
    assert tasks(found[1].dataset, found[1].fingerprint)[0].file == found[1].file


def test_shuffled_labels_are_not_predicted():
    dataset = made()
    r2s = {
        about["name"] + about["data"]: about["best"]["test"]["r2"] for about in find_all(dataset, shuffled=True).metrics
    }
    assert r2s["boostingPHT"] > 0.5
    assert max(r2s["shuffled_ridgePHT"], r2s["shuffled_boostingPHT"]) < 0.2


def find_all(dataset, **settings):
    return find(dataset, dataset.fingerprint(), **{"shuffled": False, "seed": 0, **settings})


def test_what_is_cached_is_found_again(monkeypatch, capsys):
    dataset = made(seed=5)
    first = find_all(dataset)
    assert "fitting ridge and boosting on PHT: 120 training genes" in capsys.readouterr().out
    monkeypatch.setattr("genexp.api.simple_models.fit", None)
    again = find_all(dataset)
    assert again.metrics == first.metrics
    with pytest.raises(TypeError):  # the TSS cuts the window
        find_all(replace(dataset, description=dataset.description.model_copy(update={"tss": None})))


@pytest.mark.parametrize("damage", ["cut", "nan", "shape", "names"])
def test_a_damaged_file_is_refused(tmp_path, damage):
    task = tasks(made(), "0")[0]
    found, path = fit(task), tmp_path / "x.npz"
    assert [b.name for b in _stored(path, encoded(found), task)] == ["ridge", "boosting"]
    if damage == "cut":
        content = encoded(found)[:-200]
    elif damage == "names":
        content = encoded(found[::-1])
    else:
        values = found[0].predictions["test"]
        other = values * np.float32(np.nan) if damage == "nan" else values[1:]
        content = encoded([replace(found[0], predictions={**found[0].predictions, "test": other}), found[1]])
    with pytest.raises(UserError):
        _stored(path, content, task)


def _stored(path, content, task):
    path.write_bytes(content)
    return stored(path, task)


def test_of_many_genes_a_part_is_drawn(monkeypatch):
    monkeypatch.setattr(baselines, "MOST_VALUES", 7 * 50)
    monkeypatch.setattr(baselines, "ROWS", 16)
    found = fitted(made(), "HT")
    assert [b.settings["genes"] for b in found.values()] == [50, 50]
    assert all(b.predictions["test"].shape == (30, 1) for b in found.values())


def test_embedded_promoters_are_read_as_their_mean():
    dataset = made()
    vectors = {
        n: np.random.default_rng(0).normal(size=(len(s), 5, 6)).astype(np.float32) for n, s in dataset.splits.items()
    }
    splits = {name: replace(s, blocks={"P": vectors[name]}) for name, s in dataset.splits.items()}
    described = dataset.description.model_copy(update={"window": None})
    assert Task(Dataset(described, splits), "P", False, "").columns == 6


def test_the_verdict_names_the_baseline():
    of = {"name": "boosting", "data": "PH", "r2": -0.2, "r2_ci95": [-0.3, -0.1]}
    assert "worse than the strongest baseline" in verdict(of, 0.3)
    assert "boosting on PH 0.500" in verdict(of, 0.3)
    assert "better than" in verdict({**of, "r2_ci95": [0.1, 0.2]}, 0.3)
    assert "no clear difference" in verdict({**of, "r2_ci95": [-0.1, 0.2]}, 0.3)
