import gzip

import pytest
import toy_organism as toy
from hypothesis import given, settings
from hypothesis import strategies as st

from genexp.errors import UserError
from genexp.prepare.annotation import read_annotation
from genexp.prepare.config import GenesConfig
from genexp.prepare.ledger import Ledger
from genexp.prepare.left_out import Reason
from genexp.prepare.records import Transcript
from genexp.prepare.transcripts import (
    choose_transcripts,
    halflife_lengths,
    merged,
    parts_problem,
    regions,
    split_spliced,
)

ORGANISM = toy.Organism()


RULES = GenesConfig(
    id=None,
    biotypes=None,
    transcript="canonical",
    strip_versions=False,
    skip_chromosomes=[],
    stop_codon="as_annotated",
    missing_utr="zero",
    lengths="exact",
    tolerance=0.01,
)


def choose(annotation, ledger=None, need_cds=True, **rules):
    chosen = RULES.model_copy(update=rules)
    stop_codon = chosen.stop_codon if need_cds else None
    return choose_transcripts(annotation, chosen, ledger or Ledger(), stop_codon=stop_codon)


def write_flavour(folder, flavour):
    path = folder / "genes.gz"
    if flavour == "gencode":
        return toy.write_gtf(path, ORGANISM, prefix="chr", version=".3", flavour="gencode")
    if flavour == "ensembl_gtf":
        return toy.write_gtf(path, ORGANISM)
    return toy.write_gff3(path, ORGANISM, flavour)


FLAVOURS = ("ensembl_gtf", "gencode", "ensembl", "refseq", "sgd", "bacterium")


@pytest.mark.parametrize(
    ("end", "whole"),
    [
        ("; level 2", True),
        ("; exon_number 1", True),
        ("; tag", False),
        ("; transcript_id T00", False),
        ('; tag "ba', False),
    ],
)
def test_a_last_row_without_the_end_of_its_line(tmp_path, end, whole):
    path = tmp_path / "x.gtf"
    toy.write_gtf(path, ORGANISM)
    path.write_text(path.read_text().rstrip().rstrip(";") + end)
    if whole:
        assert read_annotation(path).transcripts
    else:
        with pytest.raises(UserError, match="the last row of this annotation is cut short"):
            read_annotation(path)


@pytest.mark.parametrize(
    ("attribute", "name"),
    [
        ("locus=abc-1", "abc-1"),
        ("sequence_name=Y1A.3", "Y1A.3"),
        ("symbol=NAC001", "NAC001"),
        ("Alias=ANAC001,NAC domain%2C one", "ANAC001"),
        ("gene_synonym=P53,LFS1", "P53"),
    ],
)
def test_further_names_of_genes(tmp_path, attribute, name):
    path = tmp_path / "x.gff3"
    rows = [f"gene\t1\t90\t.\t+\t.\tID=g1;{attribute}", "mRNA\t1\t90\t.\t+\t.\tID=t1;Parent=g1"]
    rows += ["exon\t1\t90\t.\t+\t.\tParent=t1", "CDS\t1\t90\t.\t+\t0\tID=c1;Parent=t1"]
    path.write_text("##gff-version 3\n" + "".join(f"chr1\tx\t{row}\n" for row in rows))
    names = read_annotation(path).genes["g1"].names
    assert names[attribute.partition("=")[0]] == name


@pytest.mark.parametrize("flavour", FLAVOURS)
def test_every_flavour_gives_the_same_genes(tmp_path, flavour):
    annotation = read_annotation(write_flavour(tmp_path, flavour))
    chosen = choose(annotation, biotypes=["protein_coding"], strip_versions=True)
    assert chosen.names.ids.tolist() == [gene.name for gene in ORGANISM.genes]
    assert chosen.strand.tolist() == [gene.strand for gene in ORGANISM.genes]
    assert chosen.tss.tolist() == [gene.place((0, 1))[0] - 1 for gene in ORGANISM.genes]
    assert any(others.tolist() == [gene.symbol for gene in ORGANISM.genes] for others in chosen.names.others.values())
    holds_stop = flavour not in ("ensembl_gtf", "gencode")
    for transcript in chosen.transcripts:
        pieces = regions(transcript)
        length = {name: sum(end - start for start, end in found) for name, found in pieces.items()}
        assert length == {"UTR5": 30, "CDS": 143 if holds_stop else 140, "UTR3": 67}
        lengths = halflife_lengths(transcript, pieces)
        assert lengths["INTRONLEN"] == 60 + 3 * (not holds_stop)
        assert lengths["ORFEXONDENSITY"] == pytest.approx(2000 / length["CDS"])


@pytest.mark.parametrize(("rule", "cds"), [("as_annotated", 140), ("included", 143), ("excluded", 140)])
def test_stop_codon_of_a_gtf(tmp_path, rule, cds):
    annotation = read_annotation(write_flavour(tmp_path, "ensembl_gtf"))
    for transcript in annotation.transcripts:
        pieces = regions(transcript, rule)
        assert sum(end - start for start, end in pieces["CDS"]) == cds
        assert len(pieces["CDS"]) == 2
        assert sum(end - start for start, end in pieces["UTR3"]) == 67


def test_stop_codon_that_the_cds_holds_is_taken_out(tmp_path):
    rows = [row.replace("\tCDS\t", "\tcds\t") for row in toy.gtf_rows(ORGANISM)]
    gene = ORGANISM.genes[1]
    about = f'gene_id "{gene.name}"; transcript_id "T{gene.name}";'
    rows += [toy.gtf_row(gene, "CDS", part, about) for part in ((30, 100), (160, 233))]
    annotation = read_annotation(toy.write(tmp_path / "x.gtf", "\n".join(rows)))
    transcript = next(t for t in annotation.transcripts if t.name == f"T{gene.name}")
    assert sum(end - start for start, end in regions(transcript, "as_annotated")["CDS"]) == 143
    assert sum(end - start for start, end in regions(transcript, "excluded")["CDS"]) == 140
    assert sum(end - start for start, end in regions(transcript, "excluded")["UTR3"]) == 67


def test_stop_codon_must_be_known_to_be_moved(tmp_path):
    annotation = read_annotation(write_flavour(tmp_path, "ensembl"))
    assert parts_problem(annotation.transcripts[0], "as_annotated") is None
    assert parts_problem(annotation.transcripts[0], "included") is Reason.STOP


def test_published_lengths_lack_a_base_for_each_exon(tmp_path):
    annotation = read_annotation(write_flavour(tmp_path, "ensembl_gtf"))
    transcript = annotation.transcripts[0]
    found = halflife_lengths(transcript, regions(transcript), "published")
    assert found == {"UTR5LEN": 29, "CDSLEN": 138, "UTR3LEN": 66, "INTRONLEN": 299 - 233, "ORFEXONDENSITY": 14.49}


PIECES = st.lists(st.tuples(st.integers(0, 40), st.integers(1, 9)), min_size=1, max_size=6).map(
    lambda found: merged((start * 3, start * 3 + length) for start, length in found)
)


@settings(max_examples=50, deadline=None)
@given(pieces=PIECES, bases=st.integers(0, 60), from_left=st.booleans())
def test_splitting_keeps_every_base_and_takes_the_outermost(pieces, bases, from_left):
    taken, rest = split_spliced(pieces, bases, from_left=from_left)

    def every(found):
        return [n for start, end in found for n in range(start, end)]

    whole = every(pieces)
    number = min(bases, len(whole))
    assert sorted(every(taken) + every(rest)) == whole
    assert every(taken) == (whole[:number] if from_left else whole[len(whole) - number :])
    assert all(start < end for start, end in taken + rest)


def make(name, tags=(), cds=(0, 30), exons=(0, 60)):
    transcript = Transcript(name, "G", "1", "+", tags=frozenset(tags))
    transcript.own.extend((0, 60))
    transcript.cds.extend(cds)
    transcript.exons.extend(exons)
    return transcript


@pytest.mark.parametrize(
    ("found", "rule", "best"),
    [
        ([make("a"), make("b", ["Ensembl_canonical"], (0, 9))], "canonical", "b"),
        ([make("a", ["Ensembl_canonical"]), make("b", ["MANE_Select"])], "canonical", "b"),
        ([make("a"), make("b", ["Ensembl_canonical"], (0, 9))], "longest_cds", "a"),
        ([make("a", cds=(0, 9)), make("b")], "canonical", "b"),
        ([make("a"), make("b", exons=(0, 99))], "canonical", "b"),
        ([make("b"), make("a")], "canonical", "a"),
    ],
)
def test_choice_of_transcript(tmp_path, found, rule, best):
    annotation = read_annotation(write_flavour(tmp_path, "ensembl_gtf"))
    annotation.transcripts = found
    annotation.genes = {"G": next(iter(annotation.genes.values()))}
    assert choose(annotation, transcript=rule).transcripts[0].name == best


ROW = '1\tx\texon\t1\t9\t.\t+\t.\tgene_id "g"; transcript_id "t";'


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "this annotation has no rows"),
        (">1\nACGT\n", "neither GTF nor GFF3"),
        (ROW.replace("gene_id", "id_of_gene"), r'no row names a gene[\s\S]*gene_id[\s\S]*received: id_of_gene "g"'),
        ("1\tx\texon\t1\t9\t.\t+\t.\t", "no row names a gene"),
        ("1\tx\texon\t1\t9\n", r"neither GTF nor GFF3[\s\S]*5 columns"),
    ],
)
def test_bad_annotation(tmp_path, text, words):
    with pytest.raises(UserError, match=words):
        read_annotation(toy.write(tmp_path / "x.gtf", text))


@pytest.mark.parametrize(
    ("rows", "problem"),
    [
        ([ROW.replace("\t+\t", "\t.\t")], Reason.NO_STRAND),
        ([ROW.replace("\t+\t", "\t1\t")], Reason.NO_STRAND),
        ([ROW.replace("\t9\t", "\tnine\t")], Reason.COORDINATES),
        ([ROW.replace("\t1\t9\t", "\t9\t1\t")], Reason.COORDINATES),
        ([ROW.replace("\t1\t", "\t0\t")], Reason.COORDINATES),
        ([ROW, ROW.replace("\t+\t", "\t-\t")], Reason.BOTH_STRANDS),
        ([ROW, ROW.replace("1\tx", "2\tx").replace('"t"', '"u"')], Reason.PLACES),
        ([ROW, ROW.replace("\t+\t", "\t-\t").replace('"t"', '"u"')], Reason.PLACES),
    ],
)
def test_a_gene_that_cannot_be_read_has_a_reason(tmp_path, rows, problem):
    annotation = read_annotation(toy.write(tmp_path / "x.gtf", "\n".join(rows)))
    assert [t.problem for t in choose(annotation, need_cds=False).transcripts] == [problem]


def test_exons_only(tmp_path):
    annotation = read_annotation(toy.write(tmp_path / "x.gtf", ROW))
    with pytest.raises(UserError, match=r"no CDS rows of a gene[\s\S]*exons only[\s\S]*halflife=false"):
        choose(annotation)
    assert len(choose(annotation, need_cds=False)) == 1


def test_transcript_ids_that_many_genes_share(tmp_path):
    """As in NCBI's GTF of bacteria."""
    rows = [
        f'c\tx\t{kind}\t{first}\t{last}\t.\t{strand}\t.\tgene_id "{gene}"; transcript_id "unassigned_transcript_1";'
        for gene, start, strand in (("a", 1, "+"), ("b", 101, "-"), ("c", 201, "+"))
        for kind, first, last in (("CDS", start, start + 29), ("stop_codon", start + 30, start + 32))
    ]
    chosen = choose(read_annotation(toy.write(tmp_path / "x.gtf", "\n".join(rows))))
    assert chosen.names.ids.tolist() == ["a", "b", "c"]
    assert chosen.tss.tolist() == [0, 129, 200]
    assert [len(transcript.stop) for transcript in chosen.transcripts] == [2, 2, 2]


@pytest.mark.parametrize("flavour", FLAVOURS)
def test_a_file_that_was_concatenated_twice_is_read_once(tmp_path, flavour):
    path = write_flavour(tmp_path, flavour)
    once = choose(read_annotation(path))
    path.write_bytes(path.read_bytes() * 2 if flavour != "sgd" else gzip.compress(sgd_twice(path)))
    warnings = []
    annotation, ledger = read_annotation(path), Ledger(warn=warnings.append)
    twice = choose(annotation, ledger)
    assert twice.names.ids.tolist() == once.names.ids.tolist()
    assert [regions(t) for t in twice.transcripts] == [regions(t) for t in once.transcripts]
    assert twice.tss.tolist() == once.tss.tolist()
    assert annotation.repeated >= 2 * len(once)
    assert f"{annotation.repeated:,} rows" in ledger.rules["repeated rows"]
    assert [words for words in warnings if "counted once" in words]


def sgd_twice(path):
    rows = gzip.decompress(path.read_bytes()).split(b"##FASTA")[0]
    return rows * 2


@pytest.mark.parametrize(
    ("cds", "exons", "problem"),
    [
        ((0, 30), (0, 60, 50, 80), Reason.EXONS),
        ((0, 30, 20, 50), (0, 60), Reason.CDS),
        ((0, 30, 27, 50), (), Reason.CDS),
        ((0, 70), (0, 60), Reason.OUTSIDE),
        ((0, 30, 100, 120), (0, 60), Reason.OUTSIDE),
        ((10, 90), (0, 60, 80, 120), Reason.OUTSIDE),
    ],
)
def test_parts_that_do_not_fit(cds, exons, problem):
    assert parts_problem(make("a", cds=cds, exons=exons)) is problem


def test_a_ribosome_that_slips_back_reads_bases_twice_that_are_there_once():
    transcript = make("a", cds=(0, 30, 29, 60), exons=())
    assert parts_problem(transcript) is None
    pieces = regions(transcript)
    assert pieces["CDS"] == [(0, 60)]
    assert halflife_lengths(transcript, pieces)["INTRONLEN"] == 0


@settings(max_examples=100, deadline=None)
@given(
    exons=st.lists(st.tuples(st.integers(0, 60), st.integers(1, 30)), max_size=4),
    cds=st.lists(st.tuples(st.integers(0, 60), st.integers(1, 30)), min_size=1, max_size=4),
    row=st.tuples(st.integers(0, 40), st.integers(1, 60)),
    lengths=st.sampled_from(["exact", "published"]),
)
def test_an_intron_length_is_never_negative(exons, cds, row, lengths):
    transcript = Transcript("t", "G", "1", "+")
    transcript.own.extend((row[0], sum(row)))
    for part, found in ((transcript.exons, exons), (transcript.cds, cds)):
        part.extend([position for start, length in found for position in (start, start + length)])
    if parts_problem(transcript) is None:
        assert halflife_lengths(transcript, regions(transcript), lengths)["INTRONLEN"] >= 0


def test_the_tss_is_where_the_first_exon_begins(tmp_path):
    """A transcript's own row says otherwise in annotations that were put together."""
    gene = ORGANISM.genes[1]
    rows = [widened(row) if "\ttranscript\t" in row and gene.name in row else row for row in toy.gtf_rows(ORGANISM)]
    warnings = []
    ledger = Ledger(warn=warnings.append)
    chosen = choose(read_annotation(toy.write(tmp_path / "x.gtf", "\n".join(rows))), ledger)
    assert chosen.tss.tolist() == [known.place((0, 1))[0] - 1 for known in ORGANISM.genes]
    assert "whose row ends elsewhere than their exons, which count: 1" in ledger.rules["tss"]
    assert "which count: 1" in "".join(warnings)


def widened(row):
    columns = row.split("\t")
    return "\t".join([*columns[:4], str(int(columns[4]) + 70), *columns[5:]])


@pytest.mark.parametrize("skip", [["1", "2", "3", "chr4"], ["*"]])
def test_not_every_chromosome_can_be_skipped(tmp_path, skip):
    with pytest.raises(UserError, match=r"skips every chromosome[\s\S]*some of 1, 2, 3, 4"):
        read_annotation(write_flavour(tmp_path, "ensembl_gtf"), skip_chromosomes=skip)


def test_chromosomes_to_skip_that_do_not_occur_are_reported(tmp_path):
    annotation = read_annotation(write_flavour(tmp_path, "ensembl_gtf"), skip_chromosomes=["2", "Mito", "*_alt"])
    assert annotation.absent == ["Mito", "*_alt"]
    warnings = []
    assert set(choose(annotation, Ledger(warn=warnings.append)).chromosome) == {"1", "3", "4"}
    assert len([line for line in warnings if "no chromosome" in line]) == 2


@pytest.mark.parametrize("pattern", ["*_alt", "chr1_*", "CHR?_GL*"])
def test_chromosomes_are_skipped_by_patterns(tmp_path, pattern):
    rows = ROW + "\n" + ROW.replace("1\tx", "chr1_GL383518v1_alt\tx").replace('"t"', '"u"')
    annotation = read_annotation(toy.write(tmp_path / "x.gtf", rows), skip_chromosomes=[pattern])
    assert [t.name for t in annotation.transcripts] == ["t"]
    assert not annotation.absent


def test_skipped_chromosomes_are_not_read(tmp_path):
    bad = ROW.replace("\t+\t", "\t?\t").replace("1\tx", "chrM\tx")
    annotation = read_annotation(toy.write(tmp_path / "x.gtf", ROW + "\n" + bad), skip_chromosomes=["MT"])
    assert [t.name for t in annotation.transcripts] == ["t"]


def test_biotypes(tmp_path):
    annotation = read_annotation(write_flavour(tmp_path, "ensembl_gtf"))
    with pytest.raises(UserError, match=r"no gene of the annotation is left[\s\S]*protein_coding"):
        choose(annotation, biotypes=["lncRNA"])


def test_id_attribute(tmp_path):
    path = write_flavour(tmp_path, "ensembl_gtf")
    chosen = choose(read_annotation(path, id_key="gene_name"))
    assert chosen.names.ids.tolist() == [gene.symbol for gene in ORGANISM.genes]


@pytest.mark.parametrize("name", ["tRNA; anticodon CAU", "5'-nucleotidase;"])
def test_names_with_semicolons_are_read_whole(tmp_path, name):
    path = write_flavour(tmp_path, "ensembl_gtf")
    symbol = ORGANISM.genes[0].symbol
    text = gzip.decompress(path.read_bytes()).decode()
    path.write_bytes(gzip.compress(text.replace(f'gene_name "{symbol}"', f'gene_name "{name}"').encode()))
    assert choose(read_annotation(path, id_key="gene_name")).names.ids[0] == name
