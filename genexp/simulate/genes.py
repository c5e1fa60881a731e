"""The distribution of the demo genes: how blocks and expression are drawn, and E[label | blocks]."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from genexp.blocks import HALFLIFE_FEATURES, PROMOTER, combinations
from genexp.simulate.sequence import CORE_MOTIFS, FACTOR_MOTIFS, ISLAND_CPG, MAX_CPG, MOTIFS, Signals

# Promoter: two bell-shaped distributions of k that do not overlap, the effect of one standard deviation of k, the
# effects of the core elements by offset in their band, and the effect of a site beyond the binding of its factor.
_ISLAND_SHARE = 0.67
_CPG_MEAN, _CPG_SD = (4.5, 44.0), (3.5, 12.0)
_CPG_EFFECT = 0.50
_CORE_EFFECT = {"TATA": (0.2, 0.35, 0.45, 0.35, 0.2), "INR": (0.1, 0.2, 0.1), "DPE": (0.08, 0.15, 0.08)}
_SITE_EFFECT = {
    **dict.fromkeys(("SP1", "NFYA", "YY1", "CREB1", "E2F1", "USF1", "ZBTB33", "SRF", "JUND"), 0.05),
    **{"NRF1": 0.10, "GABPA": 0.10, "REST": -0.10},
}

#: By factor: log-odds of distal binding at mean k, its slope per standard deviation of k, and effect on expression.
FACTORS = {
    "SP1": (-0.6, 0.9, 0.12),     "NFYA": (-1.5, 0.5, 0.15),    "NRF1": (-1.8, 0.9, 0.27),
    "YY1": (-1.0, 0.9, 0.20),     "GABPA": (-1.2, 0.9, 0.27),   "CREB1": (-1.2, 0.6, 0.15),
    "E2F1": (-1.0, 0.8, 0.10),    "USF1": (-1.0, 0.5, 0.10),    "ZBTB33": (-2.5, 0.5, 0.10),
    "SRF": (-2.0, -0.3, 0.10),    "JUND": (-0.5, -0.3, 0.15),   "REST": (-2.0, 0.3, -0.30),
    "TAF1": (0.8, 1.6, 0.25),     "PML": (0.5, 1.2, 0.20),      "MYC": (0.0, 1.2, 0.25),
    "MAX": (0.2, 1.3, -0.10),     "MAZ": (0.3, 1.4, -0.15),     "CTCF": (-0.4, 0.4, 0.10),
    "EP300": (-0.8, 0.3, 0.30),   "SIN3A": (0.0, 1.3, -0.30),   "CHD2": (0.0, 1.1, 0.25),
    "ELF1": (-0.2, 1.0, 0.15),    "ETS1": (-0.6, 0.9, 0.10),    "STAT1": (-1.5, 0.2, 0.20),
    "STAT3": (-1.2, 0.0, 0.30),   "GATA2": (-1.3, -0.6, -0.25), "CEBPB": (-0.8, -0.4, 0.28),
    "FOXA1": (-1.2, -0.6, -0.25), "HNF4A": (-1.5, -0.4, 0.15),  "RFX5": (-1.8, 0.4, 0.20),
    "ZNF143": (-1.5, 0.6, 0.20),  "EZH2": (-1.2, 0.8, -0.45),
}  # fmt: skip

#: By half-life feature: mean and sd of log10(length + 0.1) or of the logit of a GC fraction, correlation with k, and
#: effect per sd on expression.
_FEATURES = {
    "UTR5LEN": (2.15, 0.35, 0.15, -0.02),       "CDSLEN": (3.08, 0.32, 0.05, -0.10),
    "INTRONLEN": (4.15, 0.70, 0.05, 0.00),      "UTR3LEN": (2.90, 0.45, 0.10, -0.08),
    "UTR5GC": (0.45, 0.50, 0.45, -0.05),        "CDSGC": (0.10, 0.35, 0.10, -0.05),
    "UTR3GC": (-0.25, 0.40, 0.05, -0.08),       "ORFEXONDENSITY": (0.85, 0.28, 0.05, 0.22),
}  # fmt: skip
#: Correlations between features given k.
_FEATURE_CORRELATIONS = {
    ("CDSLEN", "INTRONLEN"): 0.45,         ("CDSLEN", "UTR3LEN"): 0.25,
    ("INTRONLEN", "UTR3LEN"): 0.25,        ("UTR5LEN", "UTR3LEN"): 0.15,
    ("UTR5GC", "CDSGC"): 0.40,             ("CDSGC", "UTR3GC"): 0.65,
    ("UTR5GC", "UTR3GC"): 0.30,            ("CDSGC", "INTRONLEN"): -0.30,
    ("UTR3GC", "INTRONLEN"): -0.35,        ("CDSLEN", "ORFEXONDENSITY"): -0.15,
    ("INTRONLEN", "ORFEXONDENSITY"): 0.35,
}  # fmt: skip

_MIRNA_NAMES = """
    let-7a-5p let-7b-5p let-7c-5p let-7e-5p miR-1-3p miR-7-5p miR-9-5p miR-10a-5p miR-15a-5p miR-15b-5p miR-16-5p
    miR-17-5p miR-18a-5p miR-19a-3p miR-19b-3p miR-20a-5p miR-21-5p miR-22-3p miR-23a-3p miR-23b-3p miR-24-3p
    miR-26a-5p miR-26b-5p miR-27a-3p miR-29a-3p miR-29b-3p miR-30a-5p miR-30c-5p miR-34a-5p miR-92a-3p miR-93-5p
    miR-98-5p miR-101-3p miR-103a-3p miR-106b-5p miR-122-5p miR-124-3p miR-125b-5p miR-128-3p miR-130a-3p miR-145-5p
    miR-146a-5p miR-155-5p miR-181a-5p miR-192-5p miR-200b-3p miR-221-3p miR-335-5p"""
MIRNAS = tuple(f"hsa-{name}" for name in _MIRNA_NAMES.split())
_MIRNA_RATE = 0.18 * 0.94 ** (7.0 * np.arange(len(MIRNAS)) % len(MIRNAS))  # not in the order of the effects
_MIRNA_EFFECT = -np.linspace(0.10, 0.24, len(MIRNAS))

#: Column names of the simulated feature blocks, by letter.
FEATURE_NAMES = {"H": HALFLIFE_FEATURES, "T": tuple(FACTORS), "M": MIRNAS}

_NOISE_SD = 0.46
#: log10(expression + 0.1) = offset + scale x the sum of all parts.
_OFFSET, _SCALE = 0.9, 0.35

# Arrays with a first axis of MAX_CPG + 1 are indexed by k.
_K = np.arange(MAX_CPG + 1)
_IS_ISLAND = _K >= ISLAND_CPG


def _cpg_distribution() -> np.ndarray:
    """Return the probability of each k: one bell for genes without an island, one for genes with."""
    probability = np.zeros(MAX_CPG + 1)
    shares = (1 - _ISLAND_SHARE, _ISLAND_SHARE)
    for share, mean, sd, of_class in zip(shares, _CPG_MEAN, _CPG_SD, (~_IS_ISLAND, _IS_ISLAND), strict=True):
        bell = np.exp(-0.5 * ((_K - mean) / sd) ** 2) * of_class
        probability += share * bell / bell.sum()
    return probability


def _feature_covariance() -> np.ndarray:
    """Return the (8, 8) covariance of the features given k; over all k each has variance 1."""
    correlation = np.eye(len(_FEATURES))
    for pair, r in _FEATURE_CORRELATIONS.items():
        i, j = (HALFLIFE_FEATURES.index(name) for name in pair)
        correlation[i, j] = correlation[j, i] = r
    sd = np.sqrt(1 - _SHIFT**2)
    return correlation * np.outer(sd, sd)


_PRIOR = _cpg_distribution()
_STRENGTH = (_K - _PRIOR @ _K) / np.sqrt(_PRIOR @ (_K - _PRIOR @ _K) ** 2)  # k, standardised
_SITE_RATE = np.array([motif.rate for motif in MOTIFS]).T[_IS_ISLAND.astype(int)]
_LOG_ODDS, _SLOPE, _TF_EFFECT = np.array(list(FACTORS.values())).T
_DISTAL_RATE = 1 / (1 + np.exp(-(_LOG_ODDS + _SLOPE * _STRENGTH[:, None])))
_WITH_SITE = np.array([list(FACTORS).index(motif.name) for motif in FACTOR_MOTIFS])  # columns of T
_ADDED_BY_SITE = np.array([_SITE_EFFECT[motif.name] for motif in FACTOR_MOTIFS])
_MEAN, _SD, _SHIFT, _FEATURE_EFFECT = np.array([_FEATURES[name] for name in HALFLIFE_FEATURES]).T
_COVARIANCE = _feature_covariance()
IS_GC = np.array([name.endswith("GC") for name in HALFLIFE_FEATURES])


class Genes(NamedTuple):
    """Simulated genes without their bases; one row per gene.

    `features` are the (n, 8) float64 half-life features on the scale on which they are normally distributed, with
    variance 1; `tf` and `mirna` (n, width) uint8, whether the factor is bound and whether the miRNA targets the gene;
    `expression` (n,) float64, positive, like a median RPKM.
    """

    signals: Signals
    features: np.ndarray
    tf: np.ndarray
    mirna: np.ndarray
    expression: np.ndarray

    @property
    def label(self) -> np.ndarray:
        """log10(expression + 0.1), not standardised."""
        return np.asarray(np.log10(self.expression + 0.1))

    def take(self, rows: np.ndarray | slice) -> Genes:
        """Return the genes selected by an index, a boolean array or a slice."""
        return Genes(self.signals.take(rows), *(array[rows] for array in self[1:]))


def simulate(n: int, rng: np.random.Generator) -> Genes:
    """Draw `n` genes, without their bases."""
    k = rng.choice(MAX_CPG + 1, n, p=_PRIOR)
    sites = rng.random((n, len(MOTIFS))) < _SITE_RATE[k]
    core, factor = np.split(sites, [len(CORE_MOTIFS)], axis=1)
    signals = Signals(k, sites, rng.integers(0, [len(e) for e in _CORE_EFFECT.values()], core.shape) * core)
    bound = rng.random((n, len(FACTORS))) < _DISTAL_RATE[k]
    bound[:, _WITH_SITE] |= factor
    scatter = rng.standard_normal((n, len(_FEATURES))) @ np.linalg.cholesky(_COVARIANCE).T
    features = _STRENGTH[k, None] * _SHIFT + scatter
    mirna = rng.random((n, len(MIRNAS))) < _MIRNA_RATE
    parts = _promoter_part(signals) + bound @ _TF_EFFECT + features @ _FEATURE_EFFECT + mirna @ _MIRNA_EFFECT
    total = parts + rng.normal(0.0, _NOISE_SD, n)
    # The floor is 5 standard deviations below the mean of the exponent.
    expression = np.maximum(10.0 ** (_OFFSET + _SCALE * total) - 0.1, 1e-3)
    return Genes(signals, features, bound.astype(np.uint8), mirna.astype(np.uint8), expression)


def raw_halflife(features: np.ndarray) -> np.ndarray:
    """Return the (n, 8) half-life features as measured: nt, GC fractions, exon junctions per kb of ORF."""
    scaled: np.ndarray = _MEAN + _SD * features
    return np.where(IS_GC, 1 / (1 + np.exp(-scaled)), 10.0**scaled - 0.1)


def expectations(genes: Genes) -> dict[str, np.ndarray]:
    """Return E[sum of all parts | blocks], (n,) float64, for all 15 combinations of blocks: exact up to a constant."""
    mirna_part, means = genes.mirna @ _MIRNA_EFFECT, {}
    for name in combinations():
        if set(name) <= {PROMOTER, *FEATURE_NAMES}:
            mean = _mean_with_promoter(genes, name) if PROMOTER in name else _mean_without_promoter(genes, name)
            means[name] = mean + mirna_part if "M" in name else mean
    return means


def _mean_with_promoter(genes: Genes, blocks: str) -> np.ndarray:
    """Average over what the promoter does not determine: distal binding and half-life features."""
    k, tf = genes.signals.cpg, genes.tf
    if "T" not in blocks:
        tf = _DISTAL_RATE[k]
        tf[:, _WITH_SITE] = np.where(genes.signals.sites[:, len(CORE_MOTIFS) :], 1.0, tf[:, _WITH_SITE])
    features = genes.features if "H" in blocks else _STRENGTH[k, None] * _SHIFT
    mean: np.ndarray = _promoter_part(genes.signals) + tf @ _TF_EFFECT + features @ _FEATURE_EFFECT
    return mean


def _mean_without_promoter(genes: Genes, blocks: str) -> np.ndarray:
    """Average over the distribution of k given the blocks, and over the sites given k and the bound factors."""
    core_rate, site_rate = np.split(_SITE_RATE, [len(CORE_MOTIFS)], axis=1)
    bound_rate = _DISTAL_RATE.copy()
    bound_rate[:, _WITH_SITE] += (1 - bound_rate[:, _WITH_SITE]) * site_rate
    log_p = np.log(_PRIOR)[None, :]
    by_k = _CPG_EFFECT * _STRENGTH + core_rate @ [np.mean(effect) for effect in _CORE_EFFECT.values()]
    if "T" in blocks:
        log_p = log_p + genes.tf @ np.log(bound_rate / (1 - bound_rate)).T + np.log(1 - bound_rate).sum(axis=1)
    else:
        by_k += bound_rate @ _TF_EFFECT + site_rate @ _ADDED_BY_SITE
    if "H" in blocks:
        direction = np.linalg.solve(_COVARIANCE, _SHIFT)
        log_p = log_p + np.outer(genes.features @ direction, _STRENGTH) - 0.5 * (direction @ _SHIFT) * _STRENGTH**2
    else:
        by_k += (_SHIFT @ _FEATURE_EFFECT) * _STRENGTH
    posterior = np.exp(log_p - log_p.max(axis=1, keepdims=True))
    posterior /= posterior.sum(axis=1, keepdims=True)
    mean: np.ndarray = posterior @ by_k
    if "T" in blocks:
        site_if_bound = posterior @ (site_rate / bound_rate[:, _WITH_SITE])
        mean += genes.tf @ _TF_EFFECT + (genes.tf[:, _WITH_SITE] * site_if_bound) @ _ADDED_BY_SITE
    return mean + genes.features @ _FEATURE_EFFECT if "H" in blocks else mean


def _promoter_part(signals: Signals) -> np.ndarray:
    """Return (n,) the contribution of the promoter itself to log-expression."""
    core, factor = np.split(signals.sites, [len(CORE_MOTIFS)], axis=1)
    part: np.ndarray = _CPG_EFFECT * _STRENGTH[signals.cpg] + factor @ _ADDED_BY_SITE
    for m, motif in enumerate(CORE_MOTIFS):
        part += core[:, m] * np.array(_CORE_EFFECT[motif.name])[signals.offsets[:, m]]
    return part
