"""A genome as a stream of tokens: a FASTA file is read once, in order, and never held whole."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from genexp.errors import UserError
from genexp.features.tokens import N_TOKEN, tokens_from_text
from genexp.prepare.opening import open_bytes

#: Bytes of FASTA in memory at a time.
BLOCK_BYTES = 4 << 20

_NO_BASE = 255


_LETTERS = b"ACGTUNRYSWKMBDHVacgtunryswkmbdhv.-"
#: Token of each byte, for `bytes.translate`.
_TOKENS = bytearray([_NO_BASE] * 256)
for _letter, _token in zip(_LETTERS, tokens_from_text(_LETTERS), strict=True):
    _TOKENS[_letter] = _token
_TOKENS[ord("*")] = N_TOKEN


@dataclass(frozen=True)
class Stretch:
    """Bases of one chromosome (first word of `header`), in order: (bases,) uint8 tokens from position `start`."""

    chromosome: str
    header: str
    start: int
    tokens: np.ndarray


def read_fasta(path: Path, block: int = BLOCK_BYTES) -> Iterator[Stretch]:
    """Yield a FASTA file in stretches; a chromosome begins with an empty one.

    A UserError is raised if the file is not FASTA, names a chromosome twice, or holds something other than bases.
    """
    seen: set[str] = set()
    name = title = ""
    position = 0
    for header, piece in _pieces(path, block):
        if header is not None:
            title = header.decode("utf-8", "replace").strip()
            name, position = title.split()[0] if title else "", 0
            if not name or name in seen:
                what = "a chromosome is in the FASTA file twice" if name else "a chromosome has no name"
                raise UserError(what, where=path, received=f">{title}", hint="give each chromosome its own name")
            seen.add(name)
            yield Stretch(name, title, 0, np.empty(0, np.uint8))
        tokens = np.frombuffer(piece.translate(_TOKENS, b"\r\n"), np.uint8)
        if len(tokens) and tokens.max() == _NO_BASE:
            at = int(np.argmax(tokens == _NO_BASE))
            raise UserError(
                "a genome holds something other than bases",
                where=f"{path}, {name}, position {position + at + 1:,}",
                expected="A C G T N or another IUPAC code",
                received=repr(chr(piece.translate(None, b"\r\n")[at])),
                hint="use the genome's DNA, not its proteins; copy or download it again",
            )
        if len(tokens):
            yield Stretch(name, title, position, tokens)
        position += len(tokens)
    if not seen:
        raise UserError("this FASTA file is empty", where=path, hint="copy or download it again")


def _pieces(path: Path, block: int) -> Iterator[tuple[bytes | None, bytes]]:
    """Cut a file into headers, each with the bases that follow, and more bases (None); lines may be of any length."""
    before = b"\n"  # where a block begins with a line, so that all headers follow a newline
    with open_bytes(path) as file:
        chunk = file.read(block)
        if chunk and not chunk.startswith(b">"):
            received, expected = repr(chunk[:40].decode("utf-8", "replace")), "a first line that begins with >"
            raise UserError("this is not a FASTA file", where=path, expected=expected, received=received)
        while chunk:
            chunk = before + chunk
            if chunk[chunk.rfind(b"\n") :].startswith(b"\n>"):
                chunk += file.readline()  # the rest of the header
            bases, *records = chunk.split(b"\n>")
            yield None, bases
            for record in records:
                header, _, bases = record.partition(b"\n")
                yield header, bases
            before = b"\n" if chunk.endswith(b"\n") else b""
            chunk = file.read(block)


def chromosome_aliases(name: str, header: str) -> list[str]:
    """Return names for a chromosome that files may share: 1 for ``chr1`` and ``NC_000001.11``, MT for M and Mito."""
    found = re.search(r"\bchromosome:? ?([0-9]{1,2}|[XYZW]|[IVX]+)\b(?:,|$)", header)
    if found:
        return [plain_name(name), plain_name(found[1])]
    return [plain_name(name), *(["MT"] if re.search(r"\bmitochondrion\b", header) else [])]


def plain_name(name: str) -> str:
    """Return a chromosome's name without ``chr``, in upper case; the mitochondrion is always MT."""
    plain = re.sub(r"^chr(omosome)?_?", "", str(name), flags=re.IGNORECASE).upper()
    return "MT" if plain in ("M", "MITO", "MITOCHONDRION", "MTDNA", "MT") else plain
