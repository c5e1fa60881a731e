"""The promoter of one gene after another, explained by one model."""

from __future__ import annotations

from collections.abc import Mapping

import keras
import numpy as np

from genexp.explain.gradients import gradients, integrated_gradients
from genexp.explain.mutagenesis import insertions, substitutions
from genexp.explain.networks import Network, SoftNetwork
from genexp.explain.request import Request
from genexp.models import ModelConfig


class Explainer:
    """A model that sees the slice `seen` of the promoters.

    Attributes
    ----------
    notes : dict of float
        ``mutagenesis`` and ``insertion``: the largest difference of a prediction from that of the whole model, of those
        that were compared; ``integrated_gradients``: the largest error of completeness; in the unit of the label.
    """

    def __init__(self, model: keras.Model, config: ModelConfig, seen: slice, request: Request) -> None:
        self.network, self._seen, self._request = Network(model, config), seen, request
        self._soft = SoftNetwork(self.network)
        self.notes: dict[str, float] = {}

    def predict(self, tokens: np.ndarray, features: Mapping[str, np.ndarray]) -> np.float32:
        """Choose a gene, the (window,) tokens that the model sees and (width,) features by block letter; predict it."""
        self._tokens, self._features = tokens, features
        self._prediction = self.network.fix(self._tokens, features)[self._request.output]
        found: np.float32 = self._prediction
        return found

    def explain(self, method: str) -> np.ndarray:
        """Explain the gene by one of the methods."""
        return self.insertions() if method == "insertion" else self.contributions(method)

    def contributions(self, method: str) -> np.ndarray:
        """Explain the gene by mutagenesis, gradients or integrated gradients: (length, 4) float32.

        It is what A, C, G and T add to the prediction, compared with the mean of the four (Majdandzic et al. 2023,
        Correcting gradient-based interpretations of deep neural networks for genomics, Genome Biology 24, 109); zeros
        where the model sees nothing.
        """
        request, first = self._request, self._seen.start
        found = np.zeros((request.length, 4), np.float32)
        if method == "mutagenesis":
            left, right = max(request.region[0], first), min(request.region[1], self._seen.stop)
            values, note = substitutions(self.network, self._tokens, (left - first, right - first))
            found[left:right] = values[..., request.output]
        elif method == "gradients":
            found[self._seen] = gradients(self._soft, self._tokens, self._features, request.output)
            note = 0.0
        else:
            found[self._seen], note = integrated_gradients(
                self._soft, self._tokens, self._features, request.output, request.steps
            )
        self._note(method, note)
        found -= found.mean(axis=-1, keepdims=True)
        return found

    def insertions(self) -> np.ndarray:
        """Return how motifs, and their other strands, change the prediction: (motifs, 2, positions) float32.

        NaN where a motif does not lie in what the model sees.
        """
        request, first = self._request, self._seen.start
        found = np.full((len(request.motifs), 2, len(request.positions)), np.nan, np.float32)
        for number, motif in enumerate(request.motifs):
            inside = (request.positions >= first) & (request.positions + len(motif) <= self._seen.stop)
            values, note = insertions(self.network, motif, request.positions[inside] - first)
            found[number][:, inside] = values[..., request.output] - self._prediction
            self._note("insertion", note)
        return found

    def _note(self, method: str, number: float) -> None:
        self.notes[method] = max(abs(number), self.notes.get(method, 0.0))
