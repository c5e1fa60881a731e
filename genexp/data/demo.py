"""The genes of ``dataset=demo``: simulated, small, and with a known attainable r2."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations

import numpy as np

from genexp.data.demo_sequence import (
    CORE_MOTIFS,
    FACTOR_MOTIFS,
    ISLAND_CPG,
    MAX_CPG,
    MOTIFS,
    PROMOTER_LENGTH,
    TSS,
    Signals,
    draw_promoters,
)
from genexp.data.genes import BLOCKS, HALFLIFE_FEATURES, SPLITS, Dataset, DatasetInfo, Split
from genexp.errors import UserError

__all__ = ["PROMOTER_LENGTH", "TSS", "WINDOW", "demo_info", "load_demo"]

#: Recommended window: a tenth of the published one, [TSS - 700, TSS + 350); it holds every signal.
WINDOW = (600, 1200)

#: Fewest genes that fill three splits.
MIN_GENES = 50

# -- promoter -----------------------------------------------------------------------------------------------------

_ISLAND_SHARE = 0.67
_CPG_MEAN, _CPG_SD = (5.0, 50.0), (3.5, 13.0)
_CPG_EFFECT = 0.46
#: Effect of a core site by its offset in the band.
_CORE_EFFECT = ((0.25, 0.4, 0.5, 0.4, 0.25), (0.1, 0.2, 0.1), (0.08, 0.15, 0.08))
#: Effect of a factor's site beyond that of the factor's binding.
_SITE_EFFECT = (0.05, 0.05, 0.25, 0.05, 0.25, 0.05, 0.05, 0.05, 0.05, 0.05, 0.0, -0.10)

# -- transcription factors: log-odds of distal binding at mean CpG, slope per sd of CpG, effect on expression ------

_FACTORS: dict[str, tuple[float, float, float]] = {
    "SP1": (-0.6, 0.9, 0.12),
    "NFYA": (-1.5, 0.5, 0.15),
    "NRF1": (-1.8, 0.9, 0.30),
    "YY1": (-1.0, 0.9, 0.20),
    "GABPA": (-1.2, 0.9, 0.30),
    "CREB1": (-1.2, 0.6, 0.15),
    "E2F1": (-1.0, 0.8, 0.10),
    "USF1": (-1.0, 0.5, 0.10),
    "ZBTB33": (-2.5, 0.5, 0.10),
    "SRF": (-2.0, -0.3, 0.10),
    "JUND": (-0.5, -0.3, 0.15),
    "REST": (-2.0, 0.3, -0.30),
    "TAF1": (0.8, 1.6, 0.25),
    "TBP": (0.5, 1.2, 0.20),
    "MYC": (0.0, 1.2, 0.25),
    "MAX": (0.2, 1.3, -0.10),
    "MAZ": (0.3, 1.4, -0.15),
    "CTCF": (-0.4, 0.4, 0.10),
    "EP300": (-0.8, 0.3, 0.30),
    "SIN3A": (0.0, 1.3, -0.30),
    "CHD2": (0.0, 1.1, 0.25),
    "ELF1": (-0.2, 1.0, 0.15),
    "ETS1": (-0.6, 0.9, 0.10),
    "STAT1": (-1.5, 0.2, 0.20),
    "STAT3": (-1.2, 0.0, 0.30),
    "GATA2": (-1.3, -0.6, -0.25),
    "CEBPB": (-0.8, -0.4, 0.28),
    "FOXA1": (-1.2, -0.6, -0.25),
    "HNF4A": (-1.5, -0.4, 0.15),
    "RFX5": (-1.8, 0.4, 0.20),
    "ZNF143": (-1.5, 0.6, 0.20),
    "EZH2": (-1.2, 0.8, -0.45),
}
_SITE_COLUMN = np.array([list(_FACTORS).index(m.name) for m in FACTOR_MOTIFS])

# -- half-life: log10 of lengths and density, logit of GC fractions: mean, sd, correlation with CpG, effect ---------

_HALFLIFE: dict[str, tuple[float, float, float, float]] = {
    "UTR5LEN": (2.15, 0.35, 0.15, -0.02),
    "CDSLEN": (3.08, 0.32, 0.05, -0.10),
    "INTRONLEN": (4.15, 0.70, 0.05, 0.00),
    "UTR3LEN": (2.90, 0.45, 0.10, -0.08),
    "UTR5GC": (0.45, 0.50, 0.45, -0.05),
    "CDSGC": (0.10, 0.35, 0.10, -0.05),
    "UTR3GC": (-0.25, 0.40, 0.05, -0.08),
    "ORFEXONDENSITY": (0.85, 0.28, 0.05, 0.22),
}
#: Correlations of the features beyond what the CpGs explain: (feature, feature, correlation).
_HALFLIFE_CORRELATIONS = (
    ("CDSLEN", "INTRONLEN", 0.45),
    ("CDSLEN", "UTR3LEN", 0.25),
    ("INTRONLEN", "UTR3LEN", 0.25),
    ("UTR5LEN", "UTR3LEN", 0.15),
    ("UTR5GC", "CDSGC", 0.40),
    ("CDSGC", "UTR3GC", 0.65),
    ("UTR5GC", "UTR3GC", 0.30),
    ("CDSGC", "INTRONLEN", -0.30),
    ("UTR3GC", "INTRONLEN", -0.35),
    ("CDSLEN", "ORFEXONDENSITY", -0.15),
    ("INTRONLEN", "ORFEXONDENSITY", 0.35),
)

# -- microRNA -------------------------------------------------------------------------------------------------------

_MIRNAS = tuple(
    f"hsa-{name}"
    for name in [
        "let-7a-5p",
        "let-7b-5p",
        "let-7c-5p",
        "let-7e-5p",
        "miR-1-3p",
        "miR-7-5p",
        "miR-9-5p",
        "miR-10a-5p",
        "miR-15a-5p",
        "miR-15b-5p",
        "miR-16-5p",
        "miR-17-5p",
        "miR-18a-5p",
        "miR-19a-3p",
        "miR-19b-3p",
        "miR-20a-5p",
        "miR-21-5p",
        "miR-22-3p",
        "miR-23a-3p",
        "miR-23b-3p",
        "miR-24-3p",
        "miR-26a-5p",
        "miR-26b-5p",
        "miR-27a-3p",
        "miR-29a-3p",
        "miR-29b-3p",
        "miR-30a-5p",
        "miR-30c-5p",
        "miR-34a-5p",
        "miR-92a-3p",
        "miR-93-5p",
        "miR-98-5p",
        "miR-101-3p",
        "miR-103a-3p",
        "miR-106b-5p",
        "miR-122-5p",
        "miR-124-3p",
        "miR-125b-5p",
        "miR-128-3p",
        "miR-130a-3p",
        "miR-145-5p",
        "miR-146a-5p",
        "miR-155-5p",
        "miR-181a-5p",
        "miR-192-5p",
        "miR-200b-3p",
        "miR-221-3p",
        "miR-335-5p",
    ]
)
_MIRNA_RATE = 0.18 * 0.93 ** np.random.default_rng(48).permutation(len(_MIRNAS))
_MIRNA_EFFECT = -0.17 * np.linspace(0.6, 1.4, len(_MIRNAS))

# -- expression -----------------------------------------------------------------------------------------------------

_NOISE_SD = 0.47
#: log10(expression + 0.1) = offset + scale x the sum of all parts.
_OFFSET, _SCALE = 0.9, 0.4


@dataclass(frozen=True)
class Genes:
    """Everything about simulated genes but their bases; one row per gene.

    Attributes
    ----------
    signals
        What the promoters say.
    halflife : (n, 8) float64
        Latent half-life features, of variance 1 (see :func:`raw_halflife`).
    tf : (n, factors) uint8
        Whether the factor is bound.
    mirna : (n, miRNAs) uint8
        Whether the miRNA targets the gene.
    expression : (n,) float64
        Positive, in the unit of RPKM.
    """

    signals: Signals
    halflife: np.ndarray
    tf: np.ndarray
    mirna: np.ndarray
    expression: np.ndarray

    @property
    def label(self) -> np.ndarray:
        """log10(expression + 0.1), not standardised."""
        return np.log10(self.expression + 0.1)


def demo_info(genes: int) -> DatasetInfo:
    """Describe the demo genes without simulating them.

    Parameters
    ----------
    genes
        Number of genes in all splits together.

    Returns
    -------
    DatasetInfo
        Splits of about 80, 10 and 10 %.

    Raises
    ------
    UserError
        With too few genes for three splits.
    """
    if genes < MIN_GENES:
        raise UserError(
            "The demo needs more genes.", where="dataset.genes", expected=f"{MIN_GENES} or more", received=genes
        )
    tenth = genes // 10
    return DatasetInfo(
        source="demo",
        layout="simulated genes",
        genes=dict(zip(SPLITS, (genes - 2 * tenth, tenth, tenth), strict=True)),
        promoter="bases",
        promoter_length=PROMOTER_LENGTH,
        tss=TSS,
        widths={"H": len(HALFLIFE_FEATURES), "T": len(_FACTORS), "M": len(_MIRNAS)},
        feature_names={"H": HALFLIFE_FEATURES, "T": tuple(_FACTORS), "M": _MIRNAS},
    )


def load_demo(genes: int, seed: int, blocks: str, window: tuple[int, int] | None) -> Dataset:
    """Simulate the demo genes.

    Parameters
    ----------
    genes
        Number of genes in all splits together.
    seed
        Same genes and seed: same genes, whatever `blocks` and `window` are.
    blocks
        Letters of the blocks to hold in memory, such as ``"PH"``.
    window
        Half-open slice of the promoter; None for the recommended ``WINDOW``.

    Returns
    -------
    Dataset
        With the attainable r2 on the test genes for all 15 combinations of blocks as ``ceiling``.

    Raises
    ------
    UserError
        With too few genes, a block that does not exist or a window outside the promoter.
    """
    info = demo_info(genes)
    bounds = _checked_window(window) if "P" in blocks else None
    if not blocks or set(blocks) - set(BLOCKS):
        raise UserError(
            "Unknown feature block.", where="data.blocks", expected=f"letters of {''.join(BLOCKS)}", received=blocks
        )
    gene_rng, promoter_rng = (np.random.default_rng(s) for s in np.random.SeedSequence(seed).spawn(2))
    simulated = simulate(genes, gene_rng)
    arrays: dict[str, np.ndarray] = {
        "H": _preprocessed(raw_halflife(simulated.halflife)),
        "T": simulated.tf,
        "M": simulated.mirna,
    }
    train = slice(0, info.genes["train"])
    arrays["H"] = _standardised(arrays["H"], train).astype(np.float32)
    if bounds:
        arrays["P"] = np.ascontiguousarray(draw_promoters(simulated.signals, promoter_rng)[:, slice(*bounds)])
    everything = Split(
        genes=np.array([f"DEMO{i:06d}" for i in range(1, genes + 1)]),
        labels=_standardised(simulated.label, train).astype(np.float32),
        blocks={b: arrays[b] for b in BLOCKS if b in blocks},
    )
    ends = np.cumsum([info.genes[s] for s in SPLITS])
    splits = {s: everything.take(np.arange(end - info.genes[s], end)) for s, end in zip(SPLITS, ends, strict=True)}
    expected = expectations(simulated)
    test = slice(ends[1], ends[2])
    ceiling = {name: _r2(prediction[test], simulated.label[test]) for name, prediction in expected.items()}
    return Dataset(info, bounds, splits, ceiling=ceiling)


def simulate(n: int, rng: np.random.Generator) -> Genes:
    """Draw `n` genes, all but their bases."""
    cpg = rng.choice(MAX_CPG + 1, n, p=_cpg_law())
    sites = rng.random((n, len(MOTIFS))) < _site_rates()[cpg]
    widths = np.array([m.band[1] - m.band[0] for m in CORE_MOTIFS])
    offsets = rng.integers(0, widths, (n, len(widths))) * sites[:, : len(widths)]
    signals = Signals(cpg, sites, offsets)
    bound = rng.random((n, len(_FACTORS))) < _distal_rates()[cpg]
    bound[:, _SITE_COLUMN] |= sites[:, len(widths) :]
    halflife = _strength()[cpg, None] * _halflife_shift() + rng.multivariate_normal(
        np.zeros(len(_HALFLIFE)), _halflife_covariance(), n, method="cholesky"
    )
    mirna = rng.random((n, len(_MIRNAS))) < _MIRNA_RATE
    total = (
        _promoter_part(signals)
        + bound @ _factor_effect()
        + halflife @ _halflife_effect()
        + mirna @ _MIRNA_EFFECT
        + rng.normal(0.0, _NOISE_SD, n)
    )
    expression = np.maximum(10.0 ** (_OFFSET + _SCALE * total) - 0.1, 1e-3)  # the floor is never met
    return Genes(signals, halflife, bound.astype(np.uint8), mirna.astype(np.uint8), expression)


def raw_halflife(latent: np.ndarray) -> np.ndarray:
    """Return half-life features as one measures them: lengths in nt, GC fractions, exon junctions per kb of ORF."""
    mean, sd = (np.array([row[i] for row in _HALFLIFE.values()]) for i in (0, 1))
    raw = mean + sd * latent
    return np.where(_is_gc(), 1 / (1 + np.exp(-raw)), 10.0**raw - 0.1)


def expectations(genes: Genes) -> dict[str, np.ndarray]:
    """Return E[sum of parts | blocks], (n,) each, for all 15 combinations of blocks: no model can predict better.

    Given the number of CpGs k, the sites, the half-life features and the distal binding of the factors are
    independent. With the promoter k and the sites are known; without it, Bayes' rule gives the law of k from the
    other blocks, and that of a site from k and its factor.
    """
    mirna = genes.mirna @ _MIRNA_EFFECT
    result = {}
    for size in range(1, len(BLOCKS) + 1):
        for combination in combinations(BLOCKS, size):
            name = "".join(combination)
            known = _expect_with_promoter(genes, name) if "P" in name else _expect_without_promoter(genes, name)
            result[name] = known + mirna if "M" in name else known
    return result


def _expect_with_promoter(genes: Genes, blocks: str) -> np.ndarray:
    cpg, sites = genes.signals.cpg, genes.signals.sites
    rates = _distal_rates()[cpg]
    rates[:, _SITE_COLUMN] = np.where(sites[:, len(CORE_MOTIFS) :], 1.0, rates[:, _SITE_COLUMN])
    tf = genes.tf if "T" in blocks else rates
    halflife = genes.halflife if "H" in blocks else _strength()[cpg, None] * _halflife_shift()
    return _promoter_part(genes.signals) + tf @ _factor_effect() + halflife @ _halflife_effect()


def _expect_without_promoter(genes: Genes, blocks: str) -> np.ndarray:
    """Average over the number of CpGs, by its law given the blocks."""
    site_rate, strength = _site_rates(), _strength()
    core_rate, factor_rate = np.split(site_rate, [len(CORE_MOTIFS)], axis=1)
    bound_rate = _distal_rates()
    bound_rate[:, _SITE_COLUMN] += (1 - bound_rate[:, _SITE_COLUMN]) * factor_rate
    log_law = np.log(_cpg_law())[None, :].repeat(len(genes.tf), 0)
    value = _CPG_EFFECT * strength + core_rate @ np.array([np.mean(e) for e in _CORE_EFFECT])
    if "T" in blocks:
        log_law += genes.tf @ np.log(bound_rate / (1 - bound_rate)).T + np.log(1 - bound_rate).sum(axis=1)
    else:
        value += bound_rate @ _factor_effect() + factor_rate @ np.array(_SITE_EFFECT)
    if "H" in blocks:
        direction = np.linalg.solve(_halflife_covariance(), _halflife_shift())
        log_law += (genes.halflife @ direction)[:, None] * strength - 0.5 * strength**2 * (
            direction @ _halflife_shift()
        )
    else:
        value += strength * (_halflife_shift() @ _halflife_effect())
    law = np.exp(log_law - log_law.max(axis=1, keepdims=True))
    law /= law.sum(axis=1, keepdims=True)
    result = law @ value
    if "T" in blocks:
        result += genes.tf @ _factor_effect()
        has_site = law @ (factor_rate / bound_rate[:, _SITE_COLUMN])  # if its factor is bound; else it has none
        result += (genes.tf[:, _SITE_COLUMN] * has_site) @ np.array(_SITE_EFFECT)
    if "H" in blocks:
        result += genes.halflife @ _halflife_effect()
    return result


def _promoter_part(signals: Signals) -> np.ndarray:
    core, factor = np.split(signals.sites, [len(CORE_MOTIFS)], axis=1)
    part = _CPG_EFFECT * _strength()[signals.cpg] + factor @ np.array(_SITE_EFFECT)
    for m, effect in enumerate(_CORE_EFFECT):
        part += core[:, m] * np.array(effect)[signals.offsets[:, m]]
    return part


def _cpg_law() -> np.ndarray:
    """Return (MAX_CPG + 1,) the probability of each number of CpGs: two bells that do not overlap."""
    k = np.arange(MAX_CPG + 1)
    law = np.zeros(len(k))
    for share, mean, sd, of in zip(
        (1 - _ISLAND_SHARE, _ISLAND_SHARE), _CPG_MEAN, _CPG_SD, (k < ISLAND_CPG, k >= ISLAND_CPG), strict=True
    ):
        bell = np.exp(-0.5 * ((k - mean) / sd) ** 2) * of
        law += share * bell / bell.sum()
    return law


def _strength() -> np.ndarray:
    """Return (MAX_CPG + 1,) the number of CpGs, standardised."""
    k, law = np.arange(MAX_CPG + 1), _cpg_law()
    mean = law @ k
    return (k - mean) / np.sqrt(law @ (k - mean) ** 2)


def _site_rates() -> np.ndarray:
    """Return (MAX_CPG + 1, motifs) the probability of each site by number of CpGs."""
    island = np.arange(MAX_CPG + 1) >= ISLAND_CPG
    return np.where(island[:, None], [m.rate[1] for m in MOTIFS], [m.rate[0] for m in MOTIFS])


def _distal_rates() -> np.ndarray:
    """Return (MAX_CPG + 1, factors) the probability that a factor is bound without a site in the promoter."""
    intercept, slope = (np.array([row[i] for row in _FACTORS.values()]) for i in (0, 1))
    return 1 / (1 + np.exp(-(intercept + slope * _strength()[:, None])))


def _factor_effect() -> np.ndarray:
    return np.array([row[2] for row in _FACTORS.values()])


def _halflife_shift() -> np.ndarray:
    return np.array([row[2] for row in _HALFLIFE.values()])


def _halflife_effect() -> np.ndarray:
    return np.array([row[3] for row in _HALFLIFE.values()])


def _halflife_covariance() -> np.ndarray:
    """Return (8, 8) the covariance of the latent features given the CpGs; every feature has variance 1 in all."""
    correlation = np.eye(len(_HALFLIFE))
    for a, b, r in _HALFLIFE_CORRELATIONS:
        i, j = HALFLIFE_FEATURES.index(a), HALFLIFE_FEATURES.index(b)
        correlation[i, j] = correlation[j, i] = r
    sd = np.sqrt(1 - _halflife_shift() ** 2)
    return correlation * np.outer(sd, sd)


def _is_gc() -> np.ndarray:
    return np.array([name.endswith("GC") for name in HALFLIFE_FEATURES])


def _preprocessed(raw: np.ndarray) -> np.ndarray:
    """Return the features as Xpresso feeds them, before standardising: log10(x + 0.1) of all but GC fractions."""
    return np.where(_is_gc(), raw, np.log10(np.where(_is_gc(), 1.0, raw + 0.1)))


def _standardised(values: np.ndarray, train: slice) -> np.ndarray:
    return (values - values[train].mean(axis=0)) / values[train].std(axis=0)


def _r2(a: np.ndarray, b: np.ndarray) -> float:
    return float(np.corrcoef(a, b)[0, 1] ** 2)


def _checked_window(window: tuple[int, int] | None) -> tuple[int, int]:
    left, right = WINDOW if window is None else window
    if not 0 <= left < right <= PROMOTER_LENGTH:
        raise UserError(
            "The window does not lie in the demo's promoters.",
            where="data.window",
            expected=f"0 <= left < right <= {PROMOTER_LENGTH}",
            received=[left, right],
        )
    return left, right
