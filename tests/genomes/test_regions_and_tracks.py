"""Regions as they are written, and tracks as other programs read them."""

import numpy as np
import pytest

from genexp.errors import UserError
from genexp.genomes.genome import Genome
from genexp.genomes.regions import Region, Written, parse, region_in
from genexp.genomes.tracks import FORMATS, Track


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("chr1", ("chr1", 0, None)),
        (" 2L ", ("2L", 0, None)),
        ("chr1:1001-2,000", ("chr1", 1000, 2000)),
        ("HLA-A*01:01:5-5", ("HLA-A*01:01", 4, 5)),
    ],
)
def test_regions_are_read(text, expected):
    assert parse(text) == expected


@pytest.mark.parametrize("text", ["", "chr1:", "chr1:5", "chr1:5-", "chr1:9-5", "chr1:0-5", ":1-5"])
def test_what_is_no_region_is_refused(text):
    with pytest.raises(UserError, match=r"this region has no bases|this is no region"):
        parse(text)


def test_a_region_has_the_ends_and_the_name_of_its_chromosome(tmp_path):
    (tmp_path / "g.fa").write_text(">chr1\nACGTACGT\n")
    genome = Genome(tmp_path / "g.fa")
    assert region_in(genome, Written("1", 0, None)) == Region("chr1", 0, 8)
    assert str(region_in(genome, Written("1", 2, 8))) == "chr1:3-8"
    with pytest.raises(UserError, match=r"past the end[^\0]*at most 8[^\0]*received: 9[^\0]*region=chr1:1-8"):
        region_in(genome, Written("1", 2, 9))


@pytest.mark.parametrize("name", list(FORMATS))
def test_tracks_are_read_back(tmp_path, name):
    start = np.arange(100, 1000, 100)
    values = np.random.default_rng(0).normal(size=9).astype(np.float32)
    path = tmp_path / f"t{FORMATS[name].suffix}"
    if FORMATS[name].package:
        pytest.importorskip(FORMATS[name].package, reason="needs the extra genome")
    FORMATS[name].write(path, Track('my "best"', "chrI", 990, start, np.minimum(start + 100, 990), values))
    if name == "bigwig":
        import pyBigWig

        with pyBigWig.open(str(path)) as file:
            found, lengths = file.intervals("chrI"), file.chroms()
        assert lengths == {"chrI": 990}
    else:
        head, *lines = path.read_text().splitlines()
        assert head == "track type=bedGraph name=\"my 'best'\""
        found = [(int(a), int(b), float(v)) for c, a, b, v in (line.split("\t") for line in lines) if c == "chrI"]
    assert [row[:2] for row in found] == [(n, min(n + 100, 990)) for n in range(100, 1000, 100)]
    assert np.array_equal(np.float32([row[2] for row in found]), values)
