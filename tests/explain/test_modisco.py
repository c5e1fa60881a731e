"""TF-MoDISco finds the motif that contributions mark, and tells raising from lowering ones."""

import h5py
import numpy as np
import pytest

from genexp.explain.modisco import discover
from genexp.features.tokens import tokens_from_text

pytest.importorskip("modiscolite", reason="the extra modisco is not installed")

pytestmark = pytest.mark.slow

RAISES, LOWERS = "TGACGTCATC", "CAGCACCTTG"


def marked(number=400, length=200, seed=0):
    """Return one-hot bases with one of the motifs in each sequence, and contributions that mark them."""
    rng = np.random.default_rng(seed)
    tokens = rng.integers(0, 4, (number, length))
    weights = rng.normal(0, 0.01, (number, length))
    for row in range(number):
        motif, sign = ((RAISES, 1), (LOWERS, -1))[row % 2]
        start = int(rng.integers(20, length - 40))
        tokens[row, start : start + len(motif)] = tokens_from_text(motif)
        weights[row, start : start + len(motif)] = sign * rng.uniform(0.8, 1.2, len(motif))
    one_hot = np.eye(4, dtype=np.float32)[tokens]
    return one_hot, (weights[..., None] * one_hot).astype(np.float32)


def consensus(motif):
    return "".join("ACGT"[base] for base in np.asarray(motif).argmax(axis=1))


def complement(motif):
    return motif[::-1].translate(str.maketrans("ACGT", "TGCA"))


def test_motifs_are_found_with_their_signs(tmp_path):
    found = discover(*marked(), tmp_path / "modisco.h5")
    texts = {name: consensus(motif) for name, motif in found.items()}
    assert {name[:3] for name in found} == {"pos", "neg"}
    for name, motif in (("pos_0", RAISES), ("neg_0", LOWERS)):
        assert motif[1:-1] in texts[name] or complement(motif)[1:-1] in texts[name], texts
        np.testing.assert_allclose(found[name].sum(axis=1), 1, atol=1e-6)
    with h5py.File(tmp_path / "modisco.h5") as file:
        assert set(file) >= {"pos_patterns", "neg_patterns"}
