"""The closing table and predictions.csv: of one label as ever, of several with their names."""

import io

import numpy as np
import pytest
from rich.console import Console

from genexp.dataset.description import DatasetDescription
from genexp.dataset.genes import Dataset, Split
from genexp.evaluation.metrics import label_metrics
from genexp.evaluation.report import Evaluated, results_table, tied_predictions, write_report
from genexp.evaluation.tables import prediction_columns


def evaluated(labels, n=40, missing=False):
    rng, splits, predictions, found = np.random.default_rng(0), {}, {}, {}
    for name in ("valid", "test"):
        y = rng.normal(size=(n, len(labels))).astype(np.float32)
        predictions[name] = (0.5 * y + rng.normal(size=y.shape)).astype(np.float32)
        if missing:
            y[0, 1] = np.nan
        splits[name] = Split(np.array([f"{name}{i}" for i in range(n)]), y, {})
        found[name] = label_metrics(y, predictions[name], labels, resamples=20)
    described = DatasetDescription(source="", layout="", genes={}, labels=labels)
    return Evaluated(Dataset(described, splits), predictions, found)


def shown(result):
    found = {"model": "token_transformer", "data": "PHTM", "best": result.metrics, "last": result.metrics}
    text = io.StringIO()
    Console(file=text, width=10_000).print(results_table(found))
    return text.getvalue().splitlines()


@pytest.mark.parametrize("number", [1, 2, 12, 13, 53])
def test_the_table_fits_80_columns_and_lists_the_labels(number):
    lines = shown(evaluated(tuple(f"brain_nucleus_accumbens_{n:02}" for n in range(number))))
    assert max(len(line.rstrip()) for line in lines) <= 80
    text = "\n".join(lines)
    if number == 1:
        assert "means of" not in text
        assert "brain" not in text
        return
    assert f"means of {number} labels" in text
    # Names are folded within their column.
    folded = "".join(line.split("│")[1].strip() for line in lines if line.startswith("│")).replace(" ", "")
    assert [f"accumbens_{n:02}" in folded for n in range(number)] == [n < 12 for n in range(number)]
    assert (f"{number - 12}others:seemetrics.json" in folded) == (number > 12)


def test_predictions_of_one_label_have_the_columns_of_ever(tmp_path):
    result = evaluated(("liver",))
    write_report(result, tmp_path / "p.csv", tmp_path, "")
    head, first, *rest = (tmp_path / "p.csv").read_text().splitlines()
    assert head == "gene,split,label,prediction"
    label, value = result.dataset.splits["valid"].labels[0, 0], result.predictions["valid"][0, 0]
    assert first == f"valid0,valid,{float(label)},{float(value)}"
    assert len(rest) == 79


def test_predictions_of_several_labels_have_their_names(tmp_path):
    result = evaluated(("liver", "brain, left"), missing=True)
    write_report(result, tmp_path / "p.csv", tmp_path, "")
    head, first, second, *_ = (tmp_path / "p.csv").read_text().splitlines()
    assert head == 'gene,split,label_liver,"label_brain, left",prediction_liver,"prediction_brain, left"'
    assert first.split(",")[3] == ""
    assert first.count(",") == second.count(",") == 5
    assert second.split(",")[3] == str(float(result.dataset.splits["valid"].labels[1, 1]))


def test_equal_inputs_count_once_for_each_label():
    """As in a long table with a row for each sequence and medium, with a label each."""
    labels, x = np.full((40, 2), np.nan, np.float32), np.repeat(np.arange(20, dtype=np.float32), 2)[:, None]
    labels[::2, 0] = labels[1::2, 1] = np.arange(20)
    split = Split(np.arange(40).astype(str), labels, {"T": x})
    np.testing.assert_array_equal(split.distinct_labels(), labels)
    twice = Split(np.arange(80).astype(str), np.tile(labels, (2, 1)), {"T": np.tile(x, (2, 1))})
    np.testing.assert_array_equal(twice.distinct_labels()[:40], labels)
    assert np.isnan(twice.distinct_labels()[40:]).all()
    described = DatasetDescription(source="", layout="", genes={}, labels=("a", "b"))
    predictions = np.stack([np.minimum(x[:, 0], 9), x[:, 0]], axis=1)
    result = Evaluated(Dataset(described, {"test": split}), {"test": predictions}, {})
    (sentence,) = tied_predictions(result)
    assert "55.0% of the test genes, label a;" in sentence


def test_columns():
    assert prediction_columns(["a"]) == ["label", "prediction"]
    assert prediction_columns(["a", "b"]) == ["label_a", "label_b", "prediction_a", "prediction_b"]
