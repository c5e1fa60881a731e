"""Reading word vectors that gensim or word2vec wrote, without running any code that a file may carry."""

from __future__ import annotations

import codecs
import gzip
import io
import pickle
from collections import OrderedDict, defaultdict
from pathlib import Path
from typing import Any

import numpy as np

from genexp.errors import UserError

#: Classes of gensim that stand in its files; they are replaced by holders of data without any method.
_GENSIM_CLASSES = {
    ("gensim.models.word2vec", "Word2Vec"),
    ("gensim.models.word2vec", "Word2VecVocab"),
    ("gensim.models.word2vec", "Word2VecTrainables"),
    ("gensim.models.keyedvectors", "KeyedVectors"),
    ("gensim.models.keyedvectors", "Word2VecKeyedVectors"),
    ("gensim.models.keyedvectors", "EuclideanKeyedVectors"),
    ("gensim.models.keyedvectors", "Vocab"),
    ("gensim.models.keyedvectors", "CompatVocab"),
}

_NUMPY_MODULES = ("numpy.core", "numpy._core")


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
    except (OSError, EOFError, ValueError, UnicodeDecodeError) as error:
        raise UserError(
            "the file of k-mer vectors cannot be read",
            where=path,
            expected="vectors saved by genexp embed or gensim, or the word2vec text or binary format",
            received=error,
        ) from error


def _from_word2vec(content: bytes) -> tuple[list[str], np.ndarray, str]:
    """Parse a header ``count dimension`` and then, per word, the word, a blank and its numbers, as text or float32."""
    header, _, body = content.partition(b"\n")
    fields = header.split()
    if len(fields) != 2 or not all(field.isdigit() for field in fields):
        raise ValueError("no header with the number of words and the dimension")
    count, dimension = (int(field) for field in fields)
    try:
        lines = body.decode("ascii").splitlines()
    except UnicodeDecodeError:
        return *_from_binary(body, count, dimension), "word2vec binary"
    rows = [line.split() for line in lines if line.strip()]
    if len(rows) != count or any(len(row) != dimension + 1 for row in rows):
        raise ValueError(f"not {count} lines of a word and {dimension} numbers")
    vectors = np.array([row[1:] for row in rows], np.float64).astype(np.float32)
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
    try:
        model = _Restricted(io.BytesIO(content)).load()
    except (pickle.UnpicklingError, AttributeError, TypeError, IndexError, KeyError, ImportError) as error:
        raise UserError(
            "this pickle does not look like word vectors, and opening it could run code",
            where=path,
            expected="a file of gensim's Word2Vec.save or KeyedVectors.save",
            received=error,
            do="in the environment that made it, save the vectors with wv.save_word2vec_format(path)",
        ) from error
    data = getattr(model, "__dict__", {})
    inner = getattr(data.get("wv"), "__dict__", None)
    data, prefix = (inner, ".wv") if inner is not None else (data, "")
    words = data.get("index_to_key") or data.get("index2word")
    vectors = data.get("vectors", data.get("syn0"))
    if vectors is None and words:  # gensim puts large arrays into files of their own
        vectors = np.load(path.with_name(f"{path.name}{prefix}.vectors.npy"), allow_pickle=False)
    if not isinstance(words, list) or not isinstance(vectors, np.ndarray) or vectors.ndim != 2:
        raise ValueError("a pickle without word vectors")
    return [str(word) for word in words], vectors.astype(np.float32)


class _Restricted(pickle.Unpickler):
    """An unpickler that builds NumPy arrays, containers and inert stand-ins for gensim's classes, and nothing else."""

    def __init__(self, file: io.BytesIO) -> None:
        super().__init__(file)
        # New for each file, so that none can leave anything behind in it.
        self._holder = type("Holder", (), {})

    def find_class(self, module: str, name: str) -> Any:
        """Return what a pickle asks for by name, or refuse."""
        if (module, name) in _GENSIM_CLASSES:
            return self._holder
        allowed = _allowed(module, name)
        if allowed is None:
            raise pickle.UnpicklingError(f"it asks for {module}.{name}")
        return allowed


def _allowed(module: str, name: str) -> Any:
    package, _, part = module.rpartition(".")
    if package in _NUMPY_MODULES and (part, name) in {("multiarray", "_reconstruct"), ("multiarray", "scalar")}:
        return getattr(np._core.multiarray, name)
    if package in _NUMPY_MODULES and (part, name) == ("numeric", "_frombuffer"):
        return np._core.numeric._frombuffer
    if module.startswith("numpy.random"):  # the state of the random generator, of no use here
        return _ignore
    return {
        ("numpy", "ndarray"): np.ndarray,
        ("numpy", "dtype"): np.dtype,
        ("collections", "defaultdict"): defaultdict,
        ("collections", "OrderedDict"): OrderedDict,
        ("_codecs", "encode"): _encode,
        ("builtins", "hash"): _ignore,  # the hash function of the model
        ("__builtin__", "hash"): _ignore,
        ("builtins", "int"): int,
    }.get((module, name))


def _encode(text: str, encoding: str) -> bytes:
    """Stand in for ``codecs.encode``, as old pickles use it to write bytes."""
    if encoding != "latin1":
        raise pickle.UnpicklingError(f"it asks for the encoding {encoding}")
    return codecs.latin_1_encode(text)[0]


def _ignore(*_: Any) -> Any:
    return _Nothing()


class _Nothing:
    """What stands for the parts of a model that are not read."""

    def __setstate__(self, state: Any) -> None: ...
