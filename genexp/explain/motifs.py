"""Motifs in the MEME format (https://meme-suite.org/meme/doc/meme-format.html): read, and written."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from genexp.errors import UserError
from genexp.files import damage_reported, in_short, write_atomically

#: How far the sum of a row may be from 1: some files round to two digits.
ROUNDING = 0.05


def read_meme(path: Path) -> dict[str, np.ndarray]:
    """Return the motifs of a MEME file by name, (width, 4) float32 probabilities of A, C, G, T.

    Raises
    ------
    UserError
        If the file has no motifs over the DNA alphabet, or a damaged one.
    """
    with damage_reported(lambda error: _wrong(path, in_short(error))):
        text = path.read_text(encoding="utf-8")
    if not re.match(r"\s*MEME version \d", text):
        raise _wrong(path, text[:40].strip().split("\n")[0] or "nothing")
    alphabet = re.search(r"^ALPHABET\s*=?\s*(\S+)", text, re.MULTILINE)
    if alphabet and not re.fullmatch(r'ACGT|"?DNA"?', alphabet[1]):
        raise UserError("these motifs are not of DNA", where=path, expected="ALPHABET= ACGT", received=alphabet[1])
    motifs = {}
    for part in re.split(r"^MOTIF\s+", text, flags=re.MULTILINE)[1:]:
        name, _, body = part.partition("\n")
        found = re.search(r"^letter-probability matrix:.*\n((?:\s*[-\d.][-+\d.eE \t]*\n?)+)", body, re.MULTILINE)
        rows = [line.split() for line in (found[1] if found else "").splitlines() if line.strip()]
        with damage_reported(lambda error: _wrong(path, in_short(error))):
            matrix = np.array(rows, np.float32)
        if matrix.ndim != 2 or matrix.shape[1] != 4 or (abs(matrix.sum(axis=1) - 1) > ROUNDING).any():
            raise _wrong(path, f"motif {name.split()[0] if name.split() else '?'}: {len(rows)} rows")
        motifs[name.strip()] = matrix
    if not motifs:
        raise _wrong(path, "no line MOTIF")
    return motifs


def write_meme(path: Path, motifs: Mapping[str, np.ndarray]) -> None:
    """Write motifs by name, (width, 4) probabilities, as a MEME file."""
    lines = ["MEME version 5", "", "ALPHABET= ACGT", "", "strands: + -", ""]
    for name, matrix in motifs.items():
        lines += [f"MOTIF {name}", f"letter-probability matrix: alength= 4 w= {len(matrix)}"]
        lines += [" ".join(f"{p:.6f}" for p in row) for row in matrix] + [""]
    write_atomically(path, "\n".join(lines) + "\n")


def consensus(matrix: np.ndarray) -> np.ndarray:
    """Return the most probable base at each position of a motif, (width,) uint8 tokens."""
    found: np.ndarray = matrix.argmax(axis=1).astype(np.uint8)
    return found


def _wrong(path: Path, received: str) -> UserError:
    expected = "MEME version 4 or later; then for each motif MOTIF NAME, and its letter-probability matrix"
    return UserError("this is no MEME file of motifs", where=f"motifs={path}", expected=expected, received=received)
