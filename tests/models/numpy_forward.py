"""Seven architectures in plain NumPy (float64, inference), written from their description, not from the Keras code.

Every step that is easily got wrong is a function or constant of its own, so that a test can replace it by the wrong
one and see that the difference shows.
"""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np

from genexp.blocks import BLOCKS, feature_blocks

Weights = dict[str, np.ndarray]

BATCH_NORM_EPSILON = 1e-3
LAYER_NORM_EPSILON = 1e-6
GATES = ("input", "forget", "candidate", "output")
BLOCK_ORDER = "HTM"  # written down here, not read from the table; blocks that were added come after
BLOCK_ORDER += "".join(letter for letter in feature_blocks() if letter not in BLOCK_ORDER)


def forward(config: Any, genes: dict[str, np.ndarray], w: Weights, vectors: np.ndarray | None = None) -> np.ndarray:
    """Return the answers, (genes, 1), for tokens (or embedded chunks) and features by block letter."""
    parts = {b: with_splines(genes[b].astype(np.float64), config, b) for b in BLOCK_ORDER if b in genes}
    if "P" in genes:
        parts = {"P": ENCODERS[config.name](config, genes["P"], w, vectors), **parts}
    if config.branch:
        parts = {b: relu(dense(part, w, f"branch_{BLOCKS[b].input}")) for b, part in parts.items()}
    x = np.concatenate(list(parts.values()), axis=1)
    for n in range(1, 2 if config.name in ("biolstm", "transformer", "kmer_net") else 3):
        x = relu(dense(x, w, f"dense_{n}"))
    return dense(x, w, "expression")


def with_splines(x: np.ndarray, config: Any, block: str) -> np.ndarray:
    if block != "H" or not config.knots:
        return x
    at = np.linspace(-3, 3, config.knots)
    splines = np.stack([np.interp(x, at, row) for row in np.eye(config.knots)], axis=-1)
    return np.concatenate([x, splines.reshape(len(x), -1)], axis=1)


def xpresso(config: Any, tokens: np.ndarray, w: Weights, _: Any) -> np.ndarray:
    x = one_hot(tokens, 4)
    for n, pool in enumerate(config.pools, 1):
        x = pooled(relu(conv(x, w, f"promoter_{n}_conv")), pool, np.max)
    return flatten(x)


def divide_et_impera(config: Any, tokens: np.ndarray, w: Weights, _: Any) -> np.ndarray:
    parts = []
    for n, part in enumerate(np.split(one_hot(tokens, 4), config.parts, axis=1)):
        x = pooled(relu(conv(part, w, f"part_{n}_1_conv")), config.pool, np.max)
        x = relu(conv(x, w, f"part_{n}_2_conv"))
        parts.append(pooled(relu(conv(x, w, f"part_{n}_3_conv")), config.pool, np.max))
    x = np.concatenate(parts, axis=1)
    x = pooled(relu(conv(x, w, "joined_1_conv")), config.pool, np.max)
    for n in (2, 3, 4):
        x = relu(conv(x, w, f"joined_{n}_conv"))
    return flatten(x)


def biolstm(config: Any, promoter: np.ndarray, w: Weights, vectors: np.ndarray | None) -> np.ndarray:
    x = batch_norm(chunks(config, promoter, vectors), w, "normalise_chunks")
    kernel, recurrent, bias = (w[f"lstm/lstm_cell/{v}"] for v in ("kernel", "recurrent_kernel", "bias"))
    hidden = cell = np.zeros((len(x), config.units))
    for step in range(x.shape[1]):
        total = x[:, step] @ kernel + hidden @ recurrent + bias
        gate = dict(zip(GATES, np.split(total, 4, axis=1), strict=True))
        cell = sigmoid(gate["forget"]) * cell + sigmoid(gate["input"]) * np.tanh(gate["candidate"])
        hidden = sigmoid(gate["output"]) * np.tanh(cell)
    return hidden


def transformer(config: Any, promoter: np.ndarray, w: Weights, vectors: np.ndarray | None) -> np.ndarray:
    x = batch_norm(chunks(config, promoter, vectors), w, "normalise_chunks")
    x = x * position_scale(x.shape[2]) + positions(x.shape[1], x.shape[2])
    for n in range(1, config.depth + 1):
        x = encoder_block(x, w, f"encoder_{n}")
    return x.mean(axis=1)


def token_transformer(config: Any, tokens: np.ndarray, w: Weights, _: Any) -> np.ndarray:
    layer = "token_and_position_embedding"
    embedded = one_hot(tokens, config.vocab_size) @ w[f"{layer}/kernel"] + w[f"{layer}/bias"]
    x = embedded
    for n, pool in enumerate(config.pools, 1):
        x = pooled(relu(conv(x, w, f"conv_{n}")), pool, np.mean)
    shortcut = pooled(embedded, config.pools[0] * config.pools[1], np.mean)
    x = batch_norm(x, w, "normalise_convolved") + batch_norm(shortcut, w, "normalise_shortcut")
    return flatten(encoder_block(x, w, "encoder"))


def kmer_net(config: Any, promoter: np.ndarray, w: Weights, _: Any) -> np.ndarray:
    return flatten(batch_norm(chunks(config, promoter, None) * 4**config.k, w, "normalise_kmers"))


ENCODERS = {
    "xpresso": xpresso,
    "divide_et_impera": divide_et_impera,
    "biolstm": biolstm,
    "transformer": transformer,
    "token_transformer": token_transformer,
    "kmer_net": kmer_net,
}


def one_hot(tokens: np.ndarray, letters: int) -> np.ndarray:
    """A token beyond the letters is all zeros."""
    return (tokens[..., None] == np.arange(letters)).astype(np.float64)


def chunks(config: Any, promoter: np.ndarray, vectors: np.ndarray | None) -> np.ndarray:
    """Mean vector of the k-mers without N inside each chunk, one k-mer after the other; zeros where there is none."""
    if promoter.ndim == 3:
        return promoter.astype(np.float64)
    if vectors is None:
        vectors = np.eye(4**config.k)
    vector = dict(zip(product(range(4), repeat=config.k), np.asarray(vectors, np.float64), strict=True))
    means = np.zeros((len(promoter), promoter.shape[1] // config.chunk, vectors.shape[1]))
    for gene, tokens in enumerate(promoter.tolist()):
        for n in range(means.shape[1]):
            chunk = tokens[n * config.chunk : (n + 1) * config.chunk]
            words = [tuple(chunk[i : i + config.k]) for i in range(config.chunk - config.k + 1)]
            known = [vector[word] for word in words if word in vector]
            if known:
                means[gene, n] = np.mean(known, axis=0)
    return means


def conv(x: np.ndarray, w: Weights, layer: str) -> np.ndarray:
    """Convolution with `same` padding: output i sees inputs i - before(size) and on, zeros beyond the ends."""
    kernel, bias = w[f"{layer}/kernel"], w[f"{layer}/bias"]
    size = len(kernel)
    before = padding_before(size)
    padded = np.pad(x, ((0, 0), (before, size - 1 - before), (0, 0)))
    return sum(padded[:, i : i + x.shape[1]] @ kernel[i] for i in range(size)) + bias


def padding_before(size: int) -> int:
    """An even kernel leans to the right: of 5 zeros around a kernel of 6, 2 stand before and 3 behind."""
    return (size - 1) // 2


def pooled(x: np.ndarray, size: int, reduce: Any) -> np.ndarray:
    """`valid` pooling: what does not fill the last pool is dropped."""
    n = x.shape[1] // size
    return reduce(x[:, : n * size].reshape(len(x), n, size, x.shape[2]), axis=2)


def flatten(x: np.ndarray) -> np.ndarray:
    """All channels of the first position, then all of the second."""
    return x.reshape(len(x), -1)


def dense(x: np.ndarray, w: Weights, layer: str) -> np.ndarray:
    return x @ w[f"{layer}/kernel"] + w[f"{layer}/bias"]


def relu(x: np.ndarray) -> np.ndarray:
    return np.maximum(x, 0)


def sigmoid(x: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-x))


def batch_norm(x: np.ndarray, w: Weights, layer: str) -> np.ndarray:
    mean, variance, gamma, beta = (w[f"{layer}/{v}"] for v in ("moving_mean", "moving_variance", "gamma", "beta"))
    return (x - mean) / np.sqrt(variance + BATCH_NORM_EPSILON) * gamma + beta


def layer_norm(x: np.ndarray, w: Weights, layer: str) -> np.ndarray:
    centred = x - x.mean(axis=-1, keepdims=True)
    variance = (centred**2).mean(axis=-1, keepdims=True)
    return centred / np.sqrt(variance + LAYER_NORM_EPSILON) * w[f"{layer}/gamma"] + w[f"{layer}/beta"]


def position_scale(width: int) -> float:
    return width**0.5


def positions(length: int, width: int) -> np.ndarray:
    table = np.zeros((length, width))
    for position in range(length):
        for channel in range(width):
            angle = position / 10_000 ** (2 * (channel // 2) / width)
            table[position, channel] = np.cos(angle) if channel % 2 else np.sin(angle)
    return table


def encoder_block(x: np.ndarray, w: Weights, block: str) -> np.ndarray:
    """Post-norm: the norm comes after each residual."""
    x = layer_norm(x + attention(x, w, f"{block}_attention"), w, f"{block}_norm_1")
    fed = dense(relu(dense(x, w, f"{block}_dense_1")), w, f"{block}_dense_2")
    return layer_norm(x + fed, w, f"{block}_norm_2")


def attention_scale(key_dim: int) -> float:
    return key_dim**-0.5


def attention(x: np.ndarray, w: Weights, layer: str) -> np.ndarray:
    """Multi-head self-attention, head by head."""
    heads, key_dim = w[f"{layer}/query/bias"].shape
    attended = w[f"{layer}/attention_output/bias"]
    for head in range(heads):
        query, key, value = (
            x @ w[f"{layer}/{part}/kernel"][:, head] + w[f"{layer}/{part}/bias"][head]
            for part in ("query", "key", "value")
        )
        scores = query @ key.transpose(0, 2, 1) * attention_scale(key_dim)
        share = np.exp(scores - scores.max(axis=-1, keepdims=True))
        share /= share.sum(axis=-1, keepdims=True)
        attended = attended + share @ value @ w[f"{layer}/attention_output/kernel"][head]
    return attended
