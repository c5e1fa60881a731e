import gzip

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from genexp.errors import UserError
from genexp.features.tokens import text_from_tokens, tokens_from_text
from genexp.prepare.fasta import check_fasta, chromosome_aliases, plain_name, read_fasta
from genexp.prepare.opening import checksum, existing, open_bytes, open_text


def joined(path):
    return {record.name: text_from_tokens(tokens_from_text(record.bases)) for record in read_fasta(path)}


NAMES = st.lists(st.from_regex(r"[A-Za-z0-9_.]{1,8}", fullmatch=True), min_size=1, max_size=4, unique=True)


@settings(max_examples=80, deadline=None)
@given(
    data=st.data(), names=NAMES, width=st.integers(1, 30), end=st.sampled_from(["\n", "\r\n", "\r", "\n\n", " \r\n"])
)
def test_any_genome_is_read_alike_whatever_its_lines(tmp_path_factory, data, names, width, end):
    genome = {name: data.draw(st.text("ACGTN", max_size=60)) for name in names}
    text = data.draw(st.sampled_from(["", "\ufeff", "\ufeff\n", "\n"]))
    for name, bases in genome.items():
        text += f">{name} more words > here \xe9{end}"
        text += "".join(bases[n : n + width] + end for n in range(0, len(bases), width))
    if data.draw(st.booleans()):
        text = text.rstrip("\r\n")
    path = tmp_path_factory.mktemp("fasta") / "genome.fa"
    raw = text.encode(data.draw(st.sampled_from(["utf-8", "latin-1"])) if not text.startswith("\ufeff") else "utf-8")
    path.write_bytes(gzip.compress(raw) if data.draw(st.booleans()) else raw)
    assert joined(path) == genome


def test_lower_case_and_ambiguity_codes(tmp_path):
    path = tmp_path / "genome.fa"
    path.write_text(">1\nacgtRYkmU*-\n")
    assert joined(path) == {"1": "ACGTNNNNTNN"}


@pytest.mark.parametrize("end", [b"\n", b"\r"])
def test_bgzip_is_a_gzip_of_many_members(tmp_path, end):
    text = b">1\n" + b"ACGT" * 5000 + b"\n"
    path = tmp_path / "genome.fa.gz"
    text = text.replace(b"\n", end)
    path.write_bytes(b"".join(gzip.compress(text[n : n + 777]) for n in range(0, len(text), 777)) + gzip.compress(b""))
    assert joined(path) == {"1": "ACGT" * 5000}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (b"", "this FASTA file is empty"),
        (b"\xef\xbb\xbf", "this FASTA file is empty"),
        (b"ACGT\n", "this is not a FASTA file"),
        (b"@read\nACGT\n+\nIIII\n", "this is not a FASTA file"),
        (">1\nACGT\n".encode("utf-16"), "this is not a FASTA file"),
        (b">1\nAC GT\n", r"position 3[\s\S]*' '"),
        (b">1\nAC\xe9GT\n", r"position 3[\s\S]*'\?'"),
        (b">1\nAC\n>1\nAC\n", "a record is in the FASTA file twice"),
        (b">\nAC\n", "a record has no name"),
        (b">1\nACGT\nAC!T\n", r"1, position 7[\s\S]*'!'"),
        (b">1\nMKLVE\n", "use DNA, not proteins"),
        (b"PK\x03\x04zip", "packed with zip"),
    ],
)
def test_bad_fasta(tmp_path, text, words):
    path = tmp_path / "genome.fa"
    path.write_bytes(text)
    with pytest.raises(UserError, match=words):
        list(read_fasta(path))


def test_only_the_beginning_of_a_genome_is_checked_early(tmp_path):
    path = tmp_path / "genome.fa"
    path.write_text(">1\n" + "ACGT\n" * 20_000 + "!\n")
    check_fasta(path)
    path.write_text(">1\n" + "ACGT\n" * 100 + "!\n")
    with pytest.raises(UserError, match="position 401"):
        check_fasta(path)


@pytest.mark.parametrize("kept", [0.3, 0.999])
def test_gzip_cut_short(tmp_path, kept):
    rng = np.random.default_rng(0)
    whole = gzip.compress(b">1\n" + b"".join(rng.choice([b"A", b"C", b"G", b"T"], 20000)))
    path = tmp_path / "genome.fa.gz"
    path.write_bytes(whole[: int(len(whole) * kept)])
    with pytest.raises(UserError, match="this gzip file is cut short"):
        list(read_fasta(path))


def test_gzip_damaged(tmp_path):
    whole = bytearray(gzip.compress(np.random.default_rng(0).bytes(5000)))
    whole[1000:1010] = b"\x00" * 10
    path = tmp_path / "x.gz"
    path.write_bytes(whole)
    with pytest.raises(UserError, match=r"damaged|cut short"), open_bytes(path) as file:
        file.read()


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (b"\xef\xbb\xbfgene\n", "gene\n"),
        ("gène\n".encode("utf-16"), "gène\n"),
        (b"\xfe\xff" + "gène\r\n".encode("utf-16-be"), "gène\n"),
        ("gène\n".encode("utf-32"), "gène\n"),
        ("gène\r".encode("latin-1"), "gène\n"),
        (b"a\x96b", "a\u2013b"),
        (b"", ""),
    ],
)
@pytest.mark.parametrize("packed", [False, True])
def test_text_in_other_encodings(tmp_path, content, text, packed):
    path = tmp_path / "x.txt"
    path.write_bytes(gzip.compress(content) if packed else content)
    with open_text(path) as file:
        assert file.read() == text


def test_text_cut_within_a_letter(tmp_path):
    path = tmp_path / "x.txt"
    path.write_bytes("gene\n".encode("utf-16")[:-1])
    with pytest.raises(UserError, match="not valid UTF-16"), open_text(path) as file:
        file.read()


def test_missing_file_and_checksum(tmp_path):
    with pytest.raises(UserError, match="the file is missing"):
        existing(tmp_path / "no", "fasta")
    with pytest.raises(UserError, match="received: a folder"):
        existing(tmp_path, "fasta")
    path = tmp_path / "x"
    path.write_bytes(b"")
    assert checksum(path) == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"


def test_names_of_chromosomes():
    assert {plain_name(name) for name in ("chrM", "MT", "Mito", "chrMT", "M", "mitochondrion")} == {"MT"}
    assert plain_name("chrX") == plain_name("X") == "X"
    assert plain_name("chrVII") == plain_name("VII")
    assert plain_name("NC_000001.11") == "NC_000001.11"
    assert "1" in chromosome_aliases(
        "NC_000001.11", "NC_000001.11 Homo sapiens chromosome 1, GRCh38.p14 Primary Assembly"
    )
    assert "IV" in chromosome_aliases(
        "NC_001136.10", "NC_001136.10 Saccharomyces cerevisiae S288C chromosome IV, complete"
    )
    assert "MT" in chromosome_aliases("NC_012920.1", "NC_012920.1 Homo sapiens mitochondrion, complete genome")
    sgd = "ref|NC_001133| [org=Saccharomyces cerevisiae] [strain=S288C] [moltype=genomic]"
    assert chromosome_aliases("ref|NC_001133|", f"{sgd} [chromosome=I]") == ["REF|NC_001133|", "NC_001133", "I"]
    assert "MT" in chromosome_aliases("ref|NC_001224|", f"{sgd} [location=mitochondrion] [top=circular]")
    assert chromosome_aliases("c1", "c1 [chromosome=1] unlocalized") == ["C1"]
    assert chromosome_aliases("GL1", "GL1 unplaced scaffold of chromosome 1 unlocalized") == ["GL1"]
