"""Opening raw files: plain, gzip and bgzip alike, with what is wrong said in words.

Annotation, tables and genomes are read as streams. `isal` is four times as fast as Python's own gzip on plain gzip,
which no library can index, and reads bgzip too, so one way serves every file.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Iterator
from contextlib import contextmanager
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
        there, received = False, error.strerror
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
    except EOFError:
        raise UserError(
            "this gzip file is cut short",
            where=path,
            expected="a complete file",
            received="its end is missing",
            do="copy or download it again",
        ) from None
    except (igzip.BadGzipFile, _DAMAGED) as error:
        raise UserError(
            "this gzip file is damaged", where=path, received=error, do="copy or download it again"
        ) from None
    except OSError as error:
        raise UserError(
            "this file cannot be read", where=path, received=error.strerror or error, do="see that you may read it"
        ) from None


@contextmanager
def open_text(path: Path) -> Iterator[TextIO]:
    """Open a text file that may be compressed; bytes that are not UTF-8 are kept as they are."""
    with open_bytes(path) as file, io.TextIOWrapper(file, encoding="utf-8-sig", errors="surrogateescape") as text:
        yield text


def checksum(path: Path) -> str:
    """Return the SHA-256 of a file's bytes on disk."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
