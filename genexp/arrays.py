"""The arrays of the public API: their shapes and types, as annotations that `isinstance` can check.

They are names for type checkers and readers; modules import them for annotations alone, and tests hold results to them.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Float32, Shaped, UInt, UInt8

#: Bases of promoters: A=0 C=1 G=2 T=3 N=4.
Tokens = UInt8[np.ndarray, "genes length"]
#: One-hot bases in the order A C G T; N is all zeros.
OneHot = Bool[np.ndarray, "genes length 4"]
#: How often each k-mer occurs in each chunk of a promoter.
KmerCounts = UInt[np.ndarray, "genes chunks kmers"]
#: Precomputed promoter embeddings.
Embedded = Float32[np.ndarray, "genes chunks dimension"]
#: The features of one block; those of only 0 and 1 are kept as uint8.
Features = Float32[np.ndarray, "genes features"] | UInt8[np.ndarray, "genes features"]
#: One number per gene.
PerGene = Float32[np.ndarray, "genes"]
#: One number per gene and label; missing labels are NaN.
PerLabel = Float32[np.ndarray, "genes labels"]
#: Names of genes.
Names = Shaped[np.ndarray, "genes"]
