"""Tokens, k-mers and their vectors."""
