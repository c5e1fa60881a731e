"""What a model is fed, from what the dataset holds and what the model reads."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from small_models import model_config

from genexp.blocks import BLOCKS, Block
from genexp.config.conf import CONF_DIR
from genexp.config.conf import load as load_conf
from genexp.config.validation import validate
from genexp.dataset.config import DemoConfig
from genexp.dataset.description import DatasetDescription, Source
from genexp.dataset.genes import Dataset, Split
from genexp.errors import UserError
from genexp.features.kmers import chunk_counts
from genexp.models import inputs
from genexp.run import HELD_OUT

LENGTH = 100


def describe(promoter: str | None, **fields: object) -> DatasetDescription:
    length = {"bases": LENGTH, "embedded": 2}.get(str(promoter))
    return DatasetDescription.model_validate(
        {"source": "test", "layout": "test", "genes": {}, "promoter": promoter, "promoter_length": length} | fields
    )


def dataset_of(promoter: str = "bases", **blocks: np.ndarray) -> Dataset:
    tokens = np.random.default_rng(0).integers(0, 4, (3, LENGTH)).astype(np.uint8)
    tokens[0, :50] = 4
    split = Split(np.array(["a", "b", "c"]), np.zeros(3, np.float32), {"P": tokens, **blocks})
    return Dataset(describe(promoter), {"train": split, "valid": split.take(np.array([0]))})


@pytest.mark.parametrize(
    ("model", "promoter", "blocks", "kind"),
    [
        ("xpresso", "bases", "PH", "bases"),
        ("biolstm", "bases", "P", "kmers"),
        ("biolstm", "embedded", "PH", "embedded"),
        ("fc_net", "bases", "HT", None),
        ("fc_net", "embedded", "T", None),
        ("transformer", None, "H", None),
    ],
)
def test_what_a_model_is_fed_of_a_promoter(model: str, promoter: str | None, blocks: str, kind: str | None) -> None:
    assert inputs.promoter_kind(model_config(model), promoter, blocks) == kind


def test_a_model_that_reads_bases_refuses_embedded_promoters() -> None:
    with pytest.raises(UserError, match="model=biolstm or model=transformer"):
        inputs.promoter_kind(model_config("xpresso"), "embedded", "P")


def test_shapes_are_known_before_the_genes_are_read() -> None:
    bases = describe("bases", widths={"H": 8, "T": 5})
    shapes = inputs.input_shapes(model_config("xpresso"), bases, "PT", (10, 90))
    assert (shapes.promoter, shapes.widths, shapes.promoter_kind) == ((80,), {"T": 5}, "bases")
    shapes = inputs.input_shapes(model_config("biolstm"), bases, "P", (0, 100))
    assert (shapes.promoter, shapes.widths, shapes.promoter_kind) == ((2, 64), {}, "kmers")
    with pytest.raises(UserError, match=r"model\.chunk"):
        inputs.input_shapes(model_config("biolstm"), bases, "P", (0, 90))
    shapes = inputs.input_shapes(model_config("biolstm"), describe("embedded", embed_dim=64), "P", None)
    assert (shapes.promoter, shapes.promoter_kind) == ((2, 64), "embedded")
    shapes = inputs.input_shapes(model_config("fc_net"), bases, "HT", None)
    assert (shapes.promoter, shapes.widths, shapes.promoter_kind) == (None, {"H": 8, "T": 5}, None)


def test_promoters_become_counts_where_the_model_reads_kmers(tmp_path: Path) -> None:
    config, dataset, said = model_config("biolstm", embedding={"kind": "random"}), dataset_of(), []
    encoded = inputs.encode(dataset, config, said.append)
    tokens = dataset.splits["train"].blocks["P"]
    np.testing.assert_array_equal(encoded.splits["train"].blocks["P"], chunk_counts(tokens, 3, 50))
    assert said == ["2 chunks contain no k-mer without N; the model is fed zeros there"]
    path = tmp_path / "vectors.npz"
    vectors = inputs.vectors_for(config, dataset, path, said.append)
    shapes = inputs.input_shapes(config, dataset.description, "P", (0, LENGTH), path)
    assert (shapes.promoter, shapes.promoter_kind) == ((2, 64), "kmers")
    assert vectors is not None
    np.testing.assert_array_equal(shapes.vectors, vectors.vectors)


def test_training_promoters_that_change_in_each_epoch_are_not_counted_beforehand(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    config, dataset, said, counted = model_config("biolstm"), dataset_of(), [], []
    monkeypatch.setattr(
        inputs, "chunk_counts", lambda tokens, *of: counted.append(len(tokens)) or chunk_counts(tokens, *of)
    )
    encoded = inputs.encode(dataset, config, said.append, HELD_OUT)
    assert counted == [1]
    assert list(encoded.splits) == list(dataset.splits)
    assert encoded.splits["train"] is dataset.splits["train"]
    assert said == ["1 chunks contain no k-mer without N; the model is fed zeros there"]


@pytest.mark.parametrize(("k", "chunk"), [(3, 50), (2, 10), (3, 300)])
def test_the_memory_of_the_counts_is_known_before_they_are_read(k: int, chunk: int) -> None:
    config = model_config("biolstm", k=k, chunk=chunk)
    described = describe("bases", promoter_length=600, genes={"train": 7, "valid": 2, "test": 1})
    source = Source(described, validate(load_conf(CONF_DIR / "dataset" / "demo.yaml"), DemoConfig, "dataset"))
    shapes = inputs.input_shapes(config, described, "P", (0, 600))
    size = chunk_counts(np.zeros((1, 600), np.uint8), k, chunk).nbytes
    found = inputs.with_encoded_size(source, config, shapes)
    assert found.encoded == {"train": size, "valid": size, "test": size}
    held_out = inputs.with_encoded_size(source, config, shapes, HELD_OUT)
    assert held_out.encoded == {"valid": size, "test": size}
    bases = inputs.input_shapes(model_config("xpresso"), described, "P", (0, 600))
    assert inputs.with_encoded_size(source, model_config("xpresso"), bases).encoded == {}


def test_other_models_are_fed_the_bases() -> None:
    config, dataset = model_config("xpresso"), dataset_of(H=np.zeros((3, 8), np.float32))
    encoded = inputs.encode(dataset, config, print)
    assert encoded.splits["train"].blocks["P"] is dataset.splits["train"].blocks["P"]
    assert inputs.vectors_for(config, dataset, Path("nowhere"), print) is None


def test_the_vectors_of_a_run_are_made_once_and_kept(tmp_path: Path) -> None:
    dataset, said, done = dataset_of(), [], []
    settings = {"kind": "word2vec", "epochs": 2, "promoters": "all"}
    config, path = model_config("biolstm", embed_dim=4, embedding=settings), tmp_path / "run" / "vectors.npz"
    found = inputs.vectors_for(config, dataset, path, said.append, progress=lambda n, of: done.append((n, of)))
    assert done == [(1, 2), (2, 2)]
    assert len(said) == 1
    assert "2 training promoters (1 with N left out)" in said[0]
    again = inputs.vectors_for(config, dataset, path, said.append)
    assert found is not None
    assert again is not None
    np.testing.assert_array_equal(again.vectors, found.vectors)
    assert len(said) == 1
    learned = model_config("biolstm", embedding={"kind": "learned"})
    assert inputs.vectors_for(learned, dataset, tmp_path / "none.npz", print) is None
    assert not (tmp_path / "none.npz").exists()


def test_word2vec_without_a_promoter_free_of_n_is_refused_early() -> None:
    dataset = dataset_of()
    dataset.splits["train"].blocks["P"][:, 60] = 4
    with pytest.raises(UserError):
        inputs.check_vectors(model_config("biolstm"), dataset)
    inputs.check_vectors(model_config("biolstm", embedding={"kind": "random"}), dataset)
    inputs.check_vectors(model_config("xpresso"), dataset)


def test_a_new_block_is_one_more_row(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(BLOCKS, "Z", Block("Z", "extra", "extra numbers", ("extra",)))
    shapes = inputs.input_shapes(model_config("fc_net"), describe(None, widths={"H": 8, "Z": 11}), "Z", None)
    assert shapes.widths == {"Z": 11}
