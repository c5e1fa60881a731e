"""Simulated genes with a known noise ceiling."""
