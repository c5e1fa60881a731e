"""Reading word vectors written by gensim or word2vec, without running any code that a file may contain."""

from __future__ import annotations

import gzip
import io
import pickle
from collections import OrderedDict, defaultdict
from pathlib import Path
from typing import Any

import numpy as np

from genexp.errors import UserError

#: Names in a pickle that may stand for their real objects.
_CONTAINERS = {("collections", "defaultdict"): defaultdict, ("collections", "OrderedDict"): OrderedDict}

#: What a damaged pickle raises, beside ValueError and EOFError.
_PICKLE_ERRORS = (
    pickle.UnpicklingError, AttributeError, TypeError, LookupError, ImportError, MemoryError, OverflowError
)  # fmt: skip


def read_words(path: Path) -> tuple[list[str], np.ndarray, dict[str, str]]:
    """Read words and their vectors.

    Parameters
    ----------
    path
        A file of gensim's ``Word2Vec.save`` or ``KeyedVectors.save``, or one in the word2vec text or binary format;
        plain or gzipped.

    Returns
    -------
    words : list of n str
    vectors : (n, dimension) float
    provenance
        The file and its format.

    Raises
    ------
    UserError
        If a pickle contains anything but word vectors.
    OSError, EOFError, ValueError, TypeError
        If the file is damaged or of another kind.
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
    count, dimension = (int(field) for field in fields)
    if b"\0" in body or not body.isascii():
        return *_from_binary(body, count, dimension), "word2vec binary"
    rows = [line.split() for line in body.decode("ascii").splitlines() if line.strip()]
    if len(rows) != count or any(len(row) != dimension + 1 for row in rows):
        raise ValueError(f"not {count} lines of a word and {dimension} numbers")
    vectors = np.array([row[1:] for row in rows], np.float64)
    return [row[0] for row in rows], vectors, "word2vec text"


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
        model = _Restricted(io.BytesIO(content)).load()
    except _PICKLE_ERRORS as error:
        raise UserError(
            "this pickle is not word vectors, and opening it could run code",
            where=path,
            received=error,
            hint="in the environment that made it, save the vectors with wv.save_word2vec_format(path)",
        ) from error
    data, prefix = _state(model), ""
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
    """Stands for an object of NumPy or gensim: it stores its arguments and state and does nothing."""

    arguments: tuple[Any, ...] = ()
    state: Any = None

    def __init__(self, *arguments: Any) -> None:
        self.arguments = arguments

    def __setstate__(self, state: Any) -> None:
        self.state = state


class _Restricted(pickle.Unpickler):
    """An unpickler that imports nothing: it builds plain containers and inert stand-ins.

    Arrays are not rebuilt by NumPy's own functions, since a forged dtype can corrupt memory.
    """

    def __init__(self, file: io.BytesIO) -> None:
        super().__init__(file)
        self._inert = type("Inert", (_Inert,), {})  # new for each file, which may change its class

    def find_class(self, module: str, name: str) -> Any:
        """Return what stands for a name in the pickle, or refuse it."""
        if module.partition(".")[0] in ("gensim", "numpy"):
            return self._inert
        if module in ("builtins", "__builtin__") and name in ("hash", "int"):
            return self._inert
        if (module, name) in _CONTAINERS:
            return _CONTAINERS[module, name]
        if (module, name) == ("_codecs", "encode"):
            return _encode
        raise pickle.UnpicklingError(f"it asks for {module}.{name}")


def _encode(text: str, encoding: str) -> bytes:
    """Replace ``codecs.encode``, with which old pickles write bytes."""
    if encoding != "latin1":
        raise pickle.UnpicklingError(f"it asks for the encoding {encoding}")
    return text.encode("latin1")


def _state(stand_in: Any) -> dict[str, Any]:
    state = stand_in.state if isinstance(stand_in, _Inert) else None
    return state if isinstance(state, dict) else {}


def _array(stand_in: Any) -> np.ndarray | None:
    """Return the array of floats that a stand-in for an ndarray describes, or None."""
    match getattr(stand_in, "state", None):
        # The states of ndarray.__reduce__ and dtype.__reduce__.
        case (_, shape, _Inert(arguments=(kind, *_), state=(_, order, *_)), in_columns, bytes() as content):
            if kind not in ("f2", "f4", "f8") or order not in ("<", ">"):
                raise ValueError(f"vectors of type {kind!r}")
            return np.frombuffer(content, order + kind).reshape(shape, order="F" if in_columns else "C")
    return None
