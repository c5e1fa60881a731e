"""DNA as integer tokens: the alphabet, and tokens from one-hot arrays and text."""

from __future__ import annotations

import numpy as np

#: A base is the index of its letter; N is any unknown base.
ALPHABET = "ACGTN"
N_TOKEN = 4
#: The token of the base that pairs with each; N with N.
COMPLEMENT = np.array([3, 2, 1, 0, N_TOKEN], np.uint8)

#: How other programs number A, C, G, T and N; 4 is a base in the first three, and the others have numbers of their own.
_NUMBERINGS = {
    "A=1 C=2 G=3 T=4 N=0": (1, 2, 3, 4, 0),
    "A=0 C=1 G=2 N=3 T=4": (0, 1, 2, 4, 3),
    "A=1 C=2 G=3 T=4 N=5": (1, 2, 3, 4, 5),
    "A=0 C=1 G=2 T=3 N=5": (0, 1, 2, 3, 5),
    "A=0 C=1 G=2 T=3 N=-1": (0, 1, 2, 3, -1),
    "A=0 C=1 G=2 T=3 N=255": (0, 1, 2, 3, 255),
    "A=1 C=2 G=3 T=4 N=-1": (1, 2, 3, 4, -1),
    "the letters as ASCII": (*b"ACGTN",),
    "the letters as ASCII, in lower case": (*b"acgtn",),
}

#: A number is a base if it is at least this part of all, and seldom follows itself: N is rare, or comes in runs.
LEAST_SHARE, MOST_REPEATED = 0.02, 0.7
#: Positions that are enough to tell.
ENOUGH = 100
#: Letters of bases, with ambiguity codes and gaps.
LETTERS = b"ACGTUacgtuNRYSWKMBDHVnryswkmbdhv.-"

_CODE = np.full(256, 255, np.uint8)
_CODE[np.frombuffer(LETTERS, np.uint8)] = N_TOKEN
for _token, _bases in enumerate(("Aa", "Cc", "Gg", "TtUu")):
    _CODE[np.frombuffer(_bases.encode(), np.uint8)] = _token


def tokens_from_text(sequence: str | bytes) -> np.ndarray:
    """Return a DNA string as (length,) uint8 tokens: either case, U counts as T, ambiguity codes and gaps as N.

    At any other character it raises a ValueError that names the character and its position, counted from 0.
    """
    # A character outside ASCII becomes a question mark, which is not a base either: positions stay the same.
    raw = bytearray(sequence.encode("ascii", "replace") if isinstance(sequence, str) else sequence)
    tokens = np.frombuffer(raw.translate(_CODE.tobytes()), np.uint8)
    if tokens.max(initial=0) == 255:
        first = int(tokens.argmax())
        character = sequence[first] if isinstance(sequence, str) else chr(sequence[first])
        raise ValueError(f"character {character!r} at position {first} is not a base")
    return tokens


def text_from_tokens(tokens: np.ndarray) -> str:
    """Return (length,) tokens as a string over ACGTN."""
    return str(np.frombuffer(ALPHABET.encode(), np.uint8)[tokens].tobytes(), "ascii")


def other_numbering(tokens: np.ndarray) -> str | None:
    """Return in which other way (n, length) tokens of 0 to 4 seem to be numbered, None if as in `ALPHABET`.

    Where 4 stands for a base, it is a good part of all tokens and lies scattered; what stands for N does not.
    """
    if tokens.size < ENOUGH or not _is_base(tokens, N_TOKEN):
        return None
    bases = {number for number in range(len(ALPHABET)) if _is_base(tokens, number)}
    return next((name for name, numbers in _NUMBERINGS.items() if bases == {*numbers[:4]}), None)


def _is_base(tokens: np.ndarray, number: int) -> bool:
    there = tokens == number
    share = there.mean()
    return bool(share >= LEAST_SHARE and (there[:, 1:] & there[:, :-1]).mean() < MOST_REPEATED * share)


def numbering_of(values: np.ndarray) -> str | None:
    """Return in which way values that are no tokens are numbered, where all bases occur and nothing else but N."""
    found = set(np.unique(values).tolist())
    known = (name for name, numbers in _NUMBERINGS.items() if {*numbers[:4]} <= found <= {*numbers})
    return next(known, None)


def tokens_from_one_hot(one_hot: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the (n, length) uint8 tokens of (n, length, 4) one-hot bases of any type, and which rows are malformed.

    All zeros stand for N. Rows with a position that is neither one-hot nor all zeros are malformed, (n,) bool; their
    tokens are undefined.
    """
    tokens = np.empty(one_hot.shape[:2], np.uint8)
    malformed = np.zeros(len(one_hot), bool)
    # A few rows at a time, so that intermediate arrays stay in the processor's cache.
    step = max(1, (1 << 16) // max(1, one_hot.shape[1]))
    for first in range(0, len(one_hot), step):
        rows = slice(first, first + step)
        tokens[rows], malformed[rows] = _encode_rows(one_hot[rows])
    return tokens, malformed


def _encode_rows(one_hot: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    values = one_hot.view(np.uint8) if one_hot.dtype.itemsize == 1 else one_hot
    on = values == 1
    malformed = (on != (values != 0)).any(axis=(1, 2))
    # The sum is 16 + the token where one channel is 1, 0 where none is, and at least 33 where several are.
    total = on[..., 0] * np.uint8(16)
    for channel in range(1, 4):
        total += on[..., channel] * np.uint8(16 + channel)
    malformed |= total.max(axis=1, initial=0) > 19
    total -= 16  # a base is 0..3 now, and all zeros wrap around to 240
    return np.minimum(total, N_TOKEN), malformed


def rows_with_n(tokens: np.ndarray) -> np.ndarray:
    """Return which rows of (n, length) tokens contain an N, as (n,) bool."""
    return np.asarray(tokens.max(axis=1, initial=0) == N_TOKEN)


def reverse_complement(tokens: np.ndarray) -> np.ndarray:
    """Return the other strand of (..., length) uint8 tokens, read from its 5' end; N stays N."""
    return np.take(COMPLEMENT, tokens[..., ::-1])


def cut(tokens: np.ndarray, start: int, end: int, *, circular: bool = False) -> np.ndarray:
    """Return the (end - start,) tokens of a chromosome from `start` to `end`, 0-based and half-open.

    Beyond the ends of a linear chromosome they are N; a circular one goes on at its other end.
    """
    if circular:
        return np.take(tokens, np.arange(start, end), mode="wrap")
    found = np.full(end - start, N_TOKEN, np.uint8)
    inside = slice(max(start, 0), max(min(end, len(tokens)), max(start, 0)))
    found[inside.start - start : inside.stop - start] = tokens[inside]
    return found
