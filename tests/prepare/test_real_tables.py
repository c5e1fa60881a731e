"""Real sequences and tables of features: every value against pandas, which knows nothing of genexp."""

import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from omegaconf import OmegaConf
from preparing import read, run

from genexp.features.tokens import text_from_tokens

REAL = os.environ.get("GENEXP_REAL_DATA")
pytestmark = pytest.mark.skipif(not REAL, reason="GENEXP_REAL_DATA names no folder with real data")
LABELS = ["expression_complex", "expression_defined"]


def mpra():
    return Path(str(REAL)) / "mpra" / "yeast_gpra_110bp.tsv.gz"


def by_sequence(out, key="P"):
    """Return {sequence: (labels, split)} of a dataset."""
    return {
        text_from_tokens(bases): (label, name)
        for name, split in read(out).splits.items()
        for bases, label in zip(split.blocks[key], split.labels, strict=True)
    }


@pytest.mark.parametrize("labels", [LABELS, LABELS[:1]])
def test_reporters_train_on_random_and_drift_and_test_on_native(tmp_path, labels):
    words = {"split__column": "set", "split__test": ["native"], "label": labels, "out": str(tmp_path / "out")}
    out = run(source="sequences", table=str(mpra()), **words)
    raw = pd.read_csv(mpra(), sep="\t").dropna(subset=labels, how="all").set_index("sequence")
    found = by_sequence(out)
    assert set(found) == set(raw.index)
    assert {s for s, (_, split) in found.items() if split == "test"} == set(raw.index[raw["set"] == "native"])
    assert sum(split == "valid" for _, split in found.values()) == round(len(raw) / 10)
    train = raw.loc[[s for s, (_, split) in found.items() if split == "train"], labels]
    expected = ((raw[labels] - train.mean()) / train.std(ddof=0)).loc[list(found)]
    np.testing.assert_allclose(np.stack([label for label, _ in found.values()]), expected, atol=2e-5)


def test_similar_reporters_stay_together(tmp_path):
    words = {"label": LABELS, "split__by": "similarity", "out": str(tmp_path / "out")}
    found = by_sequence(run(source="sequences", table=str(mpra()), **words))
    kmers = {s: {s[n : n + 10] for n in range(101)} for s in found}
    rng, split_of = np.random.default_rng(0), {s: split for s, (_, split) in found.items()}
    others = {split: [s for s in found if split_of[s] != split] for split in ("valid", "test")}
    for split, rest in others.items():
        for s in rng.permutation([s for s in found if split_of[s] == split])[:40]:
            assert max(2 * len(kmers[s] & kmers[t]) / (len(kmers[s]) + len(kmers[t])) for t in rest) < 0.8


def test_halflife_features_of_the_human_genes(tmp_path):
    folder = Path(str(REAL)) / "human"
    words = {
        "source": "tables",
        "expression": str(folder / "labels.tsv.gz"),
        "expression_columns": {"gene": "ensembl_id", "samples": ["expr_log10"]},
        "expression_scale": "log10",
        "halflife": str(folder / "halflife_features.csv.gz"),
        "split__by": "file",
        "split__file": str(folder / "labels.tsv.gz"),
        "split__column": "xpresso_split",
        "out": str(tmp_path / "out"),
    }
    out = run(**words)
    raw = pd.read_csv(folder / "halflife_features.csv.gz").set_index("gene_id").iloc[:, 4:]
    labels = pd.read_csv(folder / "labels.tsv.gz", sep="\t").set_index("ensembl_id").dropna(subset="expr_log10")
    dataset, scaling = read(out, "H"), OmegaConf.load(out / "dataset.yaml").scaling[0]
    assert dataset.description.feature_names["H"] == tuple(raw.columns)
    raw["ORFEXONDENSITY"] = np.log10(raw["ORFEXONDENSITY"] + 0.1)
    fitted = raw.loc[labels.index[labels["xpresso_split"] == "train"]]
    for name, split in dataset.splits.items():
        genes = split.genes.tolist()
        assert (labels.loc[genes, "xpresso_split"].str[:5] == name[:5]).all()
        expected = (raw.loc[genes] - fitted.mean()) / fitted.std(ddof=0)
        np.testing.assert_allclose(split.blocks["H"], expected, atol=2e-5)
        back = split.labels[:, 0] * scaling.label.sd + scaling.label.mean
        np.testing.assert_allclose(back, labels.loc[genes, "expr_log10"], atol=1e-5)
    assert sum(map(len, dataset.splits.values())) == len(labels)
