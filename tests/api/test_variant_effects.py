"""Effects of variants by linear models: those of whole chromosomes that carry them."""

import gzip
from copy import copy
from types import SimpleNamespace
from urllib.parse import quote, unquote

import numpy as np
import pandas as pd
import pytest
from made_models import LinearPredictor, made_run
from toy_organism import DOWNSTREAM, UPSTREAM, Organism, ToyGene, with_files, write, write_genome, write_gff3

from genexp import console
from genexp.api import variant_carriers, variant_effects
from genexp.api.requests import requested
from genexp.errors import UserError
from genexp.features.tokens import tokens_from_text
from genexp.genomes.genome import Genome
from genexp.genomes.variants import Site, carrying

SHIFTS = [-3, 0, 2]


@pytest.fixture
def toy(monkeypatch, tmp_path):
    """An organism with its files in the working directory, and linear models."""
    monkeypatch.setattr(variant_effects, "Predictor", LinearPredictor)
    monkeypatch.setattr(variant_effects, "CHUNK", 32)
    monkeypatch.chdir(tmp_path)
    return with_files(tmp_path)


def planned(run, **keys):
    files = {"vcf": "v.tsv", "fasta": "g.fa", "gtf": "g.gtf", "shifts": SHIFTS}
    return variant_carriers.check(run, requested("variants", variant_carriers.Request, {**files, **keys}))


def drawn(toy, number=120, seed=0):
    """Return variants near TSSs: chromosome, position from 1, ref, alt."""
    rng, rows = np.random.default_rng(seed), set()
    while len(rows) < number:
        gene = toy.genes[rng.integers(1, len(toy.genes))]
        sequence = toy.genome[gene.chromosome]
        at = max(0, gene.place((0, 1))[0] - 1 + int(rng.integers(-70, 70)))
        tss = gene.place((0, 1))[0] - 1
        ref = sequence[at : at + int(rng.choice([1, 1, 4]))]
        alt = str(rng.choice(list("ACGT"))) if len(ref) == 1 else ref[0]
        alt += "ACG" * int(rng.integers(0, 2)) if len(ref) == 1 and alt == ref else ""
        if ref != alt and not (len(ref) > 1 and at < tss < at + len(ref)):
            rows.add((gene.chromosome, at + 1, ref, alt))
    return sorted(rows)


def carried(toy, gene, position, ref, alt):
    """Return the promoter of a gene with `SHIFTS` where an allele moves bases, cut from a whole chromosome."""
    sequence, at = toy.genome[gene.chromosome], position - 1
    assert sequence[at : at + len(ref)] == ref
    tss = gene.place((0, 1))[0] - 1
    moved = len(alt) - len(ref) if at < tss else 0
    whole = copy(toy)
    whole.genome = {gene.chromosome: sequence[:at] + alt + sequence[at + len(ref) :]}
    found = []
    for shift in SHIFTS if len(alt) != len(ref) else [0]:
        step = shift if gene.strand == "+" else -shift
        there = type(gene)(gene.name, "", gene.chromosome, gene.start + moved + step, gene.strand, 0.0)
        found.append(tokens_from_text(whole.promoter(there)))
    return np.stack(found)


def test_effects_are_those_of_whole_chromosomes(toy, tmp_path):
    rows, run = drawn(toy), made_run(tmp_path)
    frame = pd.DataFrame(rows, columns=["chromosome", "position", "ref", "alt"])
    frame.to_csv("v.tsv", sep="\t", index=False)
    table = pd.concat(variant_effects.effects(planned(run)), ignore_index=True)
    model, genes = LinearPredictor(run), {gene.name: gene for gene in toy.genes}
    seen = set()
    for row in table.to_dict("records"):
        gene = genes[row["gene"]]
        tss = gene.place((0, 1))[0]
        assert (row["chromosome"], row["strand"], row["tss"]) == (gene.chromosome, gene.strand, tss)
        if len(row["ref"]) == len(row["alt"]):
            assert row["distance"] == (row["position"] - tss) * (1 if gene.strand == "+" else -1)
        alleles = [carried(toy, gene, row["position"], row["ref"], allele) for allele in (row["ref"], row["alt"])]
        if len(row["ref"]) != len(row["alt"]):
            alleles[0] = np.concatenate([_reference(toy, gene, shift) for shift in SHIFTS])
        ref, alt = (model(tokens, {})[..., 0].astype(np.float64).mean(axis=1) for tokens in alleles)
        difference = alt - ref
        found = [row[name] for name in ("reference", "alternative", "difference", "sd", "agreement")]
        agreement = (np.sign(difference) == np.sign(difference.mean())).mean()
        expected = [ref.mean(), alt.mean(), difference.mean(), difference.std(ddof=1), agreement]
        np.testing.assert_allclose(found, expected, atol=1e-5)
        seen.add((row["chromosome"], row["position"], row["ref"], row["alt"], gene.name))
    for chromosome, position, ref, alt in rows:  # what is not in the table changes nothing
        for gene in (gene for gene in toy.genes if gene.chromosome == chromosome):
            if (chromosome, position, ref, alt, gene.name) not in seen:
                same = carried(toy, gene, position, ref, alt)[SHIFTS.index(0) if len(ref) != len(alt) else 0]
                assert np.array_equal(same, tokens_from_text(toy.promoter(gene)))


def _reference(toy, gene, shift):
    step = shift if gene.strand == "+" else -shift
    there = type(gene)(gene.name, "", gene.chromosome, gene.start + step, gene.strand, 0.0)
    return tokens_from_text(toy.promoter(there, UPSTREAM, DOWNSTREAM))[None]


def vcf(toy, calls, samples=("S1", "S2"), prefix="chr"):
    """Write variants near the first gene of chromosome 2, each with the genotype of each sample."""
    gene = next(gene for gene in toy.genes if gene.chromosome == "2" and gene.strand == "+")
    tss = toy.genome["2"]
    first = gene.place((0, 1))[0] - 1
    lines = ["##fileformat=VCFv4.2", f"##contig=<ID={prefix}2,length=6000>"]
    lines += ['##FORMAT=<ID=GT,Number=1,Type=String,Description="Genotype">']
    lines += ["\t".join(["#CHROM", "POS", "ID", "REF", "ALT", "QUAL", "FILTER", "INFO", "FORMAT", *samples])]
    for offset, alts, *genotypes in calls:
        ref = tss[first + offset]
        lines.append("\t".join([f"{prefix}2", str(first + offset + 1), ".", ref, alts(ref), *"...", "GT", *genotypes]))
    write(toy.folder / "v.vcf", "\n".join(lines) + "\n")
    return gene


def other(ref):
    return "ACGT"["ACGT".index(ref) - 1]


def test_phased_haplotypes_carry_their_alleles_together(toy, tmp_path, monkeypatch):
    pytest.importorskip("pysam", reason="needs the extra genome")
    toy.folder, said = tmp_path, []
    monkeypatch.setattr(console, "say", said.append)
    calls = [(-20, other, "0|1", "1/1"), (-5, other, "1|1", "0/0"), (7, lambda ref: f"{other(ref)},*", "0|1", "0|2")]
    gene = vcf(toy, calls)
    plan = planned(made_run(tmp_path), vcf="v.vcf", haplotypes=True)
    table = pd.concat(variant_effects.effects(plan), ignore_index=True)
    at = gene.place((0, 1))[0]
    counts = [(row["sample"], row["haplotype"], row["variants"].count(">")) for row in table.to_dict("records")]
    assert counts == [("S1", 1, 1), ("S1", 2, 3), ("S2", 1, 1), ("S2", 2, 1)]
    assert table["variants"][0].startswith(f"{at - 5}:")
    single = planned(made_run(tmp_path), vcf="v.vcf")
    alone = pd.concat(variant_effects.effects(single), ignore_index=True)
    both = table["difference"][1]
    np.testing.assert_allclose(both, alone["difference"].sum(), atol=1e-5)  # the models are linear


def test_unknown_phase_and_alleles_that_exclude_each_other_are_left_out(toy, tmp_path):
    pytest.importorskip("pysam", reason="needs the extra genome")
    toy.folder = tmp_path
    calls = [
        (-20, other, "0/1", "0|1", "0/1", "./1", "0|0"),
        (-20, lambda ref: other(other(ref)), "0|1", "0|1", "0/0", "0/0", "0|0"),
        (-8, other, "1|1", "1|1", "1|1", "1|1", "1|1"),
        (-7, lambda _: "<DEL>", "0|0", "0|0", "0|0", "0|0", "0|1"),
    ]
    vcf(toy, calls, samples=("unphased", "twice", "one", "missing", "symbol"))
    plan = planned(made_run(tmp_path), vcf="v.vcf", haplotypes=True)
    assert [carrier.cells[:2] for carrier in plan.carriers] == [("twice", 1), ("one", 1), ("one", 2)]
    assert plan.counts["genes of samples with unknown phase or alleles"] == 3
    assert plan.counts["haplotypes with alleles that exclude each other"] == 1


@pytest.mark.parametrize(
    ("offset", "alt", "info", "genotype", "known"),
    [
        (-150, "<DEL>", "END={tss+150}", "1|1", False),
        (-150, "<DEL>", "SVLEN=-300", "0|1", False),
        (-150, "<DUP:TANDEM>", "SVLEN=300", "1|1", False),
        (-150, "<INV>", "END={tss+150}", "1|1", False),
        (-150, "{ref}[chr2:{tss+150}[", ".", "1|1", False),
        (150, "]chr2:{tss-150}]{ref}", ".", "1|1", False),
        (-10, "{ref}[chr1:100[", ".", "1|1", False),
        (-150, "<NON_REF>", "END={tss+150}", "./.", False),
        (-150, ".", "END={tss+150}", "./.", False),
        (-150, "{ref}[chr1:{tss+150}[", ".", "1|1", True),
        (-150, "<DEL>", "SVLEN=-80", "1|1", True),
        (-150, "<INS>", "SVLEN=300", "1|1", True),
        (-150, "<DEL>", "END={tss+150}", "0|0", True),
        (-61, "*,<NON_REF>", ".", "./.", True),
    ],
)
@pytest.mark.parametrize("anchor", ["", "N"])
def test_samples_with_alleles_that_reach_over_a_window_are_left_out(
    toy, tmp_path, offset, alt, info, genotype, known, anchor
):
    pytest.importorskip("pysam", reason="needs the extra genome")
    gene = next(gene for gene in toy.genes if gene.chromosome == "2" and gene.strand == "+" and gene.start > 900)
    sequence, tss = toy.genome["2"], gene.place((0, 1))[0]

    def row(offset, alt, info, *genotypes, ref=""):
        ref = ref or sequence[tss + offset - 1]
        named = {"ref": ref, "tss+150": tss + 150, "tss-150": tss - 150}
        cells = ("chr2", tss + offset, ".", ref, alt.format(**named), ".", ".", info.format(**named), "GT", *genotypes)
        return "\t".join(map(str, cells)) + "\n"

    head = "\t".join(["#CHROM", "POS", "ID", "REF", "ALT", "QUAL", "FILTER", "INFO", "FORMAT", "S1", "S2"])
    head = f'##fileformat=VCFv4.2\n##contig=<ID=chr2>\n##FORMAT=<ID=GT,Number=1,Type=String,Description="">\n{head}\n'
    snp = row(-20, other(sequence[tss - 21]), ".", "0|1", "0|1")
    write(tmp_path / "v.vcf", head + snp + row(offset, alt, info, genotype, "0|0", ref=anchor))
    plan = planned(made_run(tmp_path), vcf="v.vcf", haplotypes=True)
    ids = plan.genes.raw.names.ids
    found = [carrier.cells[0] for carrier in plan.carriers if ids[carrier.gene] == gene.name]
    assert found == (["S1", "S2"] if known else ["S2"])
    assert plan.counts["reference alleles that differ from the genome"] == 0
    single = planned(made_run(tmp_path), vcf="v.vcf")
    assert {carrier.cells[1] for carrier in single.carriers} == {tss - 20}


def test_alleles_whose_reference_differs_are_unknown_in_haplotypes(toy, tmp_path):
    pytest.importorskip("pysam", reason="needs the extra genome")
    toy.folder = tmp_path
    vcf(toy, [(n, other, "0|0", "1|1") for n in range(-15, -4)] + [(-3, other, "1|1", "0|0")])
    text = (tmp_path / "v.vcf").read_text().splitlines()
    cells = text[-1].split("\t")
    cells[3], cells[4] = cells[4], cells[3]
    write(tmp_path / "v.vcf", "\n".join([*text[:-1], "\t".join(cells)]) + "\n")
    plan = planned(made_run(tmp_path), vcf="v.vcf", haplotypes=True)
    assert [carrier.cells[:2] for carrier in plan.carriers] == [("S2", 1), ("S2", 2)]
    assert plan.counts["genes of samples with unknown phase or alleles"] == 1


def circle(folder, turn=0):
    """Write a chromosome of 1,000 nt that is circular, or as a linear one that begins elsewhere; return its bases."""
    toy = Organism()
    toy.genome = {"M": toy.genome["1"][:1000]}
    toy.genes = [ToyGene("a", "a", "M", (5 + turn) % 1000, "+", 0.0), ToyGene("b", "b", "M", 696 - turn, "-", 0.0)]
    if turn:
        toy.genome["M"] = toy.genome["M"][-turn:] + toy.genome["M"][:-turn]
        toy.genes[1] = ToyGene("b", "b", "M", 696 + turn - 1000, "-", 0.0)
    write_genome(folder / "g.fa", toy, prefix="chr")
    path = write_gff3(folder / "g.gff3", toy, "bacterium")
    if not turn:
        path.write_text(path.read_text() + "M\ttoy\tregion\t1\t1000\t.\t+\t.\tID=M;Is_circular=true\n")
    return toy.genome["M"]


def test_variants_across_the_origin_of_a_circular_chromosome(toy, tmp_path):
    tables = []
    for turn in (0, 400):
        bases = circle(tmp_path, turn)
        rows = []
        for at, length, more in [(980, 1, "A"), (20, 1, ""), (990, 3, ""), (998, 4, ""), (1, 1, ""), (500, 1, "")]:
            at = (at + turn) % 1000
            ref = (bases * 2)[at : at + length]
            rows.append(("chrM", at + 1, ref, ref[0] + more if length > 1 or more else other(ref)))
        pd.DataFrame(rows, columns=["chromosome", "position", "ref", "alt"]).to_csv("v.tsv", sep="\t", index=False)
        plan = planned(made_run(tmp_path), gtf="g.gff3")
        tables.append(pd.concat(variant_effects.effects(plan), ignore_index=True).drop(columns=["position", "tss"]))
    pd.testing.assert_frame_equal(*tables)
    assert len(tables[0]) == 10  # each of five variants near both genes
    assert tables[0]["distance"][0] == -24


def test_a_circle_shorter_than_the_window_carries_a_variant_each_time_that_it_is_seen(tmp_path):
    bases = "ACGTTGCATTAGCCATAGGACTTACCGATTGACAGTCCAT"
    for name, text in (("g.fa", bases), ("h.fa", bases[:9] + "G" + bases[10:])):
        write(tmp_path / name, f">p\n{text}\n")
    genome, changed = (Genome(tmp_path / name, circular={"p": 40}) for name in ("g.fa", "h.fa"))
    raw = SimpleNamespace(chromosome=np.array(["p", "p"]), tss=np.array([3, 38]), strand=np.array(["+", "-"]))
    genes = variant_carriers.Genes(genome, raw, (-60, 40))
    assert genes.near("p", 9, 10) == [0, 1]
    for gene in (0, 1):
        edits = genes.edits(gene, Site(".", "p", 9, "T", ("G",)), "G")
        assert len(edits) in (2, 3)
        found = carrying(genome, genes.place(gene), genes.window, edits)[0]
        assert np.array_equal(found, changed.promoter(*genes.place(gene), genes.window))


TABLE = "chromosome\tposition\tref\talt\n"


def table_of(toy, wrong=0, right=20):
    lines = [(n + 1, toy.genome["1"][n]) for n in range(10, 10 + right + wrong)]
    return TABLE + "".join(f"1\t{n}\t{other(r) if k < wrong else r}\tN,{other(r)}\n" for k, (n, r) in enumerate(lines))


def test_reference_alleles_that_differ_are_counted_and_left_out(toy, tmp_path, capsys):
    write(tmp_path / "v.tsv", table_of(toy, wrong=2))
    plan = planned(made_run(tmp_path))
    assert plan.counts["reference alleles that differ from the genome"] == 2
    assert plan.counts["alleles that are no sequence"] == 20
    assert "2 of 22 reference alleles differ from the genome" in capsys.readouterr().out
    assert all(carrier.cells[1] > 12 for carrier in plan.carriers)


@pytest.mark.parametrize(
    ("table", "keys", "expected"),
    [
        (lambda toy: table_of(toy, wrong=3), {}, r"another assembly[^\0]*3 of 23 reference alleles differ: 1:11"),
        (lambda _: TABLE + "7\t1\tA\tC\n", {}, "no variant lies on a chromosome that has genes"),
        (
            lambda _: "Pos\t" + TABLE.replace("position", "POS") + "1\t1\t1\tA\tC\n",
            {},
            "two columns may be the position",
        ),
        (lambda _: TABLE + "1\t11\t\tC\n", {}, r"ref is empty\n.*line 2\n"),
        (lambda toy: TABLE + f"1\t5999\t{toy.genome['1'][5998]}\tA,C,G,T\n", {}, "no variant changes what the models"),
        (table_of, {"features": "mean"}, "needs no features="),
        (table_of, {"shifts": []}, "shifts"),
        (table_of, {"genes": {"biotypes": ["x"]}}, "no gene of the annotation is left"),
        (table_of, {"genes": {"biotype": ["x"]}}, "did you mean"),
        (table_of, {"gtf": "g.fa"}, "neither GTF nor GFF3"),
    ],
)
def test_errors_are_reported_before_anything_is_predicted(toy, tmp_path, table, keys, expected):
    write(tmp_path / "v.tsv", table(toy))
    with pytest.raises(UserError, match=expected):
        planned(made_run(tmp_path), **keys)


def test_headings_as_in_a_vcf_and_other_names_of_chromosomes(toy, tmp_path, capsys):
    write(tmp_path / "v.tsv", table_of(toy))
    plain = planned(made_run(tmp_path)).carriers
    assert "chromosomes of" not in capsys.readouterr().out.replace("chromosomes of v.tsv in g.fa: 1 is chr1", "")
    for headings in ("CHROM\tPOS\tREF\tALT\n", "#CHROM\tPOS\tREF\tALT\n"):
        write(tmp_path / "v.tsv", table_of(toy).replace(TABLE, headings))
        assert planned(made_run(tmp_path)).carriers == plain


def test_a_vcf_without_variants(toy, tmp_path):
    pytest.importorskip("pysam", reason="needs the extra genome")
    toy.folder = tmp_path
    vcf(toy, [])
    with pytest.raises(UserError, match="this file has no variants"):
        planned(made_run(tmp_path), vcf="v.vcf")
    with pytest.raises(UserError, match=r"\.tsv or \.txt or \.parquet or \.vcf or \.vcf\.gz"):
        variant_effects.check_out(
            tmp_path / "v.csv",
            requested("variants", variant_carriers.Request, {"vcf": "v.vcf", "fasta": "", "gtf": ""}),
        )


def test_a_vcf_is_written_again_with_the_results(toy, tmp_path):
    pysam = pytest.importorskip("pysam", reason="needs the extra genome")
    toy.folder = tmp_path
    calls = [
        (-20, lambda ref: f"{other(ref)},<DEL>", "0|1", "1/1"),
        (-5, other, "1|1", "0/0"),
        (200, other, "0/0", "0/0"),
    ]
    gene = vcf(toy, calls)
    run, out = made_run(tmp_path), tmp_path / "out.vcf.gz"
    plan = planned(run, vcf="v.vcf")
    variant_effects.check_out(out, plan.request)
    variant_effects.write(plan, out, "the command")
    table = pd.concat(variant_effects.effects(plan), ignore_index=True)
    with pysam.VariantFile(str(out)) as file:
        names = file.header.info["GENEXP"].description.partition(": ")[2].split("|")
        records = [record.info.get("GENEXP") for record in file]
    again = tmp_path / "again.vcf.gz"
    variant_effects.write(planned(run, vcf="out.vcf.gz"), again, "the command")
    assert gzip.decompress(again.read_bytes()) == gzip.decompress(out.read_bytes())
    assert names == ["alt", "gene", "strand", "distance", "reference", "alternative", "difference", "sd", "agreement"]
    assert [len(entries or ()) for entries in records] == [1, 1, 0]
    for (entry,), row in zip(records[:2], table.to_dict("records"), strict=True):
        cells = dict(zip(names, entry.split("|"), strict=True))
        assert (cells["gene"], cells["alt"], int(cells["distance"])) == (gene.name, row["alt"], row["distance"])
        np.testing.assert_allclose(float(cells["difference"]), row["difference"], rtol=1e-5)
    with pytest.raises(UserError, match="it exists already"):
        variant_effects.check_out(out, plan.request)
    with pytest.raises(UserError, match="only single variants of a VCF"):
        variant_effects.check_out(tmp_path / "b.vcf", plan.request.model_copy(update={"haplotypes": True}))


def test_entries_of_a_vcf_are_one_for_each_allele_and_gene_whatever_they_are_called(toy, tmp_path):
    pysam = pytest.importorskip("pysam", reason="needs the extra genome")
    toy.folder, labels = tmp_path, ("a|b", 'c "d",e')
    gene = vcf(toy, [(-5, other, "1|1", "0/0")] * 2)
    name = "gene;1,2 x=3"
    path = write_gff3(tmp_path / "g.gff3", toy)
    path.write_text(path.read_text().replace(gene.name, quote(name)))
    plan = planned(made_run(tmp_path, labels=labels), vcf="v.vcf", gtf="g.gff3")
    assert plan.genes.raw.names.ids.tolist() == [name]
    variant_effects.write(plan, tmp_path / "out.vcf", "the command")
    table = pd.concat(variant_effects.effects(plan), ignore_index=True)
    with pysam.VariantFile(str(tmp_path / "out.vcf")) as file:
        columns = [unquote(each) for each in file.header.info["GENEXP"].description.partition(": ")[2].split("|")]
        records = [record.info["GENEXP"] for record in file]
    assert [len(entries) for entries in records] == [1, 1]
    for (entry,) in records:
        cells = dict(zip(columns, map(unquote, entry.split("|")), strict=True))
        assert cells["gene"] == name
        for label in labels:
            np.testing.assert_allclose(float(cells[f"difference_{label}"]), table[f"difference_{label}"], rtol=1e-5)
