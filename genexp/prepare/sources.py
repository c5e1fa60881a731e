"""Opening raw files: plain, gzip and bgzip alike, with what is wrong said in words.

Annotation, tables and genomes are read as streams. `isal` is four times as fast as Python's own gzip on plain gzip,
which no library can index, and reads bgzip too, so one way serves every file.
"""

from __future__ import annotations

import hashlib
import io
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO, TextIO

from isal import igzip, isal_zlib

from genexp.errors import UserError

#: What isal raises at bits that are no gzip.
_DAMAGED: Any = isal_zlib.error

_GZIP = b"\x1f\x8b"
_OTHER_PACKERS = {b"PK\x03\x04": "zip", b"BZh": "bzip2", b"\xfd7zXZ": "xz", b"\x28\xb5\x2f\xfd": "zstandard"}


def existing(path: str | Path, key: str) -> Path:
    """Return the path of an input file, after a look whether it is there."""
    if not str(path).strip():
        raise UserError(
            f"{key} has no value", where=f"{key}=", expected=f"{key}=FILE", do="name the file, or leave it out"
        )
    found = Path(path).expanduser()
    try:
        there, received = found.is_file(), "a folder" if found.is_dir() else "nothing"
    except OSError as error:  # a name that is too long
        there, received = False, str(error.strerror)
    if not there:
        raise UserError(
            "there is no such file",
            where=f"{key}={path}",
            expected="a file",
            received=received,
            do="check the path",
        )
    return found


@contextmanager
def open_bytes(path: Path) -> Iterator[BinaryIO]:
    """Open a file that may be compressed with gzip or bgzip.

    Raises
    ------
    UserError
        If the file cannot be opened, is packed in another way, is cut short or damaged; also while it is read.
    """
    try:
        with path.open("rb") as raw:
            head = raw.read(6)
        for magic, packer in _OTHER_PACKERS.items():
            if head.startswith(magic):
                raise UserError(
                    f"this file is packed with {packer}",
                    where=path,
                    expected="a plain file, gzip or bgzip",
                    do=f"unpack it, and pack it with gzip if you like: it was made with {packer}",
                )
        with igzip.open(path, "rb") if head.startswith(_GZIP) else path.open("rb") as file:
            yield file
    except (EOFError, igzip.BadGzipFile, _DAMAGED) as error:
        raise _bad_gzip(path, error) from None
    except OSError as error:
        raise UserError(
            "this file cannot be read", where=path, received=error.strerror or error, do="see that you may read it"
        ) from None


def _bad_gzip(path: Path, error: Exception) -> UserError:
    rest = _rest_after_gzip(path)
    if rest:
        return UserError(
            "something follows the end of this gzip file",
            where=path,
            expected="gzip and nothing else",
            received=f"{rest!r} after its end",
            do="unpack it with gzip -dc, which passes over the rest, and pack it again",
        )
    short = isinstance(error, EOFError)
    return UserError(
        f"this gzip file is {'cut short' if short else 'damaged'}",
        where=path,
        expected="a complete file",
        received="its end is missing" if short else error,
        do="copy or download it again",
    )


def _rest_after_gzip(path: Path) -> bytes:
    """Return the beginning of what follows the last member of a gzip file and is no gzip; empty if nothing does."""
    member = zlib.decompressobj(zlib.MAX_WBITS | 16)
    with path.open("rb") as file, suppress(zlib.error):
        while chunk := file.read(1 << 20):
            while chunk:
                member.decompress(chunk)
                if not member.eof:
                    break
                chunk = member.unused_data + file.read(len(_GZIP))
                if chunk and not chunk.startswith(_GZIP):
                    return chunk[:20]
                member = zlib.decompressobj(zlib.MAX_WBITS | 16)
    return b""


@contextmanager
def open_text(path: Path) -> Iterator[TextIO]:
    """Open a text file that may be compressed; bytes that are not UTF-8 are kept as they are."""
    with open_bytes(path) as file, io.TextIOWrapper(file, encoding="utf-8-sig", errors="surrogateescape") as text:
        yield text


def checksum(path: Path) -> str:
    """Return the SHA-256 of a file's bytes on disk."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
