"""Reading word vectors that gensim or word2vec wrote, without running any code that a file may carry."""

from __future__ import annotations

import gzip
import io
import pickle
from collections import OrderedDict, defaultdict
from pathlib import Path
from typing import Any

import numpy as np

from genexp.errors import UserError

#: Packages whose classes and functions may stand in a file: all of them become inert stand-ins.
_INERT_PACKAGES = ("gensim", "numpy")
_INERT_BUILTINS = ("hash", "int")

#: What a damaged pickle raises, beside ValueError and EOFError.
_PICKLE_ERRORS = (
    pickle.UnpicklingError, AttributeError, TypeError, LookupError, ImportError, MemoryError, OverflowError
)  # fmt: skip


def read_words(path: Path) -> tuple[list[str], np.ndarray, str]:
    """Read words and their vectors.

    Parameters
    ----------
    path
        A file of gensim's ``Word2Vec.save`` or ``KeyedVectors.save``, or one in the word2vec text or binary format;
        plain or gzipped.

    Returns
    -------
    words : list of n str
    vectors : (n, dimension) float32
    kind
        Name of the format.

    Raises
    ------
    UserError
        When the file is none of these, is damaged, or holds a pickle with anything but word vectors.
    """
    try:
        content = path.read_bytes()
        if content.startswith(b"\x1f\x8b"):
            content = gzip.decompress(content)
        if content.startswith(b"\x80"):
            return *_from_gensim(content, path), "gensim"
        return _from_word2vec(content)
    except (OSError, EOFError, ValueError, TypeError) as error:
        raise UserError(
            "the file of k-mer vectors cannot be read",
            where=path,
            expected="vectors saved by genexp embed or gensim, or the word2vec text or binary format",
            received=error,
            do="copy the file again, or make vectors with genexp embed",
        ) from error


def _from_word2vec(content: bytes) -> tuple[list[str], np.ndarray, str]:
    """Parse a header ``count dimension`` and then, per word, the word, a blank and its numbers, as text or float32."""
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
            raise ValueError(f"the file ends before its {count} words of {dimension} numbers do")
        words.append(body[at:blank].strip().decode("utf-8"))
        vectors.append(np.frombuffer(body, "<f4", dimension, blank + 1))
        at = end
    return words, np.array(vectors, np.float32).reshape(count, dimension)


def _from_gensim(content: bytes, path: Path) -> tuple[list[str], np.ndarray]:
    if not content.endswith(b"."):  # the opcode that ends every pickle
        raise ValueError("the file is cut short")
    try:
        model = _Restricted(io.BytesIO(content)).load()
    except _PICKLE_ERRORS as error:
        raise UserError(
            "this pickle does not look like word vectors, and opening it could run code",
            where=path,
            expected="a file of gensim's Word2Vec.save or KeyedVectors.save",
            received=error,
            do="in the environment that made it, save the vectors with wv.save_word2vec_format(path)",
        ) from error
    data, prefix = _state(model), ""
    if "wv" in data:
        data, prefix = _state(data["wv"]), ".wv"
    words = data.get("index_to_key") or data.get("index2word")
    vectors = _array(data.get("vectors", data.get("syn0")))
    if vectors is None and words:  # gensim puts large arrays into files of their own
        beside = path.with_name(f"{path.name}{prefix}.vectors.npy")
        if not beside.is_file():
            raise ValueError(f"the vectors are in a file of their own, and {beside.name} is not beside this one")
        vectors = np.load(beside, allow_pickle=False)
    if not isinstance(words, list) or vectors is None or vectors.ndim != 2:
        raise ValueError("a pickle without word vectors")
    return [str(word) for word in words], vectors


class _Inert:
    """Stands for an object of NumPy or gensim: it keeps what the pickle says of it and does nothing."""

    arguments: tuple[Any, ...] = ()
    state: Any = None

    def __init__(self, *arguments: Any) -> None:
        self.arguments = arguments

    def __setstate__(self, state: Any) -> None:
        self.state = state


class _Restricted(pickle.Unpickler):
    """An unpickler that imports nothing: it builds plain containers and inert stand-ins.

    Not even NumPy's own arrays are rebuilt by it, since a forged dtype can corrupt memory.
    """

    def __init__(self, file: io.BytesIO) -> None:
        super().__init__(file)
        # New for each file, so that none can leave anything behind in it.
        self._inert = type("Inert", (_Inert,), {})

    def find_class(self, module: str, name: str) -> Any:
        """Return what stands for a name in the pickle, or refuse it."""
        if module.partition(".")[0] in _INERT_PACKAGES:
            return self._inert
        if module in ("builtins", "__builtin__") and name in _INERT_BUILTINS:
            return self._inert
        if module == "collections" and name in ("defaultdict", "OrderedDict"):
            return OrderedDict if name == "OrderedDict" else defaultdict
        if (module, name) == ("_codecs", "encode"):
            return _encode
        raise pickle.UnpicklingError(f"it asks for {module}.{name}")


def _encode(text: str, encoding: str) -> bytes:
    """Stand in for ``codecs.encode``, with which old pickles write bytes."""
    if encoding != "latin1":
        raise pickle.UnpicklingError(f"it asks for the encoding {encoding}")
    return text.encode("latin1")


def _state(stand_in: Any) -> dict[str, Any]:
    state = stand_in.state if isinstance(stand_in, _Inert) else None
    return state if isinstance(state, dict) else {}


def _array(stand_in: Any) -> np.ndarray | None:
    """Return the array of floats that a stand-in for an ndarray describes, or None."""
    match getattr(stand_in, "state", None):
        # What ndarray.__reduce__ and dtype.__reduce__ say of themselves.
        case (_, shape, _Inert(arguments=(kind, *_), state=(_, order, *_)), in_columns, bytes() as content):
            if kind not in ("f2", "f4", "f8") or order not in ("<", ">"):
                raise ValueError(f"vectors of type {kind!r}")
            return np.frombuffer(content, order + kind).reshape(shape, order="F" if in_columns else "C")
    return None
