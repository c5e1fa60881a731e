"""Several replicas, here of one CPU: any batch size, one model after the other, and all of them predict."""

import json
import subprocess
import sys
from dataclasses import replace
from types import SimpleNamespace

import pytest

from genexp.errors import UserError
from genexp.training.strategy import Hardware

#: Trains two networks in a process of its own, where one CPU is three devices, and one with a batch that three divide
#: on one device; prints losses and what predicted.
SCRIPT = """
import json, sys
from pathlib import Path
import numpy as np, tensorflow as tf
cpu = tf.config.list_physical_devices("CPU")[0]
tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 3)
from genexp.api import compose
from genexp.dataset.description import DatasetDescription
from genexp.dataset.genes import Dataset, Split
from genexp.models import InputShapes
from genexp.run import RunDirectory
from genexp.training import loop
from genexp.training.strategy import Hardware, _mirrored

rng, n = np.random.default_rng(0), 50
tokens = rng.integers(0, 4, (n, 40), dtype=np.uint8)
x = rng.normal(size=(n, 5)).astype(np.float32)
labels = (x[:, :1] + 9 * (tokens == 2).mean(axis=1, keepdims=True)).astype(np.float32)
described = DatasetDescription(source="", layout="", genes={}, promoter="bases", promoter_length=40, widths={"T": 5})
names, predicted, predict = ("CPU:0", "CPU:1", "CPU:2"), [], loop.predict
loop.predict = lambda model, *more: predicted.append(model.distribute_strategy.num_replicas_in_sync) or predict(
    model, *more)

def losses(words, blocks, shapes, size, one=False):
    strategy = tf.distribute.get_strategy() if one else _mirrored(names)
    hardware = Hardware(strategy, names[: 1 if one else 3], True, False)
    splits = {s: Split(np.arange(k).astype(str), labels[:k], {b: v[:k] for b, v in blocks.items()})
              for s, k in (("train", n), ("valid", 20))}
    config = compose(*words, f"training.batch_size={size}", "training.epochs=2", "model.dropout=0",
                     "training.restarts=0", "training.optimizer=sgd", "training.learning_rate=0.01", "logger=csv")
    run = RunDirectory(Path(sys.argv[1]) / f"{len(predicted)}")
    fitted = loop.train(config, Dataset(described, splits), shapes, hardware, run)
    return [[row["loss"], row["val_loss"]] for row in fitted.progress.history]

dense = ("model=fc_net", "data=T", "model.dense=[8,4]"), {"T": x}, InputShapes(None, {"T": 5}, None)
found = {"one": losses(*dense, 15, one=True), "three": losses(*dense, 16), "few": losses(*dense, 4)}
words = "model=legnet", "data=P", "model.filters=[6,4]", "model.pools=[2]"
found["strands"] = losses((*words, "training.both_strands=true"), {"P": tokens}, InputShapes((40,)), 16)
print(json.dumps([found, predicted]))
"""


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    words = [sys.executable, "-c", SCRIPT, str(tmp_path_factory.mktemp("runs"))]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.slow
def test_a_batch_that_the_replicas_do_not_divide_is_rounded_down(trained):
    losses, _ = trained
    for one, three in zip(losses["one"], losses["three"], strict=True):
        assert three == pytest.approx(one, rel=1e-4)


@pytest.mark.slow
def test_another_model_is_trained_in_the_same_process(trained):
    losses, _ = trained
    assert len(losses["strands"]) == len(losses["few"]) == 2


@pytest.mark.slow
def test_all_replicas_predict(trained):
    assert trained[1] == [1, 1] + [3] * 6


HARDWARE = Hardware(SimpleNamespace(num_replicas_in_sync=3), ("GPU:0", "GPU:1", "GPU:2"), True, False)
ONE = replace(HARDWARE, strategy=SimpleNamespace(num_replicas_in_sync=1))


@pytest.mark.parametrize(
    ("wanted", "genes", "size", "predicted"), [(128, 900, 126, 129), (128, 100, 99, 102), (6, 6, 6, 6), (4, 9, 3, 6)]
)
def test_all_replicas_have_the_same_number_of_genes(wanted, genes, size, predicted):
    assert HARDWARE.batch_size(wanted, genes) == size
    assert HARDWARE.inference_batch_size(wanted, genes) == predicted
    assert ONE.batch_size(wanted, genes) == ONE.inference_batch_size(wanted, genes) == min(wanted, genes)


@pytest.mark.parametrize(
    ("wanted", "genes", "hint"),
    [
        (2, 900, "set training.batch_size=3 or a multiple, or choose hardware=cpu, or hardware.devices=2"),
        (256, 2, "hint: choose hardware=cpu, or hardware.devices=2"),
    ],
)
def test_fewer_genes_than_devices_are_refused(wanted, genes, hint):
    with pytest.raises(UserError) as caught:
        HARDWARE.batch_size(wanted, genes)
    assert hint in " ".join(str(caught.value).split())
