"""DNA as integer tokens: the alphabet, and tokens from one-hot arrays and text."""

from __future__ import annotations

import numpy as np

#: A base is the index of its letter; N is any unknown base.
ALPHABET = "ACGTN"
N_TOKEN = 4

_CODE = np.full(256, 255, np.uint8)
for _token, _bases in enumerate(("Aa", "Cc", "Gg", "TtUu")):
    _CODE[np.frombuffer(_bases.encode(), np.uint8)] = _token
_CODE[np.frombuffer(b"NnRrYySsWwKkMmBbDdHhVv.-", np.uint8)] = N_TOKEN

#: Weight of each channel. The sum over the channels that are 1 is 16 + the token for a base, 0 for N, > 19 otherwise.
_WEIGHTS = (16, 17, 18, 19)
#: Four bytes of 0 or 1, read as one integer and multiplied by this, have that sum as their highest byte.
_WEIGH_WORD = np.uint32(0x10111213)


def tokens_from_text(sequence: str | bytes) -> np.ndarray:
    """Encode a DNA string.

    Parameters
    ----------
    sequence
        Bases in either case; U counts as T, the IUPAC ambiguity codes and gaps as N.

    Returns
    -------
    (length,) uint8
        A=0 C=1 G=2 T=3 N=4.

    Raises
    ------
    ValueError
        At a character that is not a base; the message names it and its position, counted from 0.
    """
    # A character outside ASCII becomes a question mark, which is not a base either: positions stay the same.
    raw = np.frombuffer(sequence.encode("ascii", "replace") if isinstance(sequence, str) else sequence, np.uint8)
    tokens = _CODE[raw]
    wrong = np.flatnonzero(tokens == 255)
    if wrong.size:
        first = int(wrong[0])
        character = sequence[first] if isinstance(sequence, str) else chr(sequence[first])
        raise ValueError(f"character {character!r} at position {first} is not a base")
    return tokens


def text_from_tokens(tokens: np.ndarray) -> str:
    """Decode (length,) tokens into a string over ACGTN."""
    return str(np.frombuffer(ALPHABET.encode(), np.uint8)[tokens].tobytes(), "ascii")


def tokens_from_one_hot(one_hot: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Encode one-hot bases.

    Fast if the four channels of a base are contiguous, and if `one_hot` is a view of (4, n, length) channels.

    Parameters
    ----------
    one_hot : (n, length, 4) bool or number
        Channels ACGT; all zeros stand for N.

    Returns
    -------
    tokens : (n, length) uint8
    malformed : (n,) bool
        True for each row with a position that is neither one-hot nor all zeros; its tokens are undefined.
    """
    tokens = np.empty(one_hot.shape[:2], np.uint8)
    malformed = np.zeros(len(one_hot), bool)
    # A few rows at a time, so that intermediate arrays stay in the processor's cache.
    step = max(1, (1 << 16) // max(1, one_hot.shape[1]))
    for first in range(0, len(one_hot), step):
        rows = slice(first, first + step)
        tokens[rows], malformed[rows] = _encode_rows(one_hot[rows])
    return tokens, malformed


def rows_with_n(tokens: np.ndarray) -> np.ndarray:
    """Return which rows of (n, length) tokens contain an N, as (n,) bool."""
    found = np.zeros(len(tokens), bool)
    for first in range(0, len(tokens), 256):  # a few rows at a time, to limit memory
        rows = tokens[first : first + 256]
        if rows.size and rows.max() == N_TOKEN:
            found[first : first + 256] = (rows == N_TOKEN).any(axis=1)
    return found


def _encode_rows(one_hot: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Apply `tokens_from_one_hot` to a few rows."""
    malformed = np.zeros(len(one_hot), bool)
    if one_hot.dtype.itemsize == 1:
        on = one_hot.view(np.uint8)
        if on.size and on.max() > 1:
            malformed |= (on > 1).any(axis=(1, 2))
    else:
        on = (one_hot == 1).view(np.uint8)
        malformed |= ((one_hot != 0) != on).any(axis=(1, 2))
    weights = _weigh_words(on) if on.strides[2] == 1 else _weigh_channels(on)
    if weights.size and weights.max() > max(_WEIGHTS):
        malformed |= (weights > max(_WEIGHTS)).any(axis=1)
    weights -= _WEIGHTS[0]  # a base is 0..3 now, and all zeros wrap around to 240
    return np.minimum(weights, N_TOKEN), malformed


def _weigh_words(on: np.ndarray) -> np.ndarray:
    """Sum the weights of the channels that are 1 in (n, length, 4) bytes whose channels are contiguous."""
    products = on.view("<u4") * _WEIGH_WORD
    return products.astype("<u4", copy=False).view(np.uint8)[..., 3].copy()


def _weigh_channels(on: np.ndarray) -> np.ndarray:
    """Sum the weights of the channels that are 1 in (n, length, 4) bytes with any strides."""
    weights = on[..., 0] * np.uint8(_WEIGHTS[0])
    for channel in range(1, 4):
        weights += on[..., channel] * np.uint8(_WEIGHTS[channel])
    return weights
