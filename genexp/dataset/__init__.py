"""Genes in memory, file layouts, reading, checks and batches."""
