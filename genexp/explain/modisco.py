"""Motifs in the contributions of bases, by TF-MoDISco (Shrikumar et al. 2018, arXiv 1811.00416); extra ``modisco``."""

from __future__ import annotations

from pathlib import Path

import numpy as np


def discover(one_hot: np.ndarray, contributions: np.ndarray, path: Path) -> dict[str, np.ndarray]:
    """Find motifs, and write all that TF-MoDISco found to an HDF5 file, which its own commands read.

    Parameters
    ----------
    one_hot, contributions
        (n, length, 4) float32 bases, and contributions of each possible base.
    path
        The file.

    Returns
    -------
    dict of (width, 4) probabilities
        By name: ``pos_0`` raises predictions, ``neg_0`` lowers them; empty where nothing was found.
    """
    from modiscolite.io import save_hdf5
    from modiscolite.tfmodisco import TFMoDISco

    raising, lowering = TFMoDISco(one_hot=one_hot, hypothetical_contribs=contributions)
    save_hdf5(path, raising, lowering, one_hot.shape[1])
    named = {"pos": raising or [], "neg": lowering or []}
    return {f"{sign}_{n}": np.asarray(p.sequence) for sign, found in named.items() for n, p in enumerate(found)}
