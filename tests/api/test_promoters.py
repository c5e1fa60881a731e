"""Where sequences lie in the window of a run: against slices of a long sequence, and against Xpresso's own script."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from genexp.api.promoters import Placement, from_fasta, from_table, sequences
from genexp.errors import UserError
from genexp.features.tokens import reverse_complement, tokens_from_text

XPRESSO = Placement(window=(3000, 13500), length=20_000, tss=10_000)


def script(tokens, reverse):
    """What predict_seqs.py of Xpresso makes of a sequence of up to 7,000 nt: its middle at position 7,000."""
    found = np.full(10_500, 4, np.uint8)
    left = 7000 - len(tokens) // 2
    found[left : left + len(tokens)] = reverse_complement(tokens) if reverse else tokens
    return found


@given(st.integers(1, 7000), st.booleans())
def test_short_sequences_are_placed_as_by_the_script_of_xpresso(length, reverse):
    tokens = np.random.default_rng(length).integers(0, 5, length).astype(np.uint8)
    np.testing.assert_array_equal(XPRESSO.fit(tokens, reverse=reverse), script(tokens, reverse))
    assert not XPRESSO.is_long(length)


@given(st.integers(0, 299), st.integers(1, 300), st.booleans())
def test_a_given_tss_lies_at_the_tss_on_both_strands(start, length, reverse):
    """Each base keeps its distance to the TSS: against a chromosome of N around the sequence."""
    end, place = min(start + length, 300), Placement((20, 120), 200, 90, given=0)
    genome = np.full(900, 4, np.uint8)
    tss, bases = 450, np.random.default_rng(length).integers(0, 4, end - start).astype(np.uint8)
    genome[300 + start : 300 + end] = bases
    at = tss - (300 + start)
    if not 0 <= at < len(bases):
        return
    seen = genome[tss - 70 : tss + 30] if not reverse else reverse_complement(genome[tss - 29 : tss + 71])
    found = Placement(place.window, 200, 90, at).fit(bases, reverse=reverse)
    np.testing.assert_array_equal(found, seen)


def test_windows_and_promoters_are_taken_as_they_are():
    rng = np.random.default_rng(0)
    place = Placement((20, 120), 200, 90)
    whole = rng.integers(0, 4, 200).astype(np.uint8)
    np.testing.assert_array_equal(place.fit(whole, reverse=False), whole[20:120])
    np.testing.assert_array_equal(place.fit(whole[20:120], reverse=False), whole[20:120])
    np.testing.assert_array_equal(place.fit(whole, reverse=True), reverse_complement(whole)[39:139])
    reporter = Placement((0, 100), 100, None)
    for reverse, expected in ((False, whole[:100]), (True, reverse_complement(whole[:100]))):
        np.testing.assert_array_equal(reporter.fit(whole[:100], reverse=reverse), expected)
    np.testing.assert_array_equal(reporter.fit(whole[:97], reverse=False)[2:99], whole[:97])


@pytest.fixture
def fasta(tmp_path):
    def write(*lengths, letters="ACGTN"):
        rng = np.random.default_rng(0)
        path = tmp_path / "s.fa"
        path.write_text("".join(f">s{n} x\n{''.join(rng.choice(list(letters), k))}\n" for n, k in enumerate(lengths)))
        return path

    return write


PLACE = Placement((20, 120), 200, 90)


def test_sequences_come_in_batches_in_their_order(fasta, capsys):
    path = fasta(100, 60, 200, 100, letters="acgtNRYU")
    genes = sequences(from_fasta(path), "s.fa", PLACE, cut_long=False, both=True)
    assert genes.columns["id"].tolist() == ["s0", "s0", "s1", "s1", "s2", "s2", "s3", "s3"]
    assert genes.columns["strand"].tolist() == ["+", "-"] * 4
    texts = [tokens_from_text(bases) for _, bases in from_fasta(path)()]
    expected = np.stack([PLACE.fit(text, reverse=reverse) for text in texts for reverse in (False, True)])
    for size in (1, 3, 8, 100):
        batches = list(genes.batches(size))
        assert [rows.start for rows, _ in batches] == list(range(0, 8, size))
        np.testing.assert_array_equal(np.concatenate([tokens for _, tokens in batches]), expected)
    assert "1 of 4 sequences are padded with N to 100 nt: the middle of each lies at the TSS" in capsys.readouterr().out


def test_long_sequences_are_cut_only_if_that_is_chosen(fasta, capsys):
    records = from_fasta(fasta(100, 150))
    with pytest.raises(UserError, match=r"1 of 2 sequences reach beyond the window(.|\n)*long=cut"):
        sequences(records, "s.fa", PLACE, cut_long=False, both=False)
    genes = sequences(records, "s.fa", PLACE, cut_long=True, both=False)
    assert "1 of 2 sequences are cut to 100 nt" in capsys.readouterr().out
    ((_, tokens),) = genes.batches(10)
    np.testing.assert_array_equal(tokens[1], tokens_from_text(list(records())[1][1])[5:105])


@pytest.mark.parametrize(
    ("text", "tss", "expected"),
    [
        (">a\nACGT\n>b\n\n", None, "a sequence is empty"),
        (">a\nMKVLAAGIVGLLLAQWERTY\n", None, "something other than bases"),
        (">a\nACGT\n", 4, "a sequence ends before its TSS"),
        (">a\nACGT\n>a\nACGT\n", None, "twice"),
    ],
)
def test_what_is_no_sequence_is_refused(tmp_path, text, tss, expected):
    path = tmp_path / "s.fa"
    path.write_text(text)
    with pytest.raises(UserError, match=expected):
        sequences(from_fasta(path), path, Placement((20, 120), 200, 90, tss), cut_long=False, both=False)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("id,Sequence\na,ACGT\na,ACGT\n", "a twice"),
        ("id,Sequence\na,ACGT\n,ACGT\n", "no id in row 2"),
        ("id,bases\na,ACGT\n", "no column sequence"),
    ],
)
def test_tables_without_ids_or_sequences_are_refused(tmp_path, text, expected):
    (tmp_path / "s.csv").write_text(text)
    with pytest.raises(UserError, match=expected):
        list(from_table(tmp_path / "s.csv")())


def test_a_table_has_the_sequences_of_a_fasta_file(tmp_path, fasta):
    records = dict(from_fasta(fasta(50, 60, 70))())
    Path(tmp_path / "s.csv").write_text("id,note,seq\n" + "".join(f"{k},x,{v}\n" for k, v in records.items()))
    assert dict(from_table(tmp_path / "s.csv")()) == records
    Path(tmp_path / "n.csv").write_text("sequence,y\n" + "".join(f"{v},1\n" for v in records.values()))
    assert list(from_table(tmp_path / "n.csv")()) == [(f"seq{n}", v) for n, v in enumerate(records.values(), 1)]
