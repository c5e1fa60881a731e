"""A genome as a stream of tokens: a FASTA file is read once, in order, and never held whole."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from genexp.errors import UserError
from genexp.features.tokens import tokens_from_text
from genexp.prepare.sources import open_bytes

#: Bytes of FASTA in memory at a time.
BLOCK_BYTES = 4 << 20

_NO_BASE = 255


def _token_table() -> bytes:
    """Return the token of each byte, for `bytes.translate`."""
    table = bytearray([_NO_BASE] * 256)
    for letter in b"ACGTUNRYSWKMBDHVacgtunryswkmbdhv.-*":
        table[letter] = 4 if letter == ord("*") else tokens_from_text(bytes([letter]))[0]
    return bytes(table)


_TOKENS = _token_table()


@dataclass(frozen=True)
class Stretch:
    """Some bases of one chromosome, in order.

    Attributes
    ----------
    chromosome
        The first word of the header.
    header
        The whole header without ``>``.
    start
        Position of the first base, from 0.
    tokens : (bases,) uint8
        A=0 C=1 G=2 T=3 N=4.
    """

    chromosome: str
    header: str
    start: int
    tokens: np.ndarray


def read_fasta(path: Path, block: int = BLOCK_BYTES) -> Iterator[Stretch]:
    """Yield a FASTA file in stretches; a chromosome begins with an empty one.

    Raises
    ------
    UserError
        If the file is no FASTA file, names a chromosome twice, or holds something that is no base.
    """
    seen: set[str] = set()
    name = header = ""
    position = 0
    for is_header, piece in _pieces(path, block):
        if is_header:
            header = piece.decode("utf-8", "replace").strip()
            name, position = header.split()[0] if header.split() else "", 0
            if not name or name in seen:
                raise UserError(
                    "a chromosome is in the FASTA file twice" if name else "a chromosome has no name",
                    where=path,
                    expected="each header to begin with a name of its own",
                    received=f">{header}",
                    do="use one genome file, without repeats",
                )
            seen.add(name)
            yield Stretch(name, header, 0, np.empty(0, np.uint8))
            continue
        tokens = np.frombuffer(piece.translate(_TOKENS, b"\r\n"), np.uint8)
        if tokens.size and tokens.max() == _NO_BASE:
            raise _no_base(path, name, position, piece)
        yield Stretch(name, header, position, tokens)
        position += len(tokens)
    if not seen:
        raise UserError("this FASTA file is empty", where=path, expected="a genome", do="copy or download it again")


def look_at_fasta(path: Path) -> None:
    """See that a file is FASTA by its first header, before all else is read.

    Raises
    ------
    UserError
        If it is not.
    """
    next(read_fasta(path, 1 << 16))


def _pieces(path: Path, block: int) -> Iterator[tuple[bool, bytes]]:
    """Cut a file into headers (True) and parts of sequences (False); lines may be of any length."""
    header: bytes | None = None
    line_start = first = True
    with open_bytes(path) as file:
        while chunk := file.read(block):
            if first and not chunk.startswith(b">"):
                raise UserError(
                    "this is no FASTA file",
                    where=path,
                    expected="a first line that begins with >",
                    received=repr(chunk[:40].decode("utf-8", "replace")),
                    do="give the genome with fasta=FILE",
                )
            first, at = False, 0
            while at < len(chunk):
                if header is not None:
                    end = chunk.find(b"\n", at)
                    header += chunk[at:] if end < 0 else chunk[at:end]
                    if end < 0:
                        break
                    yield True, header
                    header, at, line_start = None, end + 1, True
                elif line_start and chunk[at : at + 1] == b">":
                    header, at = b"", at + 1
                else:
                    end = chunk.find(b"\n>", at)
                    end = len(chunk) if end < 0 else end + 1
                    yield False, chunk[at:end]
                    line_start, at = chunk[end - 1 : end] == b"\n", end
    if header is not None:
        yield True, header


def _no_base(path: Path, name: str, position: int, piece: bytes) -> UserError:
    bases = piece.translate(None, b"\r\n")
    at = next(i for i, letter in enumerate(bases) if _TOKENS[letter] == _NO_BASE)
    return UserError(
        "a genome holds something that is no base",
        where=f"{path}, {name}, position {position + at + 1:,}",
        expected="A C G T N, in either case, or another IUPAC code, which counts as N",
        received=repr(chr(bases[at])),
        do="use the genome's DNA, not its proteins; copy or download it again",
    )


def chromosome_aliases(name: str, header: str) -> list[str]:
    """Return names for a chromosome that files may share: 1 for ``chr1`` and ``NC_000001.11``, MT for M and Mito."""
    names = [plain_name(name)]
    told = re.search(r"\bchromosome:? ?([0-9]{1,2}|[XYZW]|[IVX]+)\b(?:,|$)", header)
    if told:
        names.append(plain_name(told[1]))
    elif re.search(r"\bmitochondrion\b", header):
        names.append(plain_name("MT"))
    return names


def plain_name(name: str) -> str:
    """Return a chromosome's name without ``chr``, in upper case; the mitochondrion is always MT."""
    plain = re.sub(r"^chr(omosome)?_?", "", str(name), flags=re.IGNORECASE).upper()
    return "MT" if plain in ("M", "MITO", "MITOCHONDRION", "MTDNA", "MT") else plain
