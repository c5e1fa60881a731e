"""Small stand-ins for the published file sets, in their layouts."""

import h5py
import numpy as np

from genexp.dataset.config import DatasetConfig
from genexp.dataset.sources import ignore, inspect, load

SIZES = {"train": 12, "valid": 5, "test": 4}
LENGTH = 40


def one_hot(tokens):
    return np.asarray(tokens)[..., None] == np.arange(4)


def make_split(split, *, seed=0, length=LENGTH, tf=3, mirna=4, n=None):
    """Return what the genes of a split have, under neutral names."""
    n = SIZES[split] if n is None else n
    rng = np.random.default_rng([seed, len(split), n])
    labels = rng.normal(size=n)
    return {
        "tokens": rng.integers(0, 4, (n, length), dtype=np.uint8),
        "halflife": rng.normal(size=(n, 8)),
        "tf": rng.integers(0, 2, (n, tf)),
        "mirna": rng.integers(0, 2, (n, mirna)),
        "label": (labels - labels.mean()) / labels.std() if n > 1 else labels,
        "gene": np.array([f"{split}gene{i}" for i in range(n)]).astype("S"),
    }


def write(path, **arrays):
    """Write arrays to a file: a None is left out, a tuple is (array, options of create_dataset)."""
    with h5py.File(path, "w") as file:
        for key, array in arrays.items():
            if array is None:
                continue
            values, options = array if isinstance(array, tuple) else (array, {})
            file.create_dataset(key, data=values, **options)
    return path


def write_xpresso(root, name="{}.h5", *, names=("train", "valid", "test"), change=None, seed=0, **sizes):
    """Write an Xpresso set; `change(split, arrays)` may alter the arrays, by key on disk, before they are written."""
    root.mkdir(exist_ok=True, parents=True)
    splits = {}
    for split, stem in zip(SIZES, names, strict=True):
        genes = splits[split] = make_split(split, seed=seed, **sizes)
        arrays = {
            "data": genes["halflife"],
            "promoter": one_hot(genes["tokens"]),
            "label": genes["label"],
            "geneName": genes["gene"],
        }
        if change:
            change(split, arrays)
        write(root / name.format(stem), **arrays)
    return splits


def write_tf(root, *, mirna=False, names=("train_tf", "validation_tf", "test_tf"), change=None, **sizes):
    """Write a set with TF, or with TF and microRNA, whose keys are not Xpresso's."""

    def rename(split, arrays):
        genes = make_split(split, **sizes)
        arrays["halflife"] = arrays.pop("data")
        arrays["gene"] = arrays.pop("geneName")
        arrays["tf"] = genes["tf"]
        arrays["micro"] = genes["mirna"] if mirna else None
        if change:
            change(split, arrays)

    return write_xpresso(root, names=names, change=rename, **sizes)


def write_embedded(root, suffix="", *, chunks=6, dimension=5, change=None):
    splits = {}
    for split, stem in zip(SIZES, ("etrain", "evalidation", "etest"), strict=True):
        genes = splits[split] = make_split(split)
        vectors = np.random.default_rng(1).normal(size=(SIZES[split], chunks, dimension)).astype(np.float32)
        genes["vectors"] = vectors
        arrays = {"promoter": vectors, "halflife": genes["halflife"], "label": genes["label"]}
        if suffix:
            arrays["tf"] = genes["tf"]
        if change:
            change(split, arrays)
        write(root / f"{stem}{suffix}.h5", **arrays)
    return splits


def write_tokens(root, splits, name="translated_transformers.h5", change=None):
    arrays = {split: genes["tokens"].astype(np.int64) for split, genes in splits.items()}
    if change:
        change(arrays)
    return write(root / name, **arrays)


def look(root, need="", **settings):
    """Inspect a folder, with the defaults of ``dataset=files``."""
    defaults = {"layout": "auto", "fold": None, "tss": None, "drop_ambiguous": False, "shared_genes": "error"}
    config = {"name": "files", "root": str(root), "stream": None, **defaults, **settings}
    return inspect(DatasetConfig(**config), need)


def read(root, blocks="PH", window=None, progress=ignore, **settings):
    """Inspect a folder and load its genes."""
    return load(look(root, blocks, **settings), blocks, window, progress)
