"""Tables of sequences as people have them: read as they are meant, or refused with what reads them."""

import random
import shlex

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from omegaconf import OmegaConf
from preparing import configured, raw_values, read, refused, run

from genexp.config.words import parse_override
from genexp.dataset.genes import SPLITS
from genexp.errors import UserError
from genexp.features.tokens import text_from_tokens, tokens_from_text
from genexp.prepare.ledger import Ledger
from genexp.prepare.source.sequences import Letters, gather, padded

RNG = np.random.default_rng(3)
SEQUENCES = ["".join(RNG.choice(list("ACGT"), 40)) for _ in range(40)]
LABELS = np.round(RNG.normal(size=40), 3).tolist()


@pytest.fixture(autouse=True)
def quick_picture(request, monkeypatch):
    """Draw nothing, which takes longest, but where the picture is tested."""
    if "picture" not in request.node.name:
        monkeypatch.setattr("genexp.prepare.picture.draw_dataset", lambda path, *rest: path.write_bytes(b""))


def table(path, columns, separator=",", end="\n"):
    """Write a table with these columns by name."""
    rows = [separator.join(map(str, row)) for row in zip(*columns.values(), strict=True)]
    path.write_bytes((end.join([separator.join(columns), *rows]) + end).encode())
    return str(path)


def prepared(tmp_path, file, say=print, **words):
    return run(say, source="sequences", table=str(file), out=str(tmp_path / "out"), **words)


def found_in(out, fold=None):
    """Return {sequence: (label, split)} of a dataset."""
    rows = {}
    for name, split in read(out, fold=fold).splits.items():
        for bases, label in zip(split.blocks["P"], split.labels, strict=True):
            rows[text_from_tokens(bases)] = (label.tolist(), name)
    return rows


def unscaled(out, label="label"):
    scaling = OmegaConf.load(out / "dataset.yaml").scaling[0]
    found = scaling[label] if label in scaling else scaling.labels[label]
    return found.mean, found.sd


def test_each_sequence_has_its_label_as_it_is_and_no_tss(tmp_path):
    out = prepared(tmp_path, table(tmp_path / "t.csv", {"sequence": SEQUENCES, "label": LABELS}))
    mean, sd = unscaled(out)
    found = found_in(out)
    assert {s: pytest.approx(label[0] * sd + mean, abs=1e-5) for s, (label, _) in found.items()} == dict(
        zip(SEQUENCES, LABELS, strict=True)
    )
    described = read(out).description
    assert (described.tss, described.promoter_length, described.unit) == (None, 40, "label, standardised")
    assert "no TSS" in str(described)
    assert raw_values(out)["seq1"]["label"] == f"{LABELS[0]:g}"


FORMS = {
    "Windows line ends": ("t.csv", {"Sequence": SEQUENCES, "Activity": LABELS}, ",", "\r\n"),
    "tabs": ("t.tsv", {"seq": SEQUENCES, "expression": LABELS}, "\t", "\n"),
    "semicolons": ("t.csv", {"DNA sequence": SEQUENCES, "y": LABELS}, ";", "\n"),
    "row numbers of pandas": ("t.csv", {"": range(40), "sequence": SEQUENCES, "label": LABELS}, ",", "\n"),
    "row numbers and ids": (
        "t.csv",
        {"": range(40), "id": [f"e{n}" for n in range(40)], "sequence": SEQUENCES, "label": LABELS},
        *(",", "\n"),
    ),
}


@pytest.mark.parametrize("form", FORMS)
def test_forms_of_tables(tmp_path, form):
    name, columns, separator, end = FORMS[form]
    out = prepared(tmp_path, table(tmp_path / name, columns, separator, end))
    assert set(found_in(out)) == set(SEQUENCES)


@pytest.mark.parametrize("name", ["t.parquet", "t.feather", "t.xlsx"])
def test_tables_that_are_no_text(tmp_path, name):
    import pandas as pd

    frame, file = pd.DataFrame({"Sequence": SEQUENCES, "Label": LABELS}), tmp_path / name
    write = {".parquet": frame.to_parquet, ".feather": frame.to_feather}.get(file.suffix)
    if write:
        write(file)
    else:
        pytest.importorskip("openpyxl")
        frame.to_excel(file, index=False)
    assert set(found_in(prepared(tmp_path, file))) == set(SEQUENCES)


def test_a_missing_sequence_is_not_read_as_bases(tmp_path):
    """NA and nan are letters of the alphabet of DNA, too."""
    for word in ("NA", "nan", ""):
        file = table(tmp_path / "t.csv", {"id": range(40), "sequence": [*SEQUENCES[:39], word], "label": LABELS})
        assert "a sequence is empty" in refused(source="sequences", table=file, out=str(tmp_path / "out"))


def test_a_given_split_in_any_spelling_and_empty_cells(tmp_path):
    cells = [("Train", "training", "val", "validation", "test", "")[n % 6] for n in range(40)]
    out = prepared(tmp_path, table(tmp_path / "t.csv", {"sequence": SEQUENCES, "label": LABELS, "split": cells}))
    given = {"t": "train", "v": "valid", "T": "train"}
    expected = {s: given.get(c[0], "") for s, c in zip(SEQUENCES, cells, strict=True) if c}
    expected |= {s: "test" for s, c in zip(SEQUENCES, cells, strict=True) if c == "test"}
    assert {s: split for s, (_, split) in found_in(out).items()} == expected
    assert "column split of t.csv says" in OmegaConf.load(out / "dataset.yaml").rules.split.replace(
        str(tmp_path) + "/", ""
    )


def test_folds_of_a_column(tmp_path):
    folds = [n % 4 + 1 for n in range(40)]
    file = table(tmp_path / "t.csv", {"sequence": SEQUENCES, "label": LABELS, "fold": folds})
    out = prepared(tmp_path, file, split__folds=4)
    for fold in (1, 4):
        tested = {s for s, (_, split) in found_in(out, fold).items() if split == "test"}
        assert tested == {s for s, f in zip(SEQUENCES, folds, strict=True) if f == fold}


SETS = [("native", "random", "drift")[n % 3] for n in range(40)]


def with_sets(tmp_path):
    return table(tmp_path / "t.csv", {"sequence": SEQUENCES, "label": LABELS, "set": SETS})


@pytest.mark.parametrize("by", [None, "random", "similarity"])
def test_values_of_a_column_are_held_out_by_name(tmp_path, by):
    words = {"split__column": "set", "split__test": ["native"], "split__valid": 5, "split__by": by}
    found = found_in(prepared(tmp_path, with_sets(tmp_path), **words))
    place = dict(zip(SEQUENCES, SETS, strict=True))
    assert all((split == "test") == (place[s] == "native") for s, (_, split) in found.items())
    assert sum(split == "valid" for _, split in found.values()) == 5


def test_groups_by_name(tmp_path):
    words = {"split__column": "set", "split__test": "native", "split__valid": ["drift"], "split__by": "group"}
    found = found_in(prepared(tmp_path, with_sets(tmp_path), **words))
    split_of = {"native": "test", "drift": "valid", "random": "train"}
    place = dict(zip(SEQUENCES, SETS, strict=True))
    assert {s: split for s, (_, split) in found.items()} == {s: split_of[place[s]] for s in SEQUENCES}


def test_several_labels_with_missing_values(tmp_path):
    cells = [
        [("" if n % size == 0 else value + shift) for n, value in enumerate(LABELS)] for size, shift in ((3, 0), (4, 9))
    ]
    file = table(tmp_path / "t.csv", {"sequence": SEQUENCES, "K562": cells[0], "HepG2": cells[1]})
    out = prepared(tmp_path, file, label=["K562", "HepG2"])
    found = found_in(out)
    assert set(found) == {s for n, s in enumerate(SEQUENCES) if n % 12}
    scales = [unscaled(out, name) for name in ("K562", "HepG2")]
    for n, sequence in enumerate(SEQUENCES):
        for label, (mean, sd), column in zip(found.get(sequence, ([], 0))[0], scales, cells, strict=False):
            expected = np.nan if column[n] == "" else column[n]
            np.testing.assert_allclose(label * sd + mean, expected, atol=1e-5)
    train = read(out).splits["train"].labels
    np.testing.assert_allclose(np.nanmean(train, axis=0), 0, atol=1e-6)
    np.testing.assert_allclose(np.nanstd(train, axis=0), 1, atol=1e-5)
    statistics = OmegaConf.load(out / "dataset.yaml").statistics
    assert statistics.K562.missing > 0
    assert read(out).description.labels == ("K562", "HepG2")
    assert raw_values(out)["seq2"]["HepG2"] == f"{cells[1][1]:.10g}"
    assert raw_values(out)["seq4"]["K562"] == ""


def test_the_picture_shows_each_label(tmp_path):
    file = table(tmp_path / "t.csv", {"sequence": SEQUENCES, "A": LABELS, "B": ["", *LABELS[1:]]})
    out = prepared(tmp_path, file, label=["A", "B"])
    assert (out / "dataset.png").read_bytes().startswith(b"\x89PNG")


def test_features_become_block_h(tmp_path):
    gc = [round((s.count("G") + s.count("C")) / 40, 3) for s in SEQUENCES]
    energy = [n - 20.5 for n in range(40)]
    file = table(
        tmp_path / "t.csv",
        {"id": [f"e{n}" for n in range(40)], "sequence": SEQUENCES, "label": LABELS} | {"gc": gc, "dG": energy},
    )
    out = prepared(tmp_path, file, table_columns={"features": ["gc", "dG"]})
    described = read(out, "PH").description
    assert described.feature_names["H"] == ("gc", "dG")
    values = raw_values(out)
    assert [float(values[f"e{n}"]["dG"]) for n in range(40)] == energy
    train = read(out, "PH").splits["train"].blocks["H"]
    np.testing.assert_allclose([train.mean(axis=0), train.std(axis=0)], [[0, 0], [1, 1]], atol=1e-5)


def test_sequences_in_a_fasta_file_with_descriptions(tmp_path):
    records = [
        f">oligo{n} chr{n}:1-40(+) enhancer\r\n{s[:25]}\r\n{s[25:].lower()}\r\n" for n, s in enumerate(SEQUENCES)
    ]
    (tmp_path / "s.fa").write_text("".join(records[::-1]), newline="")
    file = table(tmp_path / "t.tsv", {"oligo_id": [f"oligo{n}" for n in range(2, 42)], "label": LABELS}, "\t")
    lines = []
    out = prepared(tmp_path, file, lines.append, fasta=str(tmp_path / "s.fa"))
    assert set(found_in(out)) == set(SEQUENCES[2:])
    assert any("2 of 40 sequences have no row" in line for line in lines)
    assert any("38 genes  with a sequence, 2 lost" in line for line in lines)


def test_rna_lower_case_and_ambiguity_codes(tmp_path):
    told = [s.lower() if n % 2 else s.replace("T", "U") for n, s in enumerate(SEQUENCES)]
    told[3], told[5] = "R" + told[3][1:], told[5][:-1] + "-"
    lines = []
    out = prepared(tmp_path, table(tmp_path / "t.csv", {"rna": told, "label": LABELS}), lines.append)
    assert set(found_in(out)) == {text_from_tokens(tokens_from_text(s)) for s in told}
    assert any("20 sequences have U, which is read as T" in line for line in lines)
    assert any("2 sequences have ambiguity codes or gaps, which are read as N" in line for line in lines)


@pytest.mark.parametrize("side", ["left", "right", "both"])
def test_lengths_that_differ_are_padded_on_request(tmp_path, side):
    told = [s[: 40 - n % 5] for n, s in enumerate(SEQUENCES)]
    file = table(tmp_path / "t.csv", {"sequence": told, "label": LABELS})
    pad = {"left": lambda s: s.rjust(40, "N"), "right": lambda s: s.ljust(40, "N"), "both": lambda s: both(s, 40)}[side]
    assert set(found_in(prepared(tmp_path, file, pad=side))) == set(map(pad, told))


def both(text, length):
    left = (length - len(text)) // 2
    return "N" * left + text + "N" * (length - len(text) - left)


@settings(max_examples=50, deadline=None)
@given(
    texts=st.lists(st.text("ACGTN", min_size=1, max_size=12), min_size=1, max_size=9),
    side=st.sampled_from(["left", "right", "both"]),
)
def test_padding_adds_n_on_one_side_and_nothing_else(texts, side):
    longest = max(map(len, texts))
    letters = Letters(tokens_from_text("".join(texts)), np.array([len(text) for text in texts]))
    for row, text in zip(padded(letters, side, "t"), texts, strict=True):
        found = text_from_tokens(row)
        expected = {"left": text.rjust(longest, "N"), "right": text.ljust(longest, "N"), "both": both(text, longest)}
        assert found == expected[side]


def replicated(tmp_path, **more):
    """Write each sequence three times, as with three barcodes."""
    order = np.random.default_rng(0).permutation(120)
    columns = {
        "sequence": [SEQUENCES[n % 40] for n in order],
        "label": [LABELS[n % 40] + n // 40 if n != 45 else "" for n in order],
    }
    return table(tmp_path / "t.csv", columns | {name: [cells[n % 40] for n in order] for name, cells in more.items()})


def test_replicates_are_averaged_on_request(tmp_path):
    out = prepared(tmp_path, replicated(tmp_path), replicates="mean")
    mean, sd = unscaled(out)
    found = {s: label[0] * sd + mean for s, (label, _) in found_in(out).items()}
    assert found == {s: pytest.approx(label + 1, abs=1e-5) for s, label in zip(SEQUENCES, LABELS, strict=True)}


@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 1000),
    valid=st.integers(4, 20),
    test=st.integers(4, 20),
    by=st.sampled_from([None, "similarity"]),
)
def test_identical_sequences_are_never_separated(tmp_path_factory, seed, valid, test, by):
    folder = tmp_path_factory.mktemp("s")
    out = prepared(folder, replicated(folder), split__seed=seed, split__valid=valid, split__test=test, split__by=by)
    places = {}
    sizes = {}
    for name, split in read(out).splits.items():
        sizes[name] = len(split)
        for bases in split.blocks["P"]:
            places.setdefault(text_from_tokens(bases), set()).add(name)
    assert all(len(names) == 1 for names in places.values())
    assert abs(sizes["valid"] - valid) <= 2
    assert abs(sizes["test"] - test) <= 2


def test_identical_sequences_are_in_one_fold(tmp_path):
    out = prepared(tmp_path, replicated(tmp_path), split__folds=4)
    for fold in range(1, 5):
        splits = read(out, fold=fold).splits
        texts = [{text_from_tokens(b) for b in split.blocks["P"]} for split in splits.values()]
        assert len(set.union(*texts)) == sum(map(len, texts))


def test_a_given_split_that_separates_identical_ones_is_kept_with_a_warning(tmp_path):
    columns = {
        "sequence": [*SEQUENCES, *SEQUENCES[:4]],
        "label": [*LABELS, *LABELS[:4]],
        "split": [SPLITS[n % 3] for n in range(44)],
    }
    lines = []
    prepared(tmp_path, table(tmp_path / "t.csv", columns), lines.append)
    assert "8 sequences are in another split than an identical one" in lines


def test_similar_sequences_stay_together(tmp_path):
    variants = [s[:20] + "ACGT"[n] + s[21:] for s in SEQUENCES[:20] for n in range(3)]
    file = table(tmp_path / "t.csv", {"sequence": variants, "label": [*LABELS, *LABELS[:20]]})
    words = {"split__by": "similarity", "split__similarity": 0.6}
    found = found_in(prepared(tmp_path, file, **words))
    for s in SEQUENCES[:20]:
        assert len({split for text, (_, split) in found.items() if text[:20] == s[:20]}) == 1


def test_groups_and_identical_sequences_both_stay_together(tmp_path):
    columns = {
        "sequence": [SEQUENCES[n % 20] for n in range(40)],
        "label": LABELS,
        "batch": [f"b{n // 4}" for n in range(40)],
    }
    words = {"split__by": "group", "split__column": "batch", "split__valid": 8, "split__test": 8}
    out = prepared(tmp_path, table(tmp_path / "t.csv", columns), **words)
    assert "5 groups" in OmegaConf.load(out / "dataset.yaml").rules.split


def test_reverse_complements_are_said(tmp_path):
    turned = text_from_tokens(3 - tokens_from_text(SEQUENCES[0])[::-1])
    lines = []
    prepared(
        tmp_path, table(tmp_path / "t.csv", {"sequence": [*SEQUENCES, turned], "label": [*LABELS, 0]}), lines.append
    )
    assert any("2 sequences are the reverse complement of another" in line for line in lines)


def test_labels_become_logarithms_on_request(tmp_path):
    file = table(tmp_path / "t.csv", {"sequence": SEQUENCES, "label": [abs(label) for label in LABELS]})
    out = prepared(tmp_path, file, expression_scale="raw")
    scaling = OmegaConf.load(out / "dataset.yaml").scaling[0].label
    found = {s: 10 ** (label[0] * scaling.sd + scaling.mean) - 0.1 for s, (label, _) in found_in(out).items()}
    assert found == {s: pytest.approx(abs(v), abs=1e-4) for s, v in zip(SEQUENCES, LABELS, strict=True)}
    assert read(out).description.unit == "log10(label + 0.1), standardised"


def test_ids_that_occur_twice_are_replaced_unless_they_are_needed(tmp_path):
    columns = {"gene": [f"g{n // 2}" for n in range(40)], "sequence": SEQUENCES, "label": LABELS}
    file, lines = table(tmp_path / "t.csv", columns), []
    out = prepared(tmp_path, file, lines.append)
    assert any("id g0 occurs twice: the sequences are called seq1, seq2" in line for line in lines)
    assert set(raw_values(out)) == {f"seq{n}" for n in range(1, 41)}
    message = refused(source="sequences", table=file, out=str(tmp_path / "o"), table_columns={"id": "gene"})
    assert "rows 2 and 3" in message


# What is not known is asked for, and the answer that is proposed works.

S, Y = SEQUENCES, LABELS
ASKED = [
    ({"sequence": S, "K562": Y, "HepG2": Y}, "no column of this table is known to hold the label"),
    ({"Oligo (5'-3')": S, "label": Y}, "no column of this table is known to hold the sequence"),
    ({"Oligo": S, "log2(RNA/DNA), mean": Y}, "no column of this table is known to hold the sequence"),
    ({"sequence": S, "label": Y, "barcodes": range(40)}, "the columns of this table are not all known: barcodes"),
    ({"sequence": S, "seq": S, "label": Y}, "several columns of this table may hold the sequence"),
    ({"sequence": S, "label": Y, "expression": Y}, "several columns of this table may hold the label"),
    ({"id": range(40), "name": range(40, 80), "sequence": S, "label": Y}, "may hold the id: id, name"),
]


@pytest.mark.parametrize(("columns", "message"), ASKED)
def test_what_is_not_known_is_asked_for_and_the_proposal_works(tmp_path, columns, message):
    file = table(tmp_path / "t.tsv", columns, "\t")
    told = refused(source="sequences", table=file, out=str(tmp_path / "out"))
    assert message in told
    hint = told.split("hint: ")[1].removeprefix("name what is to be read: ").split(" leaves the others out")[0]
    words = dict(word.split("=", 1) for word in shlex.split(hint))
    values = {key: plain(parse_override(f"{key}={value}").value()) for key, value in words.items()}
    assert set(found_in(prepared(tmp_path, file, **values))) == set(SEQUENCES)


def plain(value):
    """Return a value of Hydra's parser as plain lists, groups and text."""
    if isinstance(value, dict):
        return {str(key): plain(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [plain(inner) for inner in value]
    return getattr(value, "text", value)


PLAIN = {"sequence": S, "label": Y}
WITH_SETS = {**PLAIN, "set": SETS}
TWICE = {"split__column": "set", "split__test": ["native"], "split__valid": ["native"]}
BAD = {
    "no header": ({S[0]: S[1:], "0.5": Y[1:]}, {}, "sequence,label"),
    "lengths": ({"sequence": [s[: 40 - n % 2] for n, s in enumerate(S)], "label": Y}, {}, "20 of 39 nt, 20 of 40 nt"),
    "protein": ({"sequence": [*S[:9], "MKLV" * 10, *S[10:]], "label": Y}, {}, "row 11"),
    "blank within": ({"sequence": [*S[:9], "ACGT ACGT", *S[10:]], "label": Y}, {}, "character ' ' at position 4"),
    "empty": ({"sequence": ["", *S[1:]], "label": Y}, {}, "a sequence is empty"),
    "text": ({"sequence": S, "label": ["high", *Y[1:]]}, {}, "is not a number"),
    "infinite": ({"sequence": S, "label": ["inf", *Y[1:]]}, {}, "is not a number"),
    "unknown label": (PLAIN, {"label": "lable"}, "did you mean 'label'"),
    "unknown split": (PLAIN, {"split__column": "set"}, "there is no column set"),
    "no numbers": ({"sequence": S, "cells": ["K562"] * 40}, {}, "no column holds numbers"),
    "no bases": ({"id": [f"e{n}" for n in range(40)], "label": Y}, {}, "add fasta=FILE"),
    "named twice": ({"sequence": S, "A": Y}, {"label": ["A", "A"]}, "column A is named twice"),
    "typed split": ({**PLAIN, "split": ["tset", *["train"] * 39]}, {}, "did you mean 'test'? correct it"),
    "sets": ({**PLAIN, "split": SETS}, {}, "'split.test=[drift]'"),
    "sizes": ({**PLAIN, "split": ["train", "test"] * 20}, {"split__test": 5}, "split.test would have no effect"),
    "negative": (PLAIN, {"expression_scale": "raw"}, "are negative\n"),
    "no logarithm": ({**PLAIN, "label": range(40)}, {"expression_scale": "log10"}, "too large to be a logarithm"),
    "no such value": (WITH_SETS, {"split__column": "set", "split__test": ["nativ"]}, "did you mean 'native'"),
    "value in two splits": (WITH_SETS, TWICE, "a value is in two splits"),
    "no column of values": (PLAIN, {"split__test": ["native"]}, "add split.column=NAME"),
    "too few labels": ({"sequence": S, "A": Y, "B": [1, 2, *[""] * 38]}, {"label": ["A", "B"]}, "has the label B"),
    "equal labels": ({"sequence": S, "A": Y, "B": [1] * 40}, {"label": ["A", "B"]}, "all genes have the same B"),
    "replicates in two splits": (
        {"sequence": S[:20] * 2, "label": Y, "split": [*["train"] * 20, *["test"] * 20]},
        {"replicates": "mean"},
        "rows of one sequence are in two splits",
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_tables_of_sequences(tmp_path, case):
    columns, words, message = BAD[case]
    file = table(tmp_path / "t.csv", columns)
    assert message in refused(source="sequences", table=file, out=str(tmp_path / "out"), **words)
    assert not (tmp_path / "out").exists()


def test_fasta_that_does_not_fit(tmp_path):
    (tmp_path / "s.fa").write_text(">a\nACGT\n")
    file = table(tmp_path / "t.csv", {"id": ["b", "c"], "label": [1, 2]})
    message = refused(source="sequences", table=file, fasta=str(tmp_path / "s.fa"), out=str(tmp_path / "out"))
    assert "no id of the table is in this FASTA file" in message
    file = table(tmp_path / "u.csv", {"sequence": ["ACGT", "ACGA"], "label": [1, 2]})
    message = refused(source="sequences", table=file, fasta=str(tmp_path / "s.fa"), out=str(tmp_path / "out"))
    assert "the table has sequences, and fasta, too" in message


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ({"source": "tables", "expression": "t", "tf": "t2", "pad": "left"}, "has no use for pad"),
        ({"source": "tables", "expression": "t", "tf": "t2", "replicates": "mean"}, "has no use for replicates"),
        ({"source": "tables", "expression": "t", "tf": "t2", "split__by": "similarity"}, "has no sequences"),
        ({"source": "tables", "expression": "t", "tf": "t2", "expression_scale": "as_is"}, "is for source=sequences"),
        ({"source": "xpresso_table", "table": "t", "label": ["A"]}, "has no use for label"),
        ({"source": "sequences", "table": "t", "samples": ["A"]}, "has no use for samples"),
        ({"source": "sequences", "table": "t", "label": {"A": ["B"]}}, "write 'label=[A,B]'"),
        ({"source": "sequences", "table": "t", "split__by": "group"}, "or split.column=NAME of the table"),
        ({"source": "sequences", "table": "t", "halflife": "t2", "table_columns": {"features": ["A"]}}, "both bring"),
    ],
)
def test_keys_that_do_not_go_together(tmp_path, monkeypatch, words, message):
    monkeypatch.chdir(tmp_path)
    for name in ("t", "t2"):
        (tmp_path / name).write_text("sequence,label\nACGT,1\n")
    assert message in refused(out="out", **words)


def test_mutated_tables_end_in_a_dataset_or_a_user_error(tmp_path):
    """The reader alone; a few hundred of the mutations that were tried."""
    rows = [f"e{n},{SEQUENCES[n]},{LABELS[n]},{SPLITS[n % 3]}" for n in range(12)]
    whole = ("id,sequence,label,split\n" + "\n".join(rows) + "\n").encode()
    file, random_ = tmp_path / "t.csv", random.Random(0)
    config = configured(source="sequences", table=str(file), out="o")
    outcomes = {"read": 0, "refused": 0}
    for _ in range(300):
        file.write_bytes(mutated(whole, random_))
        try:
            gather(config, Ledger())
            outcomes["read"] += 1
        except UserError:
            outcomes["refused"] += 1
    assert min(outcomes.values()) > 5


INSERTED = (b'"', b",", b"\n", b"\r\n", b"NA", b"1e999", b"\xff\xfe", b"\t", b"nan")


def mutated(whole, random_):
    """Return bytes with one to four changes: a byte, a cut, a copy of a stretch, or a line moved."""
    data = bytearray(whole)
    for _ in range(random_.randint(1, 4)):
        if not data:
            break
        place, kind = random_.randrange(len(data)), random_.randrange(5)
        if kind == 0:
            data[place] = random_.choice([0, 9, 10, 13, 32, 34, 44, 45, 46, 78, 85, 255, random_.randrange(256)])
        elif kind == 1:
            del data[place : place + random_.randint(1, 30)]
        elif kind == 2:
            data[place:place] = data[place : place + random_.randint(1, 30)]
        elif kind == 3:
            data[place:place] = random_.choice(
                [b'"', b",", b"\n", b"\r\n", b"NA", b"1e999", b"\xff\xfe", b"\t", b"nan"]
            )
        else:
            del data[place:]
    return bytes(data)
