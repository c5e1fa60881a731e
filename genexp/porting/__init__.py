"""Weights that others trained: reading published checkpoints as data, and setting them into our models."""
