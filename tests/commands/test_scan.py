"""``genexp scan``: a locus of a genome through an ensemble, as tracks that other programs read."""

import pandas as pd
import pytest
from toy_organism import Organism, write_genome, write_gtf

import genexp
from genexp.genomes.genome import Genome


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("genome")
    organism = Organism()
    write_genome(folder / "g.fa.gz", organism)
    write_gtf(folder / "g.gtf", organism)
    (folder / "h.csv").write_text("id,UTR5LEN\nENSG00001,1\n")
    return folder


def test_a_locus_becomes_tracks_that_are_those_of_single_promoters(finished_run, files, tmp_path, cli):
    pyBigWig = pytest.importorskip("pyBigWig", reason="needs the extra genome")
    words = ["region=3:1001-1500", "step=50", "features=mean", f"out={tmp_path / 'out'}", "hardware=cpu"]
    given = [f"run_dir={finished_run}", f"fasta={files / 'g.fa.gz'}", f"gtf={files / 'g.gtf'}"]
    done = cli("scan", *given, *words)
    assert (done.returncode, done.stderr) == (0, "")
    assert "3:1001-1500: 10 positions on both strands, one every 50 nt" in done.stdout
    table = pd.read_csv(tmp_path / "out" / "scan.tsv", sep="\t", dtype={"chromosome": str})
    run = genexp.open_run(finished_run)
    means = {"H": pd.read_csv(finished_run / "training_features.csv")["mean"].to_numpy("f4")[None]}
    genome = Genome(files / "g.fa.gz")
    for strand, name in (("+", "plus"), ("-", "minus")):
        with pyBigWig.open(str(tmp_path / "out" / f"{name}.bw")) as file:
            track = file.intervals("3")
        rows = table[table["strand"] == strand]
        assert [start for start, *_ in track] == rows["start"].tolist() == list(range(1000, 1500, 50))
        for start, end, value in track:
            expected = run.predict(genome.promoter("3", start, strand, (-200, 200))[None], means)
            assert (end - start, value) == (50, pytest.approx(expected.item(), abs=1e-5))


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["region=3:1-9000", "features=mean"], "past the end of its chromosome"),
        (["region=3"], "needs features=FILE or features=mean"),
        (["region=3", "features=mean", "tracks=[wig]"], "bedgraph"),
        (["features=mean"], "region"),
        (["region=3", "features=h.csv", "gene=YBL999"], "gene=YBL999 is not in features="),
    ],
)
def test_errors_leave_nothing_behind(finished_run, files, tmp_path, cli, words, expected):
    given = [f"run_dir={finished_run}", f"fasta={files / 'g.fa.gz'}", f"out={tmp_path / 'out'}"]
    done = cli("scan", *given, *words, cwd=files)
    assert done.returncode == 2
    assert expected in done.stderr
    assert list(tmp_path.iterdir()) == []
