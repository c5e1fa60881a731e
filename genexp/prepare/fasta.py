"""Genomes in FASTA files, a chromosome at a time, and the names that files give to one chromosome.

The file is parsed by dnaio, which reads any line ends from any stream; `_Ascii` takes off what it refuses.
"""

from __future__ import annotations

import codecs
import io
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING

from dnaio import FastaFormatError, FastaReader

from genexp.errors import UserError
from genexp.features.tokens import LETTERS
from genexp.prepare.opening import open_bytes

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

_ASCII = bytes(range(128)) + b"?" * 128
#: The chromosome in a header of NCBI, and in one of SGD: ``[chromosome=IV]``; parts of one are not it.
_CHROMOSOME = (
    r"\bchromosome:? ?([0-9]{1,2}|[XYZW]|[IVX]+)\b(?:,|$)"
    r"|^(?!.*(?:unlocali[sz]ed|unplaced|scaffold|contig)).*\[chromosome=([0-9]{1,2}|[XYZW]|[IVX]+)\]"
)
#: The accession in a name with the database: ``ref|NC_001133|``.
_ACCESSION = r"\b(?:ref|gb|emb|dbj)\|([^|]+)"
#: Bases that are checked at a time.
_BLOCK = 1 << 24


@dataclass(frozen=True, slots=True)
class Chromosome:
    """One record: `name` is the first word of its `header`, and `bases` has nothing but letters of bases."""

    name: str
    header: str
    bases: str


class _Ascii(io.RawIOBase):
    """A stream without byte order mark, and with a question mark for each byte outside ASCII."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file, self._begins = file, True

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: WriteableBuffer) -> int:
        view = memoryview(buffer)
        chunk = self._file.read(len(view))
        if self._begins:
            chunk, self._begins = chunk.removeprefix(codecs.BOM_UTF8), False
        view[: len(chunk)] = chunk.translate(_ASCII)
        return len(chunk)


def read_fasta(path: Path) -> Iterator[Chromosome]:
    """Yield the records of a FASTA file: plain, gzip or bgzip, with any line ends.

    A UserError is raised if the file is not FASTA, names a chromosome twice, or holds something other than bases.
    """
    with open_bytes(path) as file:
        yield from _records(file, path)


def check_fasta(path: Path) -> None:
    """Raise a UserError if the beginning of a file shows that it is not the FASTA file of a genome."""
    with open_bytes(path) as file:
        next(_records(io.BytesIO(file.read(1 << 16)), path))


def _records(file: IO[bytes], path: Path) -> Iterator[Chromosome]:
    seen: set[str] = set()
    try:
        for record in FastaReader(io.BufferedReader(_Ascii(file), 1 << 20)):
            name = record.name.split()[0] if record.name.strip() else ""
            if not name or name in seen:
                what = "a record is in the FASTA file twice" if name else "a record has no name"
                hint = "give each record its own name"
                raise UserError(what, where=path, received=f">{record.name}", hint=hint)
            seen.add(name)
            bases = record.sequence.replace("*", "N")
            _check_bases(name, bases, path)
            yield Chromosome(name, record.name, bases)
            del record, bases  # before the next one is put together
    except FastaFormatError as error:
        expected = "a first line that begins with >"
        raise UserError("this is not a FASTA file", where=path, expected=expected, received=error.message) from None
    if not seen:
        raise UserError("this FASTA file is empty", where=path, hint="copy or download it again")


def _check_bases(name: str, bases: str, path: Path) -> None:
    for first in range(0, len(bases), _BLOCK):
        block = bases[first : first + _BLOCK].encode()
        if others := block.translate(None, LETTERS):
            raise UserError(
                "a FASTA file holds something other than bases",
                where=f"{path}, {name}, position {first + block.index(others[:1]) + 1:,}",
                expected="A C G T N or another IUPAC code",
                received=repr(chr(others[0])),
                hint="use DNA, not proteins; copy or download the file again",
            )


def chromosome_aliases(name: str, header: str) -> list[str]:
    """Return names for a chromosome that files may share: 1 for ``chr1`` and ``NC_000001.11``, MT for M and Mito."""
    own = list(dict.fromkeys([plain_name(name), *map(plain_name, re.findall(_ACCESSION, name))]))
    found = re.search(_CHROMOSOME, header)
    if found:
        return [*own, plain_name(found[1] or found[2])]
    return [*own, *(["MT"] if re.search(r"\bmitochondrion\b", header) else [])]


def plain_name(name: str) -> str:
    """Return a chromosome's name without ``chr``, in upper case; the mitochondrion is always MT."""
    plain = re.sub(r"^chr(omosome)?_?", "", str(name), flags=re.IGNORECASE).upper()
    return "MT" if plain in ("M", "MITO", "MITOCHONDRION", "MTDNA", "MT") else plain
