"""MEME files of motifs."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from genexp.errors import UserError
from genexp.explain.motifs import consensus, read_meme, write_meme

JASPAR = """MEME version 4

ALPHABET= ACGT

strands: + -

Background letter frequencies
A 0.25 C 0.25 G 0.25 T 0.25

MOTIF MA0108.1 TBP
letter-probability matrix: alength= 4 w= 3 nsites= 389 E= 0
 0.156812\t0.372751  0.390746  0.079692
 1.0e-01  0.1  0.1  0.7
 0.90  0.03  0.00  0.07
URL http://example.org

MOTIF second
log-odds matrix: alength= 4 w= 1
 1 -2 3 4
letter-probability matrix: alength= 4 w= 1
 0 0 0.99 0
"""


def test_a_file_as_jaspar_writes_them(tmp_path):
    (tmp_path / "m.meme").write_text(JASPAR)
    found = read_meme(tmp_path / "m.meme")
    assert list(found) == ["MA0108.1 TBP", "second"]
    np.testing.assert_allclose(found["MA0108.1 TBP"][1], [0.1, 0.1, 0.1, 0.7])
    assert consensus(found["MA0108.1 TBP"]).tolist() == [2, 3, 0]


@given(st.lists(st.integers(1, 30), min_size=1, max_size=4), st.integers(0, 2**20))
def test_what_is_written_is_read(tmp_path_factory, widths, seed):
    rng, path = np.random.default_rng(seed), tmp_path_factory.mktemp("meme") / "m.meme"
    motifs = {f"motif {n}": rng.dirichlet(np.ones(4), width) for n, width in enumerate(widths)}
    write_meme(path, motifs)
    found = read_meme(path)
    assert list(found) == list(motifs)
    for name, matrix in motifs.items():
        np.testing.assert_allclose(found[name], matrix, atol=1e-6)


@pytest.mark.parametrize(
    ("text", "received"),
    [
        ("", "nothing"),
        (">a\nACGT\n", ">a"),
        ("MEME version 4\n", "no line MOTIF"),
        ("MEME version 4\nALPHABET= ACDEFGHIKLMNPQRSTVWY\n", "ACDEFGHIKLMNPQRSTVWY"),
        ("MEME version 4\nMOTIF a\n", "motif a: 0 rows"),
        ("MEME version 4\nMOTIF a\nletter-probability matrix: w= 1\n 0.5 0.5 0.5 0.5\n", "motif a: 1 rows"),
        ("MEME version 4\nMOTIF a\nletter-probability matrix: w= 2\n 1 0 0 0\n 1 0 0\n", "inhomogeneous"),
    ],
)
def test_other_files_are_refused(tmp_path, text, received):
    (tmp_path / "m.meme").write_text(text)
    with pytest.raises(UserError, match=received):
        read_meme(tmp_path / "m.meme")
