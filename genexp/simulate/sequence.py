"""Promoters of the demo genes: CpG islands and binding sites written into DNA, and read back from it without error.

The exact noise ceiling depends on `scan`: a promoter with an additional site by chance is drawn again.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

#: Length of a promoter in nt, and the index of the transcription start site in it.
PROMOTER_LENGTH = 2000
TSS = 1000

#: Half-open region relative to the TSS in which CpGs are counted; its length and ends are even.
CORE = (-400, 200)

#: Largest number of CpGs in a core, and smallest number in a CpG island.
MAX_CPG = 90
ISLAND_CPG = 16

_IUPAC = {
    "A": "A", "C": "C", "G": "G", "T": "T", "R": "AG", "Y": "CT", "S": "CG", "W": "AT",
    "K": "GT", "M": "AC", "B": "CGT", "D": "AGT", "H": "ACT", "V": "ACG", "N": "ACGT",
}  # fmt: skip

#: Transitions outside and inside CpG islands. Rows: this base; columns: the next; both A, C, G, T.
OUTSIDE = (
    (0.300, 0.205, 0.285, 0.210),
    (0.322, 0.298, 0.078, 0.302),
    (0.248, 0.246, 0.298, 0.208),
    (0.177, 0.239, 0.292, 0.292),
)
INSIDE = (
    (0.180, 0.274, 0.426, 0.120),
    (0.171, 0.368, 0.274, 0.188),
    (0.161, 0.339, 0.375, 0.125),
    (0.079, 0.355, 0.384, 0.182),
)
#: Factors on the transitions to C and G, outside and inside: GC content is 0.42 and 0.65 after CpGs are written.
_TILT = (0.73, 1.08)
#: Number of CpGs from which an island's background uses the inside table alone.
_FULL_STRENGTH = 60
#: Number of values of the random byte that selects a transition.
_LEVELS = 256
#: Rate of CpGs inside the island relative to outside.
_CONTRAST = 12


class Motif(NamedTuple):
    """A binding site.

    `band` is the half-open range of starts, relative to the TSS, at which the site has an effect; `both_strands` tells
    whether the reverse complement has the same; `rate` is the share of genes that have the site, without and with a
    CpG island.
    """

    name: str
    consensus: str
    band: tuple[int, int]
    both_strands: bool
    rate: tuple[float, float]


# Consensuses: TATA box Bucher 1990, initiator Vo Ngoc 2017, DPE Kutach and Kadonaga 2000, factors JASPAR;
# bands after FitzGerald 2004 (Clustering of DNA sequences in human promoters).

#: Elements of the core promoter; their effect depends on the offset in the band.
CORE_MOTIFS: tuple[Motif, ...] = (
    Motif("TATA", "TATAWAWR", (-33, -28), False, (0.40, 0.06)),
    Motif("INR", "BBCABW", (-4, -1), False, (0.50, 0.40)),
    Motif("DPE", "RGWYVT", (27, 30), False, (0.25, 0.10)),
)
#: Sites of transcription factors.
FACTOR_MOTIFS: tuple[Motif, ...] = (
    Motif("SP1", "GGGGCGGRG", (-130, -40), True, (0.15, 0.50)),
    Motif("NFYA", "RRCCAATSR", (-120, -50), True, (0.20, 0.30)),
    Motif("NRF1", "YGCGCAYGCGCR", (-110, -10), False, (0.08, 0.35)),
    Motif("YY1", "AARATGGCGGC", (-15, 35), False, (0.08, 0.25)),
    Motif("GABPA", "VCCGGAAGTG", (-80, 20), True, (0.08, 0.35)),
    Motif("CREB1", "TGACGTMA", (-150, -40), False, (0.10, 0.20)),
    Motif("E2F1", "TTTSGCGC", (-70, 10), False, (0.05, 0.15)),
    Motif("USF1", "RTCACGTGAY", (-150, -30), False, (0.08, 0.12)),
    Motif("ZBTB33", "TCTCGCGAGA", (-120, -10), False, (0.02, 0.08)),
    Motif("SRF", "CCWTATWAGG", (-150, -40), False, (0.08, 0.03)),
    Motif("JUND", "TGASTCA", (-160, -40), False, (0.20, 0.10)),
    Motif("REST", "CAGCACCNNGGACAGC", (-150, 40), False, (0.08, 0.06)),
)
MOTIFS: tuple[Motif, ...] = CORE_MOTIFS + FACTOR_MOTIFS


class Signals(NamedTuple):
    """What promoters determine about their genes; one row per gene.

    `cpg` is the (n,) int64 number of CpGs in the core that do not overlap a site, at most ``MAX_CPG``; `sites` (n,
    motifs) bool, whether the promoter has the site, in the order of ``MOTIFS``; `offsets` (n, core motifs) int64, the
    offset of the first core site from the start of its band, 0 where there is none.
    """

    cpg: np.ndarray
    sites: np.ndarray
    offsets: np.ndarray

    def take(self, rows: np.ndarray | slice) -> Signals:
        """Return the genes selected by an index, a boolean array or a slice."""
        return Signals(*(array[rows] for array in self))


def draw_promoters(signals: Signals, rng: np.random.Generator) -> np.ndarray:
    """Return promoters with exactly these signals: (n, PROMOTER_LENGTH) uint8 tokens, A=0 C=1 G=2 T=3."""
    tokens = np.empty((len(signals.cpg), PROMOTER_LENGTH), np.uint8)
    rows = np.arange(len(tokens))
    while rows.size:  # one promoter in ten has an additional site by chance
        wanted = signals.take(rows)
        tokens[rows] = _draw(wanted, rng)
        found = scan(tokens[rows])
        wrong = found.cpg != wanted.cpg
        wrong |= (found.sites != wanted.sites).any(axis=1) | (found.offsets != wanted.offsets).any(axis=1)
        rows = rows[wrong]
    return tokens


def scan(tokens: np.ndarray) -> Signals:
    """Read the signals from (n, PROMOTER_LENGTH) uint8 tokens, A=0 C=1 G=2 T=3 N=4."""
    bits = np.left_shift(np.uint8(1), tokens)
    sites = np.zeros((len(tokens), len(MOTIFS)), bool)
    offsets = np.zeros((len(tokens), len(CORE_MOTIFS)), np.int64)
    covered = np.zeros(tokens.shape, bool)
    for m, motif in enumerate(MOTIFS):
        starts = _matches(bits, motif)
        sites[:, m] = starts.any(axis=1)
        if m < len(CORE_MOTIFS):
            offsets[:, m] = starts.argmax(axis=1)
        rows, columns = np.nonzero(starts)
        covered[rows[:, None], columns[:, None] + TSS + motif.band[0] + np.arange(len(motif.consensus))] = True
    left, right = TSS + CORE[0], TSS + CORE[1]
    is_cpg = (tokens[:, left : right - 1] == 1) & (tokens[:, left + 1 : right] == 2)
    is_cpg &= ~(covered[:, left : right - 1] | covered[:, left + 1 : right])
    return Signals(is_cpg.sum(axis=1), sites, offsets)


def _matches(bits: np.ndarray, motif: Motif) -> np.ndarray:
    """Return (n, width of the band) bool: whether the motif starts there, on a strand on which it has an effect."""
    start, width = TSS + motif.band[0], motif.band[1] - motif.band[0]
    hit = np.zeros((len(bits), width), bool)
    for strand in _strands(motif):
        match = np.ones_like(hit)
        for i, allowed in enumerate(strand):
            match &= (bits[:, start + i : start + i + width] & np.uint8(sum(1 << base for base in allowed))) != 0
        hit |= match
    return hit


def _strands(motif: Motif) -> list[list[list[int]]]:
    """Return the tokens allowed at each position, for each strand on which the motif has an effect."""
    forward = [["ACGT".index(base) for base in _IUPAC[letter]] for letter in motif.consensus]
    backward = [[3 - base for base in allowed] for allowed in reversed(forward)]
    return [forward, backward] if motif.both_strands else [forward]


def _draw(signals: Signals, rng: np.random.Generator) -> np.ndarray:
    """Draw (n, PROMOTER_LENGTH) tokens that carry the signals, and possibly additional sites by chance."""
    island = _islands(signals.cpg, rng)
    tokens = _background(island, signals.cpg, rng)
    covered = _write_sites(tokens, signals, rng)
    parity = rng.integers(0, 2, len(tokens))
    for start in (0, 1):
        rows = np.flatnonzero(parity == start)
        tokens[rows] = _with_cpgs(tokens[rows], island[rows], covered[rows], signals.cpg[rows], start, rng)
    return tokens


def _islands(cpg: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return (n, PROMOTER_LENGTH) bool: the island around the TSS, wider with more CpGs."""
    reach = (200 + 5.0 * cpg[:, None]) * rng.lognormal(0.0, 0.35, (len(cpg), 2))
    reach[cpg < ISLAND_CPG] = 0
    position = np.arange(PROMOTER_LENGTH) - TSS
    return (position >= -reach[:, :1]) & (position < reach[:, 1:])


def _background(island: np.ndarray, cpg: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Draw (n, PROMOTER_LENGTH) tokens from Markov chains without CpG; GC in islands increases with the CpGs."""
    table = np.concatenate([_lookup(*pair) for pair in zip((OUTSIDE, INSIDE), _TILT, strict=True)])
    shape = (PROMOTER_LENGTH, len(cpg))  # position first, so that each step uses one contiguous row
    strength = np.minimum(cpg / _FULL_STRENGTH, 1).astype(np.float32)
    inside = island.T & (rng.random(shape, dtype=np.float32) < strength)
    index = inside * np.uint16(4 * _LEVELS) + rng.integers(0, _LEVELS, shape, dtype=np.uint8)
    tokens = np.empty(shape, np.uint8)
    base = rng.integers(0, 4, len(cpg), dtype=np.uint8)
    for position in range(PROMOTER_LENGTH):
        base = table[index[position] + base * np.uint16(_LEVELS)]
        tokens[position] = base
    return np.ascontiguousarray(tokens.T)


def _lookup(transitions: tuple[tuple[float, ...], ...], tilt: float) -> np.ndarray:
    """Return (4 * levels,) the next base, by base and random byte: no CpG, C and G weighted by `tilt`."""
    weights = np.array(transitions) * (1, tilt, tilt, 1)
    weights[1, 2] = 0
    edges = np.cumsum(weights / weights.sum(axis=1, keepdims=True), axis=1)[:, :3] * _LEVELS
    bases: np.ndarray = (np.arange(_LEVELS) >= np.round(edges)[:, :, None]).sum(axis=1)
    return bases.astype(np.uint8).ravel()


def _write_sites(tokens: np.ndarray, signals: Signals, rng: np.random.Generator) -> np.ndarray:
    """Write the sites into the tokens; return (n, PROMOTER_LENGTH) bool, the bases in sites."""
    starts = _site_starts(signals, rng)
    covered = np.zeros(tokens.shape, bool)
    for m, motif in enumerate(MOTIFS):
        rows = np.flatnonzero(signals.sites[:, m])
        columns = starts[rows, m, None] + np.arange(len(motif.consensus))
        strands = [np.stack([rng.choice(bases, len(rows)) for bases in strand], axis=1) for strand in _strands(motif)]
        tokens[rows[:, None], columns] = np.where(rng.random((len(rows), 1)) < 0.5, strands[0], strands[-1])
        covered[rows[:, None], columns] = True
    return covered


def _site_starts(signals: Signals, rng: np.random.Generator) -> np.ndarray:
    """Return (n, motifs) starts: core sites at their offsets, others anywhere in their bands, no two overlapping."""
    low, high = (np.array([motif.band[side] for motif in MOTIFS]) + TSS for side in (0, 1))
    lengths = np.array([len(motif.consensus) for motif in MOTIFS])
    first, second = np.triu_indices(len(MOTIFS), 1)
    starts = np.empty(signals.sites.shape, np.int64)
    rows = np.arange(len(starts))
    while rows.size:  # most genes have no overlap in the first draw
        drawn = rng.integers(low, high, (len(rows), len(MOTIFS)))
        drawn[:, : len(CORE_MOTIFS)] = low[: len(CORE_MOTIFS)] + signals.offsets[rows]
        starts[rows] = drawn
        both = signals.sites[rows][:, first] & signals.sites[rows][:, second]
        apart = drawn[:, first] + lengths[first] <= drawn[:, second]
        apart |= drawn[:, second] + lengths[second] <= drawn[:, first]
        rows = rows[(both & ~apart).any(axis=1)]
    return starts


def _with_cpgs(
    tokens: np.ndarray, island: np.ndarray, covered: np.ndarray, cpg: np.ndarray, start: int, rng: np.random.Generator
) -> np.ndarray:
    """Write CpGs into slots of two bases, the first at `start` (0 or 1), and return the tokens."""
    ends = slice(start, PROMOTER_LENGTH - start)
    free = ~(covered[:, ends][:, ::2] | covered[:, ends][:, 1::2])
    rate = np.where(island[:, ends][:, ::2], np.float32(_CONTRAST), np.float32(1))
    # The k slots with the shortest exponential waiting times are a weighted draw of k slots.
    times = np.where(free, rng.standard_exponential(free.shape, dtype=np.float32) / rate, np.inf)
    core = slice((TSS + CORE[0]) // 2, (TSS + CORE[1]) // 2 - start)
    in_order = np.sort(times[:, core], axis=1)
    limit = np.where(cpg > 0, in_order[np.arange(len(cpg)), np.maximum(cpg, 1) - 1], -1.0)
    rows, slots = np.nonzero(times <= limit[:, None])
    tokens[rows, start + 2 * slots] = 1
    tokens[rows, start + 2 * slots + 1] = 2
    return tokens
