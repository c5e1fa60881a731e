"""From raw files of a toy organism to a dataset that is read back, and every bad input with its message."""

import errno
import gzip
from functools import cache
from itertools import pairwise

import h5py
import numpy as np
import pytest
import toy_organism as toy
from omegaconf import OmegaConf, open_dict

from genexp.blocks import HALFLIFE_FEATURES
from genexp.commands import command_of
from genexp.config.compose import composed
from genexp.config.conf import CONF_DIR
from genexp.config.conf import load as load_conf
from genexp.config.validation import validate
from genexp.dataset.config import DatasetConfig
from genexp.dataset.genes import SPLITS
from genexp.dataset.sources import inspect, load
from genexp.errors import UserError
from genexp.features.tokens import text_from_tokens
from genexp.prepare import Config, prepare

ORGANISM = toy.Organism()
ENUMERATED = list(enumerate(ORGANISM.genes))
GENES = {gene.name: gene for gene in ORGANISM.genes}


FILES = load_conf(CONF_DIR / "dataset" / "files.yaml")


@pytest.fixture(autouse=True)
def quick_picture(request, monkeypatch):
    """Draw nothing, which takes longest, but where the picture is tested."""
    if "picture" not in request.node.name:
        monkeypatch.setattr("genexp.prepare.picture.draw_dataset", lambda path, *rest: path.write_bytes(b""))


@pytest.fixture
def raw(tmp_path):
    """The words of a command with the toy organism's files, as a dict to change."""
    return {
        "source": "genome",
        "fasta": str(toy.write_genome(tmp_path / "genome.fa.gz", ORGANISM)),
        "gtf": str(toy.write_gtf(tmp_path / "genes.gtf.gz", ORGANISM)),
        "expression": str(toy.write_expression(tmp_path / "expression.tsv", ORGANISM)),
        "upstream": toy.UPSTREAM,
        "downstream": toy.DOWNSTREAM,
        "out": str(tmp_path / "out"),
    }


@cache
def defaults():
    """Return conf/prepare.yaml as Hydra composes it; once, for that takes longer than a small dataset."""
    whole = composed(command_of("prepare"), ["source=genome", "out=o"], None)
    with open_dict(whole):
        del whole["hydra"]
    return whole


def run(words, **more):
    words = {key: value for key, value in (words | more).items() if value is not None}
    own = OmegaConf.from_dotlist([f"{key}={value}" for key, value in words.items()])
    config = validate(OmegaConf.to_container(OmegaConf.merge(defaults(), own)), Config, "the test")
    return prepare(config, note=print, warn=print)


def read(out, blocks="PH", fold=None):
    source = inspect(DatasetConfig(**FILES | {"root": str(out), "fold": fold}), blocks)
    return load(source, blocks, (0, source.description.promoter_length) if "P" in blocks else None)


def raw_values(out):
    """Return what genes.tsv says, by gene."""
    lines = [line.split("\t") for line in (out / "genes.tsv").read_text().splitlines()]
    return {line[0]: dict(zip(lines[0], line, strict=True)) for line in lines[1:]}


def refused(tmp_path, words, **more):
    """Return the message of a command that is refused, and check that nothing is left behind."""
    before = sorted(path.name for path in tmp_path.iterdir())
    with pytest.raises(UserError) as caught:
        run(words, **more)
    assert sorted(path.name for path in tmp_path.iterdir()) == before
    return str(caught.value)


def test_a_genome_becomes_a_dataset(tmp_path, raw):
    run(raw)
    dataset = read(tmp_path / "out")
    assert (dataset.description.tss, dataset.description.promoter_length) == (
        toy.UPSTREAM,
        toy.UPSTREAM + toy.DOWNSTREAM,
    )
    assert {name: len(split) for name, split in dataset.splits.items()} == {"train": 38, "valid": 5, "test": 5}
    written = raw_values(tmp_path / "out")
    for name, split in dataset.splits.items():
        for n, gene in enumerate(split.genes):
            known = GENES[str(gene)]
            assert text_from_tokens(split.blocks["P"][n]) == ORGANISM.promoter(known)
            assert written[gene]["split"] == name
            assert float(written[gene]["expression"]) == known.expression
            assert int(written[gene]["tss"]) == known.place((0, 1))[0]
            for feature, value in ORGANISM.features(known).items():
                assert float(written[gene][feature]) == pytest.approx(value, rel=1e-8)


def test_genes_with_one_promoter_are_split_as_all_others(tmp_path, raw):
    """Identical sequences are kept together where sequences are the source, and there alone."""
    run(raw)
    first = ORGANISM.genome["1"]
    text = "".join(f">{name}\n{first}\n" for name in ORGANISM.genome)  # each promoter four times
    run(raw, fasta=toy.write(tmp_path / "copies.fa", text), out=tmp_path / "copies")
    splits_of = [{gene: row["split"] for gene, row in raw_values(tmp_path / out).items()} for out in ("out", "copies")]
    assert splits_of[0] == splits_of[1]


def test_honest_scaling_is_fitted_on_the_training_genes_and_turned_back(tmp_path, raw):
    run(raw)
    dataset = read(tmp_path / "out")
    train = dataset.splits["train"]
    assert train.labels.mean() == pytest.approx(0, abs=1e-6)
    assert train.labels.std() == pytest.approx(1, abs=1e-5)
    gc = train.blocks["H"][:, HALFLIFE_FEATURES.index("CDSGC")]
    assert (gc.mean(), gc.std()) == (pytest.approx(0, abs=1e-6), pytest.approx(1, abs=1e-5))
    scaling = OmegaConf.load(tmp_path / "out" / "dataset.yaml").scaling[0]
    test = dataset.splits["test"]
    back = 10 ** (test.labels[:, 0].astype(float) * scaling.label.sd + scaling.label.mean) - scaling.label.log10_offset
    np.testing.assert_allclose(back, [GENES[str(gene)].expression for gene in test.genes], rtol=1e-5)


def test_the_card_has_checksums_counts_rules_and_the_config(tmp_path, raw):
    run(raw)
    card = OmegaConf.load(tmp_path / "out" / "dataset.yaml")
    assert set(card.sources) == {"fasta", "gtf", "expression"}
    assert all(len(source.sha256) == 64 for source in card.sources.values())
    assert [step.genes for step in card.genes] == [48] * 4
    assert {"transcript", "half-life", "missing UTR", "tss", "split", "guard", "padding"} <= set(card.rules)
    assert card.rules.padding.startswith("4 promoters")
    assert card.config.upstream == toy.UPSTREAM
    assert card.statistics.halflife.UTR5LEN.median == 30
    assert card.statistics.promoter.genes_with_n == 4


def test_the_picture_is_a_png(tmp_path, raw):
    run(raw, tf=write_targets(tmp_path))
    assert (tmp_path / "out" / "dataset.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize("flavour", ["refseq", "sgd"])
def test_gff3_and_other_names_of_chromosomes_and_genes(tmp_path, raw, flavour, capsys):
    raw["gtf"] = str(toy.write_gff3(tmp_path / "genes.gff", ORGANISM, flavour))
    raw["fasta"] = str(toy.write_genome(tmp_path / "genome.fa", ORGANISM, prefix="chr", width=LONG_LINES))
    table = (tmp_path / "expression.tsv").read_text().replace("ENSG", "Q").replace("Sym", "ENSG")
    lines = [line.split("\t") for line in table.splitlines()]
    symbols = {gene.name: gene.symbol for gene in ORGANISM.genes}
    rows = [f"{symbols[gene.name]}\t{line[2]}" for gene, line in zip(ORGANISM.genes, lines[1:], strict=True)]
    (tmp_path / "expression.tsv").write_text("\n".join(["symbol\tfpkm", *rows]))
    run(raw)
    printed = capsys.readouterr().out
    assert "1 is chr1" in printed
    assert "joined by" in printed
    values = raw_values(tmp_path / "out")
    assert {float(values[name]["expression"]) for name in values} == {gene.expression for gene in ORGANISM.genes}


LONG_LINES = 100_000


def test_versions_are_ignored_or_stripped(tmp_path, raw, capsys):
    raw["gtf"] = str(toy.write_gtf(tmp_path / "genes.gtf", ORGANISM, prefix="chr", version=".7", flavour="gencode"))
    run(raw)
    assert "joined by id without version" in capsys.readouterr().out
    assert set(raw_values(tmp_path / "out")) == {f"{name}.7" for name in GENES}
    run(raw, out=tmp_path / "stripped", **{"genes.strip_versions": "true"})
    assert set(raw_values(tmp_path / "stripped")) == set(GENES)


def test_peaks_move_promoters(tmp_path, raw):
    gene = ORGANISM.genes[2]
    (tmp_path / "peaks.bed").write_text(
        f"chr{gene.chromosome}\t{gene.start + 10}\t{gene.start + 11}\tp1@{gene.symbol}\t9\t+\n"
    )
    run(raw, tss=tmp_path / "peaks.bed")
    assert int(raw_values(tmp_path / "out")[gene.name]["tss"]) == gene.start + 11


def test_promoters_alone_need_no_cds(tmp_path, raw):
    rows = [row for row in toy.gtf_rows(ORGANISM) if "\texon\t" in row]
    raw["gtf"] = str(toy.write(tmp_path / "exons.gtf", "\n".join(rows)))
    run(raw, halflife="false")
    dataset = read(tmp_path / "out", "P")
    assert dataset.description.blocks == "P"
    assert text_from_tokens(dataset.splits["test"].blocks["P"][0]) == ORGANISM.promoter(
        GENES[str(dataset.splits["test"].genes[0])]
    )


def test_missing_utrs_are_dropped_on_request(tmp_path, raw):
    gene = ORGANISM.genes[0]
    rows = [
        row if gene.name not in row or "\tCDS\t" not in row else toy.gtf_row(gene, "CDS", (0, 100), row.split("\t")[8])
        for row in toy.gtf_rows(ORGANISM)
    ]
    raw["gtf"] = str(toy.write(tmp_path / "x.gtf", "\n".join(rows)))
    run(raw)
    assert float(raw_values(tmp_path / "out")[gene.name]["UTR5GC"]) == 0
    run(raw, out=tmp_path / "dropped", **{"genes.missing_utr": "drop"})
    assert set(raw_values(tmp_path / "dropped")) == set(GENES) - {gene.name}


def test_a_hard_masked_genome_is_warned_about(tmp_path, raw, capsys):
    run(raw)
    assert "hard-masked" not in capsys.readouterr().out
    bases = gzip.decompress((tmp_path / "genome.fa.gz").read_bytes()).decode().splitlines()
    whole = [line if line.startswith(">") else line[:20] + "N" * (len(line) - 20) for line in bases]
    raw["fasta"] = str(toy.write(tmp_path / "masked.fa", "\n".join(whole)))
    run(raw, out=tmp_path / "masked")
    said = "of the promoters' bases within the chromosomes are N: if the genome is hard-masked (dna_rm, .masked), use"
    assert said in capsys.readouterr().out
    assert said in OmegaConf.load(tmp_path / "masked" / "dataset.yaml").rules["N"]


def test_expression_is_joined_by_the_column_that_has_the_names(tmp_path, raw, capsys):
    (_, *samples), *rows = [line.split("\t") for line in (tmp_path / "expression.tsv").read_text().splitlines()]
    lines = [["gene_id", "symbol", *samples], *([f"x{n}", *row] for n, row in enumerate(rows))]
    raw["expression"] = str(toy.write(tmp_path / "ids.tsv", "\n".join(map("\t".join, lines))))
    run(raw)
    assert "genes are joined by column symbol" in capsys.readouterr().out
    assert set(raw_values(tmp_path / "out")) == set(GENES)


def test_genes_of_a_mask_are_left_out(tmp_path, raw):
    (tmp_path / "mask.txt").write_text('# histones\nENSG00003.2\n"Sym5",a remark\nunknown\n')
    run(raw, mask=tmp_path / "mask.txt")
    assert set(raw_values(tmp_path / "out")) == set(GENES) - {"ENSG00003", "ENSG00005"}


def write_targets(folder, genes=40):
    lines = ["gene\tTF1\tTF2"] + [f"{gene.name}\t{n % 2}\t{n % 3 % 2}" for n, gene in enumerate(ORGANISM.genes[:genes])]
    return toy.write(folder / "tf.tsv.gz", "\n".join(lines))


@pytest.mark.parametrize(("absent", "left"), [("zero", 48), ("drop", 40)])
def test_genes_without_targets(tmp_path, raw, absent, left):
    run(raw, tf=write_targets(tmp_path), **{"absent.tf": absent})
    dataset = read(tmp_path / "out", "PHT")
    assert dataset.description.feature_names["T"] == ("TF1", "TF2")
    assert sum(len(split) for split in dataset.splits.values()) == left
    order = [gene.name for gene in ORGANISM.genes]
    for split in dataset.splits.values():
        for gene, row in zip(split.genes, split.blocks["T"], strict=True):
            n = order.index(str(gene))
            assert row.tolist() == ([n % 2, n % 3 % 2] if n < 40 else [0, 0])


def test_tables_alone_with_a_given_split(tmp_path, raw):
    lines = ["gene\tset"] + [f"{gene.name}\t{SPLITS[n % 3]}" for n, gene in enumerate(ORGANISM.genes[:45])]
    given = toy.write(tmp_path / "split.tsv", "\n".join(lines))
    pairs = ["mirna\tgene"] + [f"mir{n % 7}\t{gene.symbol}" for n, gene in enumerate(ORGANISM.genes)]
    del raw["fasta"], raw["gtf"]
    mirna = toy.write(tmp_path / "pairs.tsv", "\n".join(pairs).replace("Sym", "ENSG000").replace("ENSG000", "ENSG"))
    mirna.write_text("mirna\tgene\n" + "\n".join(f"mir{n % 7}\t{gene.name}" for n, gene in enumerate(ORGANISM.genes)))
    more = {"split.by": "file", "split.file": given, "absent.tf": "zero"}
    run(raw, source="tables", mirna=mirna, tf=write_targets(tmp_path), upstream=None, **more)
    dataset = read(tmp_path / "out", "TM")
    assert {name: len(split) for name, split in dataset.splits.items()} == {"train": 15, "valid": 15, "test": 15}
    assert dataset.description.widths == {"T": 2, "M": 7}
    order = [gene.name for gene in ORGANISM.genes]
    assert dataset.splits["valid"].blocks["M"].argmax(axis=1).tolist() == [
        order.index(str(gene)) % 7 for gene in dataset.splits["valid"].genes
    ]
    run(raw, source="tables", mirna=mirna, out=tmp_path / "svd", svd=3, **more)
    assert read(tmp_path / "svd", "M").description.feature_names["M"] == ("SVD1", "SVD2", "SVD3")
    with np.load(tmp_path / "svd" / "svd.npz") as kept:
        assert kept["directions"].shape == (3, 7)


def test_svd_is_cut_to_what_there_is(tmp_path, raw, capsys):
    del raw["fasta"], raw["gtf"]
    lines = ["gene\t" + "\t".join(f"mir{m}" for m in range(9))]
    lines += [
        f"{gene.name}\t" + "\t".join(str(int(m < 8 and m % 3 == n % 3)) for m in range(9)) for n, gene in ENUMERATED
    ]
    run(raw, source="tables", mirna=toy.write(tmp_path / "m.tsv", "\n".join(lines)), svd=7)
    printed = " ".join("".join(capsys.readouterr()).split())
    assert "columns of mirna that are 0 for every gene: 1 of 9 (mir8)" in printed
    assert "svd=7 asked for more than the 3" in printed
    assert read(tmp_path / "out", "M").description.widths == {"M": 3}
    card = OmegaConf.load(tmp_path / "out" / "dataset.yaml")
    assert card.rules.svd.startswith("3 of 9 directions, 100.0%")
    assert "svd=7" in card.rules.svd


def write_table(tmp_path):
    return {
        "source": "xpresso_table",
        "table": toy.write_table(tmp_path / "t.txt.gz", ORGANISM),
        "out": tmp_path / "out",
    }


def test_the_published_recipe(tmp_path):
    """Against pandas and the published script's arithmetic, written out here."""
    import pandas as pd

    words = write_table(tmp_path)
    run(words, recipe="published", **{"split.valid": 6, "split.test": 7})
    table = pd.read_csv(words["table"], sep="\t", index_col=0)
    logged = [name for name in table.columns[:9] if not name.endswith("GC")]
    table[logged] = np.log10(table[logged] + 0.1)
    table = table.sample(frac=1, random_state=1)
    numbers = table.iloc[:, :9].astype(float)
    deviation = numbers.std(ddof=0).where(numbers.std(ddof=0) > 1e-12, 1)
    table[table.columns[:9]] = (numbers - numbers.mean()) / deviation
    dataset = read(tmp_path / "out")
    bounds = dict(zip(SPLITS, pairwise([0, 35, 41, 48]), strict=True))
    for name, (first, last) in bounds.items():
        split, part = dataset.splits[name], table.iloc[first:last]
        assert split.genes.tolist() == part.index.tolist()
        np.testing.assert_allclose(split.labels[:, 0], part["EXPRESSION"], atol=1e-6)
        np.testing.assert_allclose(split.blocks["H"], part[list(HALFLIFE_FEATURES)].astype(float), atol=1e-6)
        assert [text_from_tokens(row) for row in split.blocks["P"]] == part["PROMOTER"].tolist()


def test_table_and_genome_give_the_same(tmp_path, raw):
    run(raw)
    run(write_table(tmp_path), out=tmp_path / "table")
    from_genome, from_table = raw_values(tmp_path / "out"), raw_values(tmp_path / "table")
    for gene in GENES:
        for feature in ("expression", *HALFLIFE_FEATURES):
            assert float(from_genome[gene][feature]) == pytest.approx(float(from_table[gene][feature]), rel=1e-8)


def test_folds(tmp_path, raw):
    run(raw, **{"split.folds": 4, "split.by": "chromosome"})
    tested = []
    for fold in range(1, 5):
        splits = read(tmp_path / "out", fold=fold).splits
        assert sum(len(split) for split in splits.values()) == 48
        places = [{GENES[str(gene)].chromosome for gene in split.genes} for split in splits.values()]
        assert [len(place) for place in places] == [2, 1, 1]
        tested += splits["test"].genes.tolist()
        for gene, row in zip(splits["train"].genes, splits["train"].blocks["P"], strict=True):
            assert text_from_tokens(row) == ORGANISM.promoter(GENES[str(gene)])
    assert sorted(tested) == sorted(GENES)


def test_groups_from_a_file_stay_together(tmp_path):
    lines = ["gene\tfamily"] + [f"{gene.name}\tf{n % 9}" for n, gene in enumerate(ORGANISM.genes)]
    file = toy.write(tmp_path / "families.tsv", "\n".join(lines))
    run(write_table(tmp_path), **{"split.by": "group", "split.file": file})
    family = {gene.name: n % 9 for n, gene in enumerate(ORGANISM.genes)}
    families = [{family[str(g)] for g in split.genes} for split in read(tmp_path / "out").splits.values()]
    assert len(set.union(*families)) == sum(map(len, families))


def test_guard_drops_training_genes_that_overlap(tmp_path, raw, capsys):
    run(raw, upstream=400)
    assert "split.guard=true drops them" in capsys.readouterr().out
    run(raw, upstream=400, out=tmp_path / "guarded", **{"split.guard": "true"})
    splits = read(tmp_path / "guarded").splits
    place = {g.name: (g.chromosome, g.place((0, 1))[0], g.strand) for g in ORGANISM.genes}

    def window(gene):
        chromosome, tss, strand = place[str(gene)]
        return chromosome, *((tss - 400, tss + 40) if strand == "+" else (tss - 39, tss + 401))

    held_out = [window(gene) for name in ("valid", "test") for gene in splits[name].genes]
    for gene in splits["train"].genes:
        chromosome, left, right = window(gene)
        assert not any(chromosome == c and left < r and first < right for c, first, r in held_out)
    assert len(splits["train"]) < 38


# Bad input, each with its message.


def edit(path, change):
    """Change the text of a file, gzip or not."""
    packed = str(path).endswith(".gz")
    with (gzip.open if packed else open)(path, "rt") as file:
        text = file.read()
    with (gzip.open if packed else open)(path, "wt") as file:
        file.write(change(text))


def test_genome_without_the_chromosome(tmp_path, raw):
    edit(raw["fasta"], lambda text: text[: text.index(">3")])
    message = refused(tmp_path, raw)
    assert "24 of 48 genes cannot be read" in message
    assert "24 chromosome not in the genome" in message
    assert "hint: skip the chromosomes: 'genes.skip_chromosomes=[3,4]'" in message
    run(raw, **{"genes.skip_chromosomes": "[3,4]"})
    assert len(raw_values(tmp_path / "out")) == 24


def test_wrong_strand_column(tmp_path, raw):
    edit(raw["gtf"], lambda text: text.replace("\t-\t", "\t?\t"))
    message = refused(tmp_path, raw)
    assert "received: 24 no strand (ENSG00001 1, TENSG00001, line " in message
    assert "genes.tolerance=0.5" in message
    run(raw, **{"genes.tolerance": 0.5})
    assert len(raw_values(tmp_path / "out")) == 24


def test_exons_only(tmp_path, raw):
    edit(raw["gtf"], lambda text: text.replace("\tCDS\t", "\tutr\t"))
    assert "the annotation has no CDS rows of a gene" in refused(tmp_path, raw)


def test_duplicate_genes(tmp_path, raw):
    edit(raw["expression"], lambda text: text.replace("fpkm", "activity") + "ENSG00007\tSym7\t3\n")
    assert "gene ENSG00007 occurs twice" in refused(tmp_path, raw)


@pytest.mark.parametrize(("value", "words"), [("-4", "an expression value is negative"), ("high", "is not a number")])
def test_impossible_expression(tmp_path, raw, value, words):
    edit(raw["expression"], lambda text: text + f"another\tS\t{value}\n")
    assert words in refused(tmp_path, raw)


def test_empty_join(tmp_path, raw):
    edit(raw["expression"], lambda text: text.replace("ENSG", "FBgn").replace("Sym", "dm"))
    message = refused(tmp_path, raw)
    assert "the join is empty" in message
    assert "FBgn00000" in message
    assert "ENSG00000" in message


def test_window_longer_than_the_chromosome(tmp_path, raw):
    message = refused(tmp_path, raw, upstream=7000)
    assert "48 promoter window longer than its chromosome" in message
    assert "hint: take a shorter window" in message


@pytest.mark.parametrize("key", ["fasta", "gtf"])
def test_gzip_cut_short(tmp_path, raw, key):
    path = tmp_path / raw[key].split("/")[-1]
    path.write_bytes(path.read_bytes()[:-20])
    assert "this gzip file is cut short" in refused(tmp_path, raw)


@pytest.mark.parametrize("garbage", [b"garbage", b"x", b"much that is not gzip" * 9])
def test_something_after_gzip(tmp_path, raw, garbage):
    path = tmp_path / raw["gtf"].split("/")[-1]
    path.write_bytes(path.read_bytes() + garbage)
    assert "something follows the end of this gzip file" in refused(tmp_path, raw)


def test_table_cut_short(tmp_path):
    words = write_table(tmp_path)
    words["table"].write_bytes(words["table"].read_bytes()[:-20])
    assert "this gzip file is cut short" in refused(tmp_path, words)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda text: text.replace("ENSID\t", "ID\t"), "the table lacks the column ENSID"),
        (lambda text: text + text.splitlines()[1] + "\n", "gene ENSG00000 occurs twice"),
        (lambda text: text.replace("\t67\t", "\t-67\t", 1), "a value is negative or missing"),
        (lambda text: text.replace("\t67\t", "\tlong\t", 1), "1 of 48 values is not a number"),
        (lambda text: text.rstrip("\n") + "A\n", "promoters differ in length"),
        (lambda text: text.replace("\t67\t", "\t", 1), "another number of columns than its header"),
        (lambda text: text.rstrip("\n")[:-1] + "!\n", "a promoter holds something other than bases"),
        (lambda text: text.splitlines()[0] + "\n", "this table has no rows"),
    ],
)
def test_bad_tables(tmp_path, change, message):
    words = write_table(tmp_path)
    edit(words["table"], change)
    assert message in refused(tmp_path, words)


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"split.test": 100}, "'train' has 0 genes\n  where: split.valid, split.test"),
        ({"split.test": 1, "split.valid": 1}, "'valid' has 1 gene\n  where: split.valid, split.test"),
        ({"split.by": "chromosome", "split.test": 2}, "write 'split.test=[2]' for the chromosome"),
        ({"split.by": "chromosome", "split.test": "[1,2,3]", "split.valid": 1}, "write 'split.valid=[1]'"),
        ({"split.by": "chromosome", "split.test": "[1,2,3,4]"}, "has 0 genes\n  where: split.by=chromosome, train"),
        ({"split.by": "chromosome", "split.folds": 5}, "where: split.folds, fold"),
        ({"split.guard": "true", "upstream": 5900, "split.test": 20}, "has 0 genes\n  where: split.guard"),
        ({"recipe": "published"}, "recipe=published holds out 1,000 in each"),
        ({"recipe": "published", "split.folds": 5}, "where: split.valid, fold 1"),
        ({"split.by": "chromosome", "split.test": "[9]"}, "no gene lies on chromosome 9"),
        ({"split.test": "[1]"}, "split.test is impossible"),
    ],
)
def test_impossible_splits(tmp_path, raw, more, message):
    assert message in refused(tmp_path, raw, **more)


@pytest.mark.parametrize(
    ("by", "cell", "words"),
    [
        ("file", lambda n: ("train", "test")[n % 2], "'valid' has 0 genes\n  where: split.file="),
        ("group", lambda n: "one", "where: split.by=group"),
    ],
)
def test_files_that_leave_a_split_empty(tmp_path, raw, by, cell, words):
    lines = ["gene\tfamily"] + [f"{gene.name}\t{cell(n)}" for n, gene in ENUMERATED]
    file = toy.write(tmp_path / "s.tsv", "\n".join(lines))
    assert words in refused(tmp_path, raw, **{"split.by": by, "split.file": file})


def test_a_mask_of_everything(tmp_path, raw):
    toy.write(tmp_path / "mask.txt", "\n".join(GENES))
    assert "the mask leaves no genes" in refused(tmp_path, raw, mask=tmp_path / "mask.txt")


@pytest.mark.parametrize(
    ("key", "text", "more", "words"),
    [
        ("fasta", "", {}, "this FASTA file is empty"),
        ("fasta", "gene\t1\n", {}, "this is not a FASTA file"),
        ("expression", "ENSG00001\t5\nENSG00002\t6\n", {}, "this table has no header"),
        ("expression", "gene\tS1\nENSG00002\t6\n", {"samples": "[S9]"}, "there is no column S9"),
        ("tf", "gene\tTF1\n", {}, "this table has no rows"),
    ],
)
def test_wrong_files_are_reported_before_the_annotation_is_read(tmp_path, raw, monkeypatch, key, text, more, words):
    monkeypatch.setattr("genexp.prepare.source.genome.read_annotation", None)
    assert words in refused(tmp_path, raw, **{key: toy.write(tmp_path / "wrong", text)}, **more)


def test_an_expression_table_whose_header_is_a_gene(tmp_path, raw):
    edit(
        raw["expression"], lambda text: text.split("\n", 1)[1].replace(f"\t{ORGANISM.genes[0].expression}\n", "\tNA\n")
    )
    message = refused(tmp_path, raw)
    assert "this table has no header" in message
    assert "received: ENSG00000" in message


def test_the_column_that_says_the_split_is_named(tmp_path, raw, capsys):
    lines = ["gene\tsize\tset"] + [f"{gene.name}\t{n}\t{SPLITS[n % 3]}" for n, gene in ENUMERATED]
    file = toy.write(tmp_path / "s.tsv", "\n".join(lines))
    run(raw, **{"split.by": "file", "split.file": file})
    assert "column set of s.tsv" in capsys.readouterr().out
    assert "column set of" in OmegaConf.load(tmp_path / "out" / "dataset.yaml").rules.split


def test_places_are_needed_for_some_splits(tmp_path):
    words = write_table(tmp_path)
    assert "on which chromosome" in refused(tmp_path, words, **{"split.by": "chromosome"})
    assert "overlaps cannot be found" in refused(tmp_path, words, **{"split.guard": "true"})


def test_same_expression_everywhere(tmp_path, raw):
    edit(raw["expression"], lambda text: "\n".join(line.rsplit("\t", 1)[0] + "\t1" for line in text.splitlines()))
    edit(raw["expression"], lambda text: text.replace("gene_name\t1", "gene_name\tfpkm", 1))
    assert "all genes have the same expression" in refused(tmp_path, raw)


def test_disk_full_leaves_nothing(tmp_path, raw, monkeypatch):
    def full(*rest):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("genexp.dataset.writer._write_columns", full)
    assert "No space left on device" in refused(tmp_path, raw)


def test_disk_full_at_the_card_leaves_nothing(tmp_path, raw, monkeypatch):
    def full(*rest):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("genexp.prepare.card.write_atomically", full)
    message = refused(tmp_path, raw)
    assert "No space left on device" in message
    assert "no partial files were left" in message


@pytest.mark.parametrize("where", ["genexp.prepare.source.genome.read_bases", "genexp.prepare.card.write_card"])
def test_interrupted_leaves_nothing(tmp_path, raw, monkeypatch, where):
    def stop(*rest):
        raise KeyboardInterrupt

    monkeypatch.setattr(where, stop)
    before = sorted(path.name for path in tmp_path.iterdir())
    with pytest.raises(KeyboardInterrupt):
        run(raw)
    assert sorted(path.name for path in tmp_path.iterdir()) == before


def test_a_dataset_is_never_written_over(tmp_path, raw):
    run(raw)
    with h5py.File(tmp_path / "out" / "train.h5") as file:
        assert file.attrs["source"].startswith("genexp prepare source=genome: genome.fa.gz")
    assert "the folder already contains a dataset" in refused(tmp_path, raw)


def test_a_table_whose_columns_are_the_genes(tmp_path, raw):
    names = [gene.name for gene in ORGANISM.genes]
    rows = ["\t".join(["sample", *names]), *("\t".join([f"S{n}", *map(str, range(len(names)))]) for n in range(3))]
    message = refused(tmp_path, raw, expression=toy.write(tmp_path / "turned.tsv", "\n".join(rows)))
    assert "48 columns and 0 rows are named after genes" in message


def test_labels_and_their_unit_reach_the_dataset(tmp_path, raw):
    rows = ["gene\tS1_TPM\tS2_TPM\tS3_TPM", *(f"{gene.name}\t{n}\t{n + 2}\t{n * n}" for n, gene in ENUMERATED)]
    table = toy.write(tmp_path / "e.tsv", "\n".join(rows))
    run(raw, expression=table, label="{liver: [S1_TPM, S2_TPM], brain: [S3_TPM]}", pseudocount=1)
    description = read(tmp_path / "out").description
    assert (description.labels, description.unit) == (("liver", "brain"), "log10(TPM + 1), standardised")
    order = [gene.name for gene in ORGANISM.genes]
    for gene, row in raw_values(tmp_path / "out").items():
        assert (float(row["liver"]), float(row["brain"])) == (order.index(gene) + 1, order.index(gene) ** 2)
