"""Tokens, k-mers and k-mer vectors, in NumPy."""
