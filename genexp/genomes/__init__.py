"""Genomes by coordinates: bases around a position, genes of an annotation, variants, tracks along a chromosome."""
