"""Datasets: sequence encoding, readers, the demo genes and the input pipeline."""
