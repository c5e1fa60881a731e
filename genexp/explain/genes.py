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
    """A model that sees the slice `seen` of the promoters."""

    def __init__(self, model: keras.Model, config: ModelConfig, seen: slice, request: Request) -> None:
        self.network, self._seen, self._request = Network(model, config), seen, request
        self._soft = SoftNetwork(self.network)

    def predict(self, tokens: np.ndarray, features: Mapping[str, np.ndarray]) -> np.float32:
        """Choose a gene, the (window,) tokens that the model sees and (width,) features by block letter; predict it."""
        self._tokens, self._features = tokens, features
        self._prediction = self.network.fix(self._tokens, features)[self._request.output]
        found: np.float32 = self._prediction
        return found

    def explain(self, method: str) -> tuple[np.ndarray, float]:
        """Explain the gene by one of the methods.

        Returns
        -------
        values, error
            See `contributions` and `insertions`; and the largest difference of a prediction from that of the whole
            model, of those that were compared, or the error of completeness, in the unit of the label.
        """
        return self.insertions() if method == "insertion" else self.contributions(method)

    def contributions(self, method: str) -> tuple[np.ndarray, float]:
        """Explain the gene by a method of `PER_BASE`: (length, 4) float32, and the error.

        It is what A, C, G and T add to the prediction, compared with the mean of the four (Majdandzic et al. 2023,
        Correcting gradient-based interpretations of deep neural networks for genomics, Genome Biology 24, 109); zeros
        where the model sees nothing.
        """
        found = np.zeros((self._request.length, 4), np.float32)
        seen, error = PER_BASE[method](self)
        found[self._seen] = seen - seen.mean(axis=-1, keepdims=True)
        return found, abs(error)

    def mutagenesis(self) -> tuple[np.ndarray, float]:
        """Return the prediction with each base at each position of the region, (window, 4), and the error."""
        request, seen = self._request, self._seen
        left, right = (min(max(edge, seen.start), seen.stop) - seen.start for edge in request.region)
        found = np.zeros((seen.stop - seen.start, 4), np.float32)
        values, error = substitutions(self.network, self._tokens, (left, right))
        found[left:right] = values[..., request.output]
        return found, error

    def gradients(self) -> tuple[np.ndarray, float]:
        """Return the gradient at the bases, (window, 4); it has no error."""
        return gradients(self._soft, self._tokens, self._features, self._request.output), 0.0

    def integrated_gradients(self) -> tuple[np.ndarray, float]:
        """Return the mean gradient on the way to the bases, (window, 4), and the error of completeness."""
        request = self._request
        return integrated_gradients(self._soft, self._tokens, self._features, request.output, request.steps)

    def insertions(self) -> tuple[np.ndarray, float]:
        """Return how motifs, and their other strands, change the prediction: (motifs, 2, positions) float32; the error.

        NaN where a motif does not lie in what the model sees.
        """
        request, first, largest = self._request, self._seen.start, 0.0
        found = np.full((len(request.motifs), 2, len(request.positions)), np.nan, np.float32)
        for number, motif in enumerate(request.motifs):
            inside = (request.positions >= first) & (request.positions + len(motif) <= self._seen.stop)
            values, error = insertions(self.network, motif, request.positions[inside] - first)
            found[number][:, inside] = values[..., request.output] - self._prediction
            largest = max(largest, abs(error))
        return found, largest


#: The methods that give a number for each base, those of `genexp.explain.config.PER_BASE`.
PER_BASE = {
    "mutagenesis": Explainer.mutagenesis,
    "gradients": Explainer.gradients,
    "integrated_gradients": Explainer.integrated_gradients,
}
