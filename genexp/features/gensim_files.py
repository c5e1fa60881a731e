"""Reading word vectors written by gensim or word2vec, without running any code that a file may contain."""

from __future__ import annotations

import gzip
import io
import pickle
from pathlib import Path
from typing import Any

import numpy as np

from genexp.errors import UserError

#: What beside gensim and NumPy a pickle of word vectors may name; in protocol 2, bytes are written by codecs.encode.
_HARMLESS = {
    ("collections", "defaultdict"), ("collections", "OrderedDict"), ("_codecs", "encode"),
    ("builtins", "hash"), ("builtins", "int"), ("__builtin__", "hash"), ("__builtin__", "int"),
}  # fmt: skip


def read_words(path: Path) -> tuple[list[str], np.ndarray, dict[str, str]]:
    """Return n words, their (n, dimension) float vectors, and the file with its format.

    The file is one of gensim's ``Word2Vec.save`` or ``KeyedVectors.save``, or in the word2vec text or binary format;
    plain or gzipped. A damaged file raises an OSError, EOFError, ValueError or TypeError.
    """
    content = path.read_bytes()
    if content.startswith(b"\x1f\x8b"):
        content = gzip.decompress(content)
    if content.startswith(b"\x80"):
        words, vectors, kind = *_from_gensim(content, path), "gensim"
    else:
        words, vectors, kind = _from_word2vec(content)
    return words, vectors, {"method": "file", "file": str(path), "format": kind}


def _from_word2vec(content: bytes) -> tuple[list[str], np.ndarray, str]:
    """Parse a header ``count dimension``, then per word the word, a blank and its numbers as text or float32."""
    header, _, body = content.partition(b"\n")
    fields = header.split()
    if len(fields) != 2 or not all(field.isdigit() for field in fields):
        raise ValueError("no header with the number of words and the dimension")
    count, dimension = map(int, fields)
    if b"\0" in body or not body.isascii():
        return *_from_binary(body, count, dimension), "word2vec binary"
    rows = [line.split() for line in body.decode("ascii").splitlines() if line.strip()]
    if len(rows) != count or any(len(row) != dimension + 1 for row in rows):
        raise ValueError(f"not {count} lines of a word and {dimension} numbers")
    return [row[0] for row in rows], np.array([row[1:] for row in rows], np.float64), "word2vec text"


def _from_binary(body: bytes, count: int, dimension: int) -> tuple[list[str], np.ndarray]:
    words, vectors, at = [], [], 0
    for _ in range(count):
        blank = body.find(b" ", at)
        end = blank + 1 + 4 * dimension
        if blank < 0 or end > len(body):
            raise ValueError(f"the file is shorter than {count} words of {dimension} numbers")
        words.append(body[at:blank].strip().decode("utf-8"))
        vectors.append(np.frombuffer(body, "<f4", dimension, blank + 1))
        at = end
    return words, np.array(vectors, np.float32).reshape(count, dimension)


def _from_gensim(content: bytes, path: Path) -> tuple[list[str], np.ndarray]:
    if not content.endswith(b"."):  # the opcode that ends every pickle
        raise ValueError("the file is truncated")
    try:
        data, prefix = _state(_Restricted(io.BytesIO(content)).load()), ""
    except Exception as error:  # a damaged pickle raises almost anything
        raise UserError(
            "this pickle is not word vectors, and opening it could run code",
            where=path,
            received=error,
            hint="in the environment that made it, save the vectors with wv.save_word2vec_format(path)",
        ) from error
    if "wv" in data:
        data, prefix = _state(data["wv"]), ".wv"
    words = data.get("index_to_key") or data.get("index2word")
    vectors = _array(data.get("vectors", data.get("syn0")))
    if vectors is None and words:  # gensim writes large arrays into separate files
        beside = path.with_name(f"{path.name}{prefix}.vectors.npy")
        if not beside.is_file():
            raise ValueError(f"the vectors are in a separate file, and {beside.name} is not beside this one")
        vectors = np.load(beside, allow_pickle=False)
    if not isinstance(words, list) or vectors is None or vectors.ndim != 2:
        raise ValueError("a pickle without word vectors")
    return [str(word) for word in words], vectors


class _Inert:
    """Stands for everything that a pickle names: it keeps its arguments and state, and does nothing."""

    arguments: tuple[Any, ...] = ()
    state: Any = None

    def __init__(self, *arguments: Any) -> None:
        self.arguments = arguments

    def __setstate__(self, state: Any) -> None:
        self.state = state

    def __setitem__(self, key: Any, value: Any) -> None:
        """Leave out what a container holds."""


class _Restricted(pickle.Unpickler):
    """An unpickler that imports nothing: no object of a library is built, since a forged dtype can corrupt memory."""

    def find_class(self, module: str, name: str) -> type[_Inert]:
        """Return what stands for a name in the pickle, or refuse it."""
        if module.partition(".")[0] in ("gensim", "numpy") or (module, name) in _HARMLESS:
            return _Inert
        raise pickle.UnpicklingError(f"it asks for {module}.{name}")


def _state(stand_in: Any) -> dict[str, Any]:
    state = stand_in.state if isinstance(stand_in, _Inert) else None
    return state if isinstance(state, dict) else {}


def _array(stand_in: Any) -> np.ndarray | None:
    """Return the array of floats that a stand-in for an ndarray describes, or None."""
    match getattr(stand_in, "state", None):
        # The states of ndarray.__reduce__ and dtype.__reduce__.
        case (_, shape, _Inert(arguments=(kind, *_), state=(_, order, *_)), in_columns, content):
            if isinstance(content, _Inert) and len(content.arguments) == 2:
                content = str(content.arguments[0]).encode("latin1")
            if kind not in ("f2", "f4", "f8") or order not in ("<", ">"):
                raise ValueError(f"vectors of type {kind!r}")
            return np.frombuffer(content, order + kind).reshape(shape, order="F" if in_columns else "C")
    return None
