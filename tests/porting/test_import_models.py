"""Every architecture, written by others in every format, must answer through our model what it answered for them."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import checkpoints as other
import keras
import numpy as np
import pytest
from loading import GENES, agree, features, genes, load, published, write

from genexp.errors import UserError
from genexp.models import InputShapes, build_model
from genexp.porting.reading import read_checkpoint

FORMATS = [".keras", ".weights.h5", "checkpoint", "export"]


@pytest.mark.filterwarnings("ignore:You are saving your model as an HDF5 file")
@pytest.mark.parametrize(
    ("kind", "window", "width"),
    [
        *((kind, 10_500, 6) for kind in [*FORMATS, ".h5"]),
        *((kind, 10_000, 8) for kind in (".weights.h5", "checkpoint")),
    ],
)
def test_xpresso(tmp_path, kind, window, width):
    model = other.plain_xpresso(window, width)
    other.randomise(model)
    ported = load(write(model, kind, tmp_path), "xpresso", "PH")
    assert ported.window == {10_500: (3_000, 13_500), 10_000: (3_500, 13_500)}[window]
    assert ported.shapes.widths == {"H": width}
    tokens, one_hot = genes(window)
    agree(model([one_hot, features(width)]), ported.model({"promoter": tokens, "halflife": features(width)}))


@pytest.mark.filterwarnings("ignore:You are saving your model as an HDF5 file")
@pytest.mark.parametrize("kind", [".keras", ".h5"])
def test_divide_et_impera_keeps_the_order_of_its_parts(tmp_path, kind):
    """Made in another order than joined: only the connections tell which part is which."""
    model = other.plain_divide_et_impera(10_500, 8)
    other.randomise(model)
    ported = load(write(model, kind, tmp_path), "divide_et_impera", "PH")
    tokens, one_hot = genes(10_500)
    agree(model([one_hot, features(8)]), ported.model({"promoter": tokens, "halflife": features(8)}))


@pytest.mark.parametrize(("vocabulary", "size"), [(5, 32), (4, 16)])
def test_token_transformer(tmp_path, vocabulary, size):
    """Its two equal normalisations are made and added in another order than ours: the connections tell them apart."""
    model = other.plain_token_transformer(1_500, 8, vocabulary, size)
    other.randomise(model)
    ported = load(write(model, ".keras", tmp_path), "token_transformer", "PH", window=[9_500, 11_000])
    assert (ported.config.vocab_size, ported.config.embed_dim, ported.config.key_dim) == (vocabulary, size, size)
    tokens = np.minimum(genes(1_500)[0], vocabulary - 1)
    agree(model([tokens, features(8)]), ported.model({"promoter": tokens, "halflife": features(8)}))


@pytest.mark.parametrize(
    ("kind", "size", "blocks", "widths"),
    [
        (".keras", 64, "PHT", (8, 181)),
        (".weights.h5", 32, "PH", (8,)),
        ("checkpoint", 64, "P", ()),
        ("export", 128, "P", ()),
    ],
)
def test_biolstm(tmp_path, kind, size, blocks, widths):
    model = other.plain_biolstm(210, size, *widths)
    other.randomise(model)
    ported = load(write(model, kind, tmp_path), "biolstm", blocks)
    assert ported.shapes.promoter == (210, size)
    assert tuple(ported.shapes.widths.values()) == widths
    promoter = np.random.default_rng(1).normal(size=(GENES, 210, size)).astype(np.float32)
    extra = [features(n) for n in widths]
    agree(
        model([promoter, *extra]),
        ported.model({"promoter": promoter, **dict(zip(("halflife", "tf"), extra, strict=False))}),
    )


@pytest.mark.parametrize("kind", FORMATS)
def test_fc_net(tmp_path, kind):
    model = other.plain_fc_net(177)
    other.randomise(model)
    ported = load(write(model, kind, tmp_path), "fc_net", "T")
    assert ported.shapes.widths == {"T": 177}
    agree(model(features(177)), ported.model({"tf": features(177)}))


def test_micro_rna_reduced_to_components(tmp_path):
    model = other.plain_xpresso(10_500, 8 + 100)
    other.randomise(model)
    ported = load(write(model, ".weights.h5", tmp_path), "xpresso", "PHM")
    assert ported.shapes.widths == {"H": 8, "M": 100}
    tokens, one_hot = genes(10_500)
    whole = features(108)
    agree(model([one_hot, whole]), ported.model({"promoter": tokens, "halflife": whole[:, :8], "mirna": whole[:, 8:]}))


def ours(model: str, data: str, window=None, **changes) -> tuple[keras.Model, Callable]:
    """Return one of our own models with random weights."""
    config = published(model, **changes)
    widths = {b: {"H": 8, "T": 181, "M": 2064}[b] for b in data if b != "P"}
    if "P" not in data:
        shapes = InputShapes(None, widths, None)
    elif model in ("biolstm", "transformer"):
        shapes = InputShapes((210, config.embed_dim), widths, "embedded")
    else:
        shapes = InputShapes((window,), widths)
    built = build_model(config, shapes)
    other.randomise(built)
    return built, shapes


OURS = [
    ("xpresso", "PHT", 10_500),
    ("xpresso", "PHM", 10_500),
    ("divide_et_impera", "P", 10_500),
    ("token_transformer", "PHT", 10_500),
    ("transformer", "PH", None),
    ("transformer", "PHT", None),
    ("biolstm", "PH", None),
    ("fc_net", "T", None),
]
KINDS = [".keras", ".weights.h5", "checkpoint", "keras2"]
ALL = [(kind, *model) for kind in KINDS for model in OURS]
SOME = [(KINDS[n % 4], *model) for n, model in enumerate(OURS)] + [(KINDS[(n + 2) % 4], *m) for n, m in enumerate(OURS)]


@pytest.mark.parametrize(
    ("kind", "model", "data", "window"),
    [pytest.param(*case, marks=[] if case in SOME else [pytest.mark.slow]) for case in ALL],
)
def test_our_own_models_in_every_format(tmp_path, model, data, window, kind):
    """Variable by variable: what was saved is what is found again."""
    built, shapes = ours(model, data, window)
    path = tmp_path / "model.h5"
    if kind == "keras2":
        other.write_keras2(path, other.as_layers(built))
    else:
        path = write(built, kind, tmp_path)
    ported = load(path, model, data)
    assert ported.shapes.widths == shapes.widths
    for a, b in zip(built.weights, ported.model.weights, strict=True):
        if "seed" not in a.path:
            np.testing.assert_array_equal(np.asarray(a), np.asarray(b), err_msg=a.path)


def test_a_mismatch_is_shown_layer_by_layer(tmp_path):
    model = other.plain_xpresso(10_500, 8)
    path = write(model, ".keras", tmp_path)
    with pytest.raises(UserError) as caught:
        load(path, "xpresso", "PH", filters=[64, 32])
    text = str(caught.value)
    row = "promoter_1_conv: kernel [6, 4, 64], bias [64]  |  conv1d_a: kernel [6, 4, 128], bias [128]   (model.filters"
    assert row in text
    assert text.count("(model.filters") == 2
    with pytest.raises(UserError, match="not a model that genexp knows as divide_et_impera") as caught:
        load(path, "divide_et_impera", "PH")
    assert "received: 2 x convolution, 3 x dense" in str(caught.value)
    with pytest.raises(UserError, match="other inputs than these blocks"):
        load(path, "xpresso", "P")


def test_a_window_that_contradicts_the_weights_is_refused(tmp_path):
    path = write(other.plain_xpresso(10_500, 8), ".keras", tmp_path)
    with pytest.raises(UserError, match=r"10,500 nt"):
        load(path, "xpresso", "PH", window=[0, 9000])
    assert load(path, "xpresso", "PH", window=[0, 10_500]).window == (0, 10_500)


@pytest.fixture
def saved_model(tmp_path) -> tuple[Path, keras.Model]:
    model = other.plain_fc_net(181)
    other.randomise(model)
    return write(model, "export", tmp_path), model


@pytest.mark.parametrize(
    ("index", "data"),
    [
        ("variables.index", "variables.data-00000-of-00001.bin"),
        ("variables (1).index", "variables.data-00000-of-00001 (1)"),
    ],
)
def test_names_that_an_upload_changed(saved_model, index, data):
    folder, model = saved_model
    variables = folder / "variables"
    (variables / "variables.index").rename(variables / index)
    (variables / "variables.data-00000-of-00001").rename(variables / data)
    ours = load(folder, "fc_net", "T").model
    agree(model(features(181)), ours({"tf": features(181)}))


@pytest.mark.parametrize(
    "named", ["", "saved_model.pb", "variables", "variables/variables", "variables/variables.index"]
)
def test_a_saved_model_may_be_named_by_any_of_its_parts(saved_model, named):
    folder, model = saved_model
    ours = load(folder / named, "fc_net", "T").model
    agree(model(features(181)), ours({"tf": features(181)}))


def test_the_graph_of_a_saved_model_is_never_needed(saved_model):
    folder, model = saved_model
    (folder / "saved_model.pb").write_bytes(b"\xff" * 100)
    ours = load(folder, "fc_net", "T").model
    agree(model(features(181)), ours({"tf": features(181)}))


def test_broken_and_missing_checkpoints_are_told(saved_model, tmp_path):
    folder, _ = saved_model
    data = folder / "variables" / "variables.data-00000-of-00001"
    whole = data.read_bytes()
    data.write_bytes(whole[:100])
    with pytest.raises(UserError, match="the checkpoint cannot be read"):
        read_checkpoint(str(folder))
    data.write_bytes(bytes([b ^ 255 for b in whole]))
    with pytest.raises(UserError, match="the checkpoint cannot be read"):
        read_checkpoint(str(folder))
    data.unlink()
    with pytest.raises(UserError, match="has an index but no data"):
        read_checkpoint(str(folder))
    for broken in ("cut.h5", "cut.keras"):
        path = tmp_path / broken
        path.write_bytes(b"\x89HDF\r\n\x1a\n" + b"0" * 50 if broken == "cut.h5" else b"PK\x03\x04" + b"0" * 50)
        with pytest.raises(UserError, match="the checkpoint cannot be read"):
            read_checkpoint(str(path))
    for nothing in (tmp_path / "absent", tmp_path / "absent.h5"):
        with pytest.raises(UserError, match="there is no checkpoint here"):
            read_checkpoint(str(nothing))
    empty = tmp_path / "empty"
    empty.mkdir()
    with pytest.raises(UserError, match="there is no checkpoint here"):
        read_checkpoint(str(empty))
    (empty / "below").mkdir()
    (empty / "below" / "saved_model.pb").touch()
    with pytest.raises(UserError, match=f"checkpoint={empty / 'below'}"):
        read_checkpoint(str(empty))


def test_a_folder_with_one_file_is_enough(tmp_path):
    other.write_keras2(tmp_path / "upload", other.as_layers(ours("fc_net", "T")[0]))
    np.savez(tmp_path / "vectors.npz", x=np.zeros(3))
    assert read_checkpoint(str(tmp_path)).skipped == 2
    shutil.copy(tmp_path / "upload", tmp_path / "second.h5")
    with pytest.raises(UserError, match="several checkpoints in this folder"):
        read_checkpoint(str(tmp_path))


def test_weights_are_compared_as_numbers_not_as_names(tmp_path):
    """The same layers under other names and in another order of files: the same model."""
    model, _ = ours("xpresso", "PH", 10_500)
    layers = other.as_layers(model)
    path = other.write_keras2(tmp_path / "a.h5", {f"x{n}": layers[name] for n, name in enumerate(reversed(layers))})
    again = load(path, "xpresso", "PH").model
    for a, b in zip(model.weights, again.weights, strict=True):
        if "seed" not in a.path:
            np.testing.assert_array_equal(np.asarray(a), np.asarray(b))
