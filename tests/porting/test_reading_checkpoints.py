"""What is no checkpoint, or a damaged one, is told in one message; a damaged description leaves the weights."""

from __future__ import annotations

import json
import pickle
import shutil
import zipfile
from pathlib import Path

import checkpoints as other
import h5py
import numpy as np
import pytest
from loading import agree, features, load, write
from tensorflow.core.protobuf import saved_model_pb2
from tensorflow.python.keras.protobuf import saved_metadata_pb2

from genexp.errors import UserError
from genexp.porting.description import describe
from genexp.porting.reading import read_checkpoint
from genexp.porting.tensorflow_files import read_configs


@pytest.fixture(scope="module")
def archive(tmp_path_factory) -> tuple[Path, object]:
    model = other.plain_fc_net(181)
    other.randomise(model)
    return write(model, ".keras", tmp_path_factory.mktemp("archive")), model


CYCLE = {"layers": [{"class_name": "Dense", "config": {"name": "a"}, "inbound_nodes": [[["a", 0, 0, {}]]]}]}


@pytest.mark.parametrize(
    "config",
    [
        [1, 2],
        {"config": "x"},
        {"config": None},
        {"config": {"layers": [1, None, {"class_name": "Dense"}, {"class_name": "InputLayer", "config": None}]}},
        {"config": CYCLE},
    ],
)
def test_weights_with_a_damaged_description(archive, tmp_path, config):
    path, model = archive
    with zipfile.ZipFile(path) as whole, zipfile.ZipFile(tmp_path / "m.keras", "w") as damaged:
        damaged.writestr("config.json", json.dumps(config))
        damaged.writestr("model.weights.h5", whole.read("model.weights.h5"))
    found = read_checkpoint(str(tmp_path / "m.keras"))
    assert not found.description.inputs
    ours = load(tmp_path / "m.keras", "fc_net", "T").model
    agree(model(features(181)), ours({"tf": features(181)}))


def test_descriptions_that_are_nested_without_end(archive, tmp_path):
    with zipfile.ZipFile(archive[0]) as whole, zipfile.ZipFile(tmp_path / "m.keras", "w") as damaged:
        damaged.writestr("config.json", '{"config":' + "[" * 100_000 + "]" * 100_000 + "}")
        damaged.writestr("model.weights.h5", whole.read("model.weights.h5"))
    with pytest.raises(UserError, match="the checkpoint cannot be read"):
        read_checkpoint(str(tmp_path / "m.keras"))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "an empty file"),
        (b"some text", "begins with b'some tex'"),
        (pickle.dumps([1]), "a file that begins with b"),
    ],
)
def test_files_of_another_kind(tmp_path, content, message):
    (tmp_path / "model.h5").write_bytes(content)
    with pytest.raises(UserError, match=message):
        read_checkpoint(str(tmp_path / "model.h5"))


def test_hdf5_without_weights(tmp_path):
    with h5py.File(tmp_path / "train.h5", "w") as file:
        file["promoter"] = np.zeros((3, 20, 4), bool)
    with pytest.raises(UserError, match="the checkpoint holds no weights"):
        read_checkpoint(str(tmp_path / "train.h5"))


def test_the_latest_of_several_checkpoints_in_a_folder(tmp_path):
    """TensorFlow writes which that is; without its list, the user says."""
    for step, width in (("ckpt-1", 170), ("ckpt-2", 181)):
        prefix = write(other.plain_fc_net(width), "checkpoint", tmp_path)
        for path in list(tmp_path.glob(f"{prefix.name}.*")):
            path.rename(tmp_path / path.name.replace("ckpt.", f"{step}."))
    with pytest.raises(UserError, match="there are several checkpoints in this folder"):
        read_checkpoint(str(tmp_path))
    (tmp_path / "checkpoint").write_text(
        'model_checkpoint_path: "C:\\\\runs\\\\ckpt-2"\nall_model_checkpoint_paths: "ckpt-1"\n'
    )
    for named in (tmp_path, tmp_path / "checkpoint"):
        assert read_checkpoint(str(named)).layers[0].shapes["kernel"] == (181, 64)


def test_a_model_that_is_a_class_of_its_own_has_no_config(tmp_path):
    """A SavedModel describes its models in order; that of a layer is not that of the whole."""
    own = {"name": "my_model", "class_name": "MyModel", "config": {"name": "my_model"}}
    inner = {"name": "ffn", "class_name": "Sequential", "config": {"name": "ffn", "layers": []}}
    nodes = {0: own, 3: inner}
    apart = saved_metadata_pb2.SavedMetadata()
    whole = saved_model_pb2.SavedModel()
    listed = whole.meta_graphs.add().object_graph_def.nodes
    for number in range(4):
        text = json.dumps(nodes[number]) if number in nodes else ""
        listed.add().user_object.metadata = text
        apart.nodes.add(node_id=number, metadata=text)
    (tmp_path / "saved_model.pb").write_bytes(whole.SerializeToString())  # TensorFlow 2.4 and earlier
    assert read_configs(tmp_path) == nodes
    (tmp_path / "saved_model.pb").unlink()
    (tmp_path / "keras_metadata.pb").write_bytes(apart.SerializeToString())
    found = read_configs(tmp_path)
    assert found == nodes
    assert not describe(found[0]["config"]).layers
    (tmp_path / "keras_metadata.pb").write_bytes(b"\xff" * 100)
    assert read_configs(tmp_path) == {}


def test_spaces_and_brackets_in_a_path(archive, tmp_path):
    odd = tmp_path / "a folder, [1] = {x}"
    odd.mkdir()
    shutil.copy(archive[0], odd / "m (1).keras")
    assert len(read_checkpoint(str(odd)).layers) == 3
