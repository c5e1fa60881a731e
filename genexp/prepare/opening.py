"""Opening raw files, plain, gzip or bgzip alike, with errors that say what is wrong with a file."""

from __future__ import annotations

import codecs
import hashlib
import io
import zlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any, TextIO

from isal import igzip, isal_zlib  # four times as fast as Python's gzip; plain gzip cannot be indexed by any library

from genexp.errors import UserError

#: What isal raises at bits that are not gzip.
_DAMAGED: Any = isal_zlib.error
_GZIP = b"\x1f\x8b"
_OTHER_PACKERS = {b"PK\x03\x04": "zip", b"BZh": "bzip2", b"\xfd7zXZ": "xz", b"\x28\xb5\x2f\xfd": "zstandard"}


def few(names: Iterable[object], number: int = 12) -> str:
    """Return the first of many names, as text."""
    every = [name for name in map(str, names) if name]
    more = f" and {len(every) - number:,} more" if len(every) > number else ""
    return ", ".join(every[:number]) + more


def bad_line(
    what: str,
    file: object,
    line: int,
    expected: object,
    received: object,
    hint: str = "correct or remove the line",
    at: str = "",
) -> UserError:
    """Return the error for one line of a file; `at` is the place in it, and what was received is cut short."""
    where = f"{file}, line {line:,}{at}"
    return UserError(what, where=where, expected=expected, received=str(received).strip()[:80], hint=hint)


def existing(path: str | Path, key: str) -> Path:
    """Return the path of an input file, or raise a UserError if it does not exist."""
    found = Path(path).expanduser()
    try:
        if found.is_file():
            return found
        received = "a folder" if found.is_dir() else "nothing"
    except OSError as error:  # a name that is too long
        received = str(error.strerror)
    where = f"{key}={path}"
    raise UserError("the file is missing", where=where, expected="a file", received=received, hint="check the path")


@contextmanager
def open_bytes(path: Path) -> Iterator[IO[bytes]]:
    """Open a file; a UserError is raised, also while it is read, if it is unreadable, packed otherwise or damaged."""
    head = first_bytes(path)
    try:
        packer = next((name for magic, name in _OTHER_PACKERS.items() if head.startswith(magic)), None)
        if packer:
            what, hint = f"this file is packed with {packer}", "unpack it, and pack it with gzip if you like"
            raise UserError(what, where=path, expected="a plain file, gzip or bgzip", hint=hint)
        opener: Any = igzip.open if head.startswith(_GZIP) else open
        with opener(path, "rb") as file:
            yield file
    except (EOFError, igzip.BadGzipFile, _DAMAGED) as error:
        what, received, hint = "this gzip file is damaged", str(error), "copy or download it again"
        if rest := _rest_after_gzip(path):
            what, received = "something follows the end of this gzip file", f"{rest!r} after its end"
            hint = "unpack it with gzip -dc, and pack it again"
        elif isinstance(error, EOFError):
            what, received = "this gzip file is cut short", "no end"
        raise UserError(what, where=path, received=received, hint=hint) from None
    except OSError as error:
        what, received = "this file cannot be read", error.strerror or str(error)
        raise UserError(what, where=path, received=received, hint="check its permissions") from None


def _rest_after_gzip(path: Path) -> bytes:
    """Return the beginning of what follows the last member of a gzip file and is not gzip; empty if nothing does."""
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


def first_bytes(path: Path, number: int = 8) -> bytes:
    """Return the first bytes of a file as they are on disk."""
    try:
        with path.open("rb") as raw:
            return raw.read(number)
    except OSError as error:
        what, received = "this file cannot be read", error.strerror or str(error)
        raise UserError(what, where=path, received=received, hint="check its permissions") from None


#: The encodings that begin with a byte order mark.
_MARKS = {
    codecs.BOM_UTF8: "utf-8-sig",
    codecs.BOM_UTF32_LE: "utf-32",  # before UTF-16, whose mark it begins with
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}


def _windows_1252(error: UnicodeError) -> tuple[str, int]:
    """Decode what is not UTF-8 as Western European editors write it (Latin-1 and a few signs more)."""
    if not isinstance(error, UnicodeDecodeError):
        raise error
    return error.object[error.start : error.end].decode("cp1252", "replace"), error.end


codecs.register_error("windows-1252", _windows_1252)


@contextmanager
def open_text(path: Path) -> Iterator[TextIO]:
    """Open a text file that may be compressed: UTF-8, or as its byte order mark says; other bytes are Windows-1252."""
    with open_bytes(path) as file:
        start: bytes = file.peek(4)[:4]  # type: ignore[attr-defined]
        encoding = next((name for mark, name in _MARKS.items() if start.startswith(mark)), "utf-8")
        errors = "windows-1252" if encoding.startswith("utf-8") else "strict"
        try:
            with io.TextIOWrapper(file, encoding, errors) as text:
                yield text
        except UnicodeDecodeError as error:
            what, hint = f"this file is not valid {encoding.upper()}", "save it as UTF-8, or copy it again"
            raise UserError(what, where=path, received=error.reason, hint=hint) from None


def checksum(path: Path) -> str:
    """Return the SHA-256 of a file's bytes on disk."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
