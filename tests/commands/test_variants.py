"""``genexp variants``: variants near genes through an ensemble, as a table."""

import json
import shutil

import numpy as np
import pandas as pd
import pytest
from toy_organism import Organism, write, write_genome, write_gtf

import genexp


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("genome")
    organism = Organism()
    write_genome(folder / "g.fa", organism, prefix="chr")
    write_gtf(folder / "g.gtf", organism)
    gene = organism.genes[15]
    at = gene.place((0, 1))[0] + 30
    ref = organism.genome[gene.chromosome][at - 1]
    alts = [base for base in "ACGT" if base != ref][:2]
    row = f"{gene.chromosome}\t{at}\t{ref}\t{alts[0]},{ref}{alts[1]}\trs1\n"
    write(folder / "v.tsv", f"chromosome\tposition\tref\talt\tid\n{row}")
    ids = "".join(f"{each.name}{',0.5' * 8}\n" for each in organism.genes)
    features = ("UTR5LEN", "CDSLEN", "INTRONLEN", "UTR3LEN", "UTR5GC", "CDSGC", "UTR3GC", "ORFEXONDENSITY")
    write(folder / "h.csv", f"id,{','.join(features)}\n{ids}")
    return folder


def words_of(files, finished_run, **changes):
    keys = {"run_dir": finished_run, "vcf": files / "v.tsv", "fasta": files / "g.fa", "gtf": files / "g.gtf"}
    keys |= {"features": files / "h.csv", "scaled": "true", "hardware": "cpu", **changes}
    return [f"{key}={value}" for key, value in keys.items()]


def test_the_table_is_what_a_notebook_gets(finished_run, files, tmp_path, cli):
    out = tmp_path / "v.tsv"
    again = shutil.copytree(finished_run, tmp_path / "again")
    done = cli("variants", *words_of(files, f"[{finished_run},{again}]", out=out))
    assert (done.returncode, done.stderr) == (0, "")
    table = pd.read_csv(out, sep="\t", dtype={"chromosome": str})
    assert {"ENSG00015"} < {*table["gene"]}  # and its neighbour on the other strand
    assert {*table["strand"]} == {"+", "-"}
    assert len(table) == 2 * table["gene"].nunique()
    np.testing.assert_allclose(table["difference"], table["alternative"] - table["reference"], atol=1e-7)
    assert (table["sd"] == 0).all()
    assert (table["agreement"] == 1).all()
    record = json.loads((tmp_path / "v.tsv.json").read_text())
    assert record["counts"]["variants"] == 1
    keys = {"vcf": files / "v.tsv", "fasta": files / "g.fa", "gtf": files / "g.gtf", "features": files / "h.csv"}
    same = genexp.open_run(finished_run).variants(**keys, scaled=True, progress=False)
    np.testing.assert_allclose(same["difference"], table["difference"], atol=1e-7)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"features": "null"}, "needs features=FILE or features=mean"),
        ({"out": "v.xlsx"}, "the suffix of the table tells no format"),
        ({"haplotypes": "true"}, "haplotypes need genotypes"),
        ({"fasta": "protein.fa"}, "holds something other than bases"),
        ({"fasta": "empty.fa"}, "a chromosome has no bases"),
        ({"features": "few.csv"}, "the join is empty"),
    ],
)
def test_errors_leave_nothing_behind(finished_run, files, tmp_path, cli, changes, expected):
    write(files / "protein.fa", ">chr2\nMKELV\n")
    write(files / "empty.fa", ">chr2\n>chr3\nACGT\n")
    write(files / "few.csv", (files / "h.csv").read_text().replace("ENSG000", "other"))
    done = cli("variants", *words_of(files, finished_run, **{"out": tmp_path / "v.tsv", **changes}), cwd=files)
    assert done.returncode == 2
    assert expected in done.stderr
    assert list(tmp_path.iterdir()) == []
