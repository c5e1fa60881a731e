"""What is no error in a file, but hardly what its user wants: refused, or reported."""

import gzip

import numpy as np
import pytest
import toy_organism as toy
from preparing import raw_values, run

from genexp.errors import UserError
from genexp.prepare.annotation import read_annotation

GENES = [f"ENSG{n:011}" for n in range(40)]
RNG = np.random.default_rng(3)
VALUES = RNG.gamma(2, 20, 40).round(3)


def table(path, columns):
    rows = zip(*columns.values(), strict=True)
    path.write_text("\n".join("\t".join(map(str, row)) for row in [tuple(columns), *rows]) + "\n")
    return path


def make(tmp_path, expression, features, **keys):
    lines = []
    files = {
        "expression": table(tmp_path / "e.tsv", expression),
        "halflife": table(tmp_path / "h.tsv", features),
    }
    out = run(lines.append, source="tables", **{k: str(f) for k, f in files.items()}, out=str(tmp_path / "out"), **keys)
    return out, "\n".join(lines)


@pytest.mark.parametrize("heading", ["pval", "FDR", "adj.P.Val", "fold_change", "%GC", "rowMeans", "CDSLEN", "z_score"])
def test_columns_that_are_no_samples_are_refused(tmp_path, heading):
    columns = {"gene": GENES, "S1": VALUES, "S2": VALUES + 1, heading: RNG.random(40)}
    with pytest.raises(UserError, match=r"samples: \[S1, S2\]"):
        make(tmp_path, columns, {"gene": GENES, "a": VALUES})


def test_a_count_of_reads_beside_samples_is_none(tmp_path):
    columns = {"gene": GENES, "S1": VALUES, "S2": VALUES + 1, "S3": VALUES + 2, "n_reads": range(40)}
    with pytest.raises(UserError, match=r"samples: \[S1, S2, S3\]"):
        make(tmp_path, columns, {"gene": GENES, "a": VALUES})


def test_a_feature_that_is_the_label_is_reported(tmp_path):
    features = {"gene": GENES, "level": np.log10(VALUES + 0.1), "other": RNG.random(40)}
    _, lines = make(tmp_path, {"gene": GENES, "TPM": VALUES}, features)
    assert "level of block H: correlation above 0.99 with the label expression" in lines


def test_one_file_for_labels_and_features_needs_the_columns_of_the_features(tmp_path):
    path = table(tmp_path / "e.tsv", {"gene": GENES, "TPM": VALUES})
    with pytest.raises(UserError, match="expression and halflife name the same file"):
        run(source="tables", expression=str(path), halflife=str(path), out=str(tmp_path / "out"))


def test_names_in_another_case_are_found_where_only_some_are(tmp_path):
    mixed = [gene if n % 2 else gene.lower() for n, gene in enumerate(GENES)]
    out, lines = make(tmp_path, {"gene": GENES, "TPM": VALUES}, {"gene": mixed, "a": RNG.random(40)})
    assert len(raw_values(out)) == 40
    assert "in upper or lower case" in lines


def test_a_join_of_few_genes_is_doubted(tmp_path):
    others = [gene if n < 7 else f"S{n}" for n, gene in enumerate(GENES)]
    held_out = {"split__valid": 2, "split__test": 2}
    _, lines = make(tmp_path, {"gene": GENES, "TPM": VALUES}, {"gene": others, "a": RNG.random(40)}, **held_out)
    assert "few names match" in lines


def test_a_split_label_that_is_none_is_not_held_out(tmp_path):
    parts = [("train", "train", "test", "dev")[n % 4] for n in range(40)]
    sequences = ["".join(RNG.choice(list("ACGT"), 30)) for _ in range(40)]
    path = table(tmp_path / "s.tsv", {"sequence": sequences, "label": VALUES, "split": parts})
    with pytest.raises(UserError, match="dev") as caught:
        run(source="sequences", table=str(path), out=str(tmp_path / "out"))
    assert "split.test=" not in str(caught.value)


@pytest.mark.parametrize("cut", [3, 20, 40, 60])
def test_an_annotation_that_is_cut_in_its_last_row_is_refused(tmp_path, cut):
    organism = toy.Organism()
    whole = toy.write_gtf(tmp_path / "whole.gtf", organism)
    text = gzip.decompress(whole.read_bytes()).decode() if whole.suffix == ".gz" else whole.read_text()
    path = tmp_path / "cut.gtf"
    path.write_text(text.rstrip("\n"))
    assert read_annotation(path).genes  # without a line end, but whole
    path.write_text(text.rstrip("\n")[:-cut])
    with pytest.raises(UserError, match="cut short"):
        read_annotation(path)
