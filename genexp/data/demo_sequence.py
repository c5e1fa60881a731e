"""Promoters of the simulated genes: CpG islands and binding sites written into DNA, and read back from it.

A promoter is drawn in three steps.

1. Background: a first-order Markov chain whose transitions are the CpG-island tables of Durbin, Eddy, Krogh and
   Mitchison (Biological Sequence Analysis, 1998, section 3.1), mixed position by position between the tables for
   "inside" and "outside" an island, without the step from C to G.
2. Sites: one instance of its IUPAC consensus for each motif that the gene has.
3. CpGs: exactly as many as the gene has in its core, placed where its island lies, and none across a site.

What the label depends on (number of CpGs, sites, offset of the core sites) can so be read back from the final
sequence without error: :func:`scan` does so, and a promoter in which chance made one more site, or lost one, is
drawn again. The attainable r2 rests on this.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

#: Length of a promoter in nt, and the index of the transcription start site in it.
PROMOTER_LENGTH = 2000
TSS = 1000

#: Half-open region, relative to the TSS, whose CpGs count.
CORE = (-400, 200)

#: Most CpGs that a core can have, and the fewest that make it a CpG island.
MAX_CPG = 100
ISLAND_CPG = 18

_IUPAC = {
    "A": "A", "C": "C", "G": "G", "T": "T", "R": "AG", "Y": "CT", "S": "CG", "W": "AT",
    "K": "GT", "M": "AC", "B": "CGT", "D": "AGT", "H": "ACT", "V": "ACG", "N": "ACGT",
}  # fmt: skip

# Rows and columns A, C, G, T.
_OUTSIDE = np.array(
    [[0.300, 0.205, 0.285, 0.210], [0.322, 0.298, 0.078, 0.302], [0.248, 0.246, 0.298, 0.208], [0.177, 0.239, 0.292, 0.292]]
)  # fmt: skip
_INSIDE = np.array(
    [[0.180, 0.274, 0.426, 0.120], [0.171, 0.368, 0.274, 0.188], [0.161, 0.339, 0.375, 0.125], [0.079, 0.355, 0.384, 0.182]]
)  # fmt: skip
_LEVELS = 256  # resolution of a transition probability


@dataclass(frozen=True)
class Motif:
    """A binding site: where it may start, relative to the TSS, and how it reads.

    Attributes
    ----------
    name
        Core-promoter element, or transcription factor.
    consensus
        IUPAC letters, 5' to 3'.
    band
        Half-open range of starts at which the site works; elsewhere it does nothing.
    both_strands
        Whether the reverse complement works as well.
    rate
        Share of genes that have it: without and with a CpG island.
    """

    name: str
    consensus: str
    band: tuple[int, int]
    both_strands: bool
    rate: tuple[float, float]


#: Core-promoter elements first (their effect depends on the offset in the band), then sites of transcription factors.
CORE_MOTIFS: tuple[Motif, ...] = (
    Motif("TATA", "TATAWAWR", (-33, -28), False, (0.40, 0.06)),
    Motif("INR", "BBCABW", (-4, -1), False, (0.50, 0.40)),
    Motif("DPE", "RGWYVT", (27, 30), False, (0.25, 0.10)),
)
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
MOTIFS = CORE_MOTIFS + FACTOR_MOTIFS


@dataclass(frozen=True)
class Signals:
    """What a promoter says about its gene; one row per gene.

    Attributes
    ----------
    cpg : (n,) int
        Number of CpGs in the core, those that overlap a site left out.
    sites : (n, motifs) bool
        Whether the promoter has the site, in the order of ``MOTIFS``.
    offsets : (n, core motifs) int
        Start of the first core site in its band, 0 where there is none.
    """

    cpg: np.ndarray
    sites: np.ndarray
    offsets: np.ndarray

    def take(self, rows: np.ndarray) -> Signals:
        """Return the genes selected by an index or boolean array."""
        return Signals(self.cpg[rows], self.sites[rows], self.offsets[rows])


def draw_promoters(signals: Signals, rng: np.random.Generator) -> np.ndarray:
    """Draw promoters that carry exactly the given signals.

    Parameters
    ----------
    signals
        What each promoter has to say.
    rng
        Source of everything random.

    Returns
    -------
    (n, PROMOTER_LENGTH) uint8
        Tokens A=0 C=1 G=2 T=3; ``scan`` returns `signals` for them.
    """
    tokens = np.empty((len(signals.cpg), PROMOTER_LENGTH), np.uint8)
    rows = np.arange(len(tokens))
    while rows.size:  # one round in ten makes a site by chance; ten rounds leave one gene in 10^10
        wanted = signals.take(rows)
        tokens[rows] = _draw(wanted, rng)
        found = scan(tokens[rows])
        wrong = (
            (found.cpg != wanted.cpg)
            | (found.sites != wanted.sites).any(axis=1)
            | (found.offsets != wanted.offsets).any(axis=1)
        )
        rows = rows[wrong]
    return tokens


def scan(tokens: np.ndarray) -> Signals:
    """Read the signals from promoters.

    Parameters
    ----------
    tokens : (n, PROMOTER_LENGTH) uint8
        A=0 C=1 G=2 T=3 N=4.

    Returns
    -------
    Signals
        Of every promoter, in order.
    """
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
        for i in range(len(motif.consensus)):
            covered[rows, columns + TSS + motif.band[0] + i] = True
    left, right = TSS + CORE[0], TSS + CORE[1]
    is_cpg = (tokens[:, left : right - 1] == 1) & (tokens[:, left + 1 : right] == 2)
    is_cpg &= ~(covered[:, left : right - 1] | covered[:, left + 1 : right])
    return Signals(is_cpg.sum(axis=1), sites, offsets)


def _matches(bits: np.ndarray, motif: Motif) -> np.ndarray:
    """Return (n, width of the band) bool: whether the motif starts there, on a strand that counts."""
    start, width = TSS + motif.band[0], motif.band[1] - motif.band[0]
    hit = np.zeros((len(bits), width), bool)
    for letters in _orientations(motif):
        match = np.ones_like(hit)
        for i, allowed in enumerate(letters):
            mask = np.uint8(sum(1 << "ACGT".index(base) for base in allowed))
            match &= (bits[:, start + i : start + i + width] & mask) != 0
        hit |= match
    return hit


def _orientations(motif: Motif) -> list[list[str]]:
    """Return the bases allowed at each position, for each strand on which the motif works."""
    forward = [_IUPAC[letter] for letter in motif.consensus]
    complement = str.maketrans("ACGT", "TGCA")
    backward = [bases.translate(complement) for bases in reversed(forward)]
    return [forward, backward] if motif.both_strands else [forward]


def _draw(signals: Signals, rng: np.random.Generator) -> np.ndarray:
    """Draw (n, PROMOTER_LENGTH) tokens that carry the signals, but for sites made by chance."""
    inside = _islands(signals.cpg, rng)
    tokens = _background(inside, signals.cpg, rng)
    covered = _plant_sites(tokens, signals, rng)
    _plant_cpgs(tokens, inside, covered, signals.cpg, rng)
    return tokens


def _islands(cpg: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return (n, PROMOTER_LENGTH) bool: the stretch around the TSS that is CpG island, wider the more CpGs."""
    reach = (200 + 5.0 * cpg[:, None]) * rng.lognormal(0.0, 0.35, (len(cpg), 2))
    reach[cpg < ISLAND_CPG] = 0
    position = np.arange(PROMOTER_LENGTH) - TSS
    return (position >= -reach[:, :1]) & (position < reach[:, 1:])


def _background(inside: np.ndarray, cpg: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Draw Markov chains without CpG: the island's transitions inside, the stronger the more CpGs."""
    table = np.concatenate([_lookup(_OUTSIDE, 0.66), _lookup(_INSIDE, 0.9)])  # (2 x 4 bases x levels,)
    strength = np.clip(cpg / 68, 0.35, 1).astype(np.float32)
    n = len(cpg)
    state = rng.integers(0, _LEVELS, (PROMOTER_LENGTH, n), dtype=np.uint8).astype(np.uint16)
    island = inside.T & (rng.random((PROMOTER_LENGTH, n), dtype=np.float32) < strength)
    state += island.astype(np.uint16) * np.uint16(4 * _LEVELS)
    tokens = np.empty((PROMOTER_LENGTH, n), np.uint8)
    base = rng.integers(0, 4, n, dtype=np.uint8)
    for t in range(PROMOTER_LENGTH):
        base = table[state[t] + base * np.uint16(_LEVELS)]
        tokens[t] = base
    return np.ascontiguousarray(tokens.T)


def _lookup(transitions: np.ndarray, tilt: float) -> np.ndarray:
    """Return the next base by (base, level), flat: transitions without C to G, G and C `tilt` times as likely."""
    weights = transitions * np.array([1, tilt, tilt, 1])
    weights[1, 2] = 0
    edges = np.cumsum(weights / weights.sum(axis=1, keepdims=True), axis=1)[:, :3] * _LEVELS
    return (np.arange(_LEVELS) >= np.round(edges)[:, :, None]).sum(axis=1).astype(np.uint8).ravel()


def _plant_sites(tokens: np.ndarray, signals: Signals, rng: np.random.Generator) -> np.ndarray:
    """Write the sites into the tokens; return (n, PROMOTER_LENGTH) bool, the bases they cover."""
    lengths = np.array([len(m.consensus) for m in MOTIFS])
    starts = _site_starts(signals, lengths, rng)
    covered = np.zeros(tokens.shape, bool)
    for m, motif in enumerate(MOTIFS):
        rows = np.flatnonzero(signals.sites[:, m])
        columns = starts[rows, m, None] + np.arange(lengths[m])
        strands = [
            np.stack([rng.choice(["ACGT".index(b) for b in bases], len(rows)) for bases in letters], axis=1)
            for letters in _orientations(motif)
        ]
        forward = rng.random((len(rows), 1)) < 0.5
        tokens[rows[:, None], columns] = np.where(forward, strands[0], strands[-1])
        covered[rows[:, None], columns] = True
    return covered


def _site_starts(signals: Signals, lengths: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return (n, motifs) starts in the promoter: core sites at their offset, the others anywhere in their band."""
    low, high = (np.array([m.band[side] for m in MOTIFS]) + TSS for side in (0, 1))
    starts = np.empty(signals.sites.shape, np.int64)
    rows = np.arange(len(starts))
    first, second = np.triu_indices(len(MOTIFS), 1)
    while rows.size:  # until no two sites of a gene overlap
        starts[rows] = rng.integers(low, high, (len(rows), len(MOTIFS)))
        starts[rows, : len(CORE_MOTIFS)] = low[: len(CORE_MOTIFS)] + signals.offsets[rows]
        s, on = starts[rows], signals.sites[rows]
        overlap = (s[:, first] < s[:, second] + lengths[second]) & (s[:, second] < s[:, first] + lengths[first])
        rows = rows[(overlap & on[:, first] & on[:, second]).any(axis=1)]
    return starts


def _plant_cpgs(
    tokens: np.ndarray, inside: np.ndarray, covered: np.ndarray, cpg: np.ndarray, rng: np.random.Generator
) -> None:
    """Write CpGs into slots of two bases: exactly `cpg` in the core, elsewhere at the density of the core."""
    free = ~(covered[:, ::2] | covered[:, 1::2])
    weight = np.where(inside[:, ::2], np.float32(12), np.float32(1))
    keys = np.where(free, rng.standard_exponential(free.shape, dtype=np.float32) / weight, np.inf)
    core = slice((TSS + CORE[0]) // 2, (TSS + CORE[1]) // 2)
    ranked = np.sort(keys[:, core], axis=1)
    # The cpg-th smallest of exponentials with these rates: the slots below it are a weighted draw of that many.
    limit = np.where(cpg > 0, ranked[np.arange(len(cpg)), np.maximum(cpg, 1) - 1], -1.0)
    rows, slots = np.nonzero(keys <= limit[:, None])
    tokens[rows, 2 * slots] = 1
    tokens[rows, 2 * slots + 1] = 2
