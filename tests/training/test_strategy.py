"""Devices: what is asked for and not there is an error that says what was looked for."""

import platform

import pytest

from genexp.api import compose
from genexp.errors import UserError
from genexp.training.strategy import set_up_hardware


def hardware(name):
    return compose(f"hardware={name}").hardware


def has_gpu():
    import tensorflow as tf

    return bool(tf.config.list_physical_devices("GPU"))


def test_cpu_is_always_there():
    found = set_up_hardware(hardware("cpu"))
    assert (found.devices, found.static_batches) == (("CPU:0",), False)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="mallopt is glibc's")
def test_on_the_cpu_freed_memory_is_used_again():
    resource = pytest.importorskip("resource")
    set_up_hardware(hardware("cpu"))
    size, faults = 2**26, []
    for _ in range(4):
        before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
        assert len(b"x" * size) == size
        faults.append(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
    assert faults[-1] < size / resource.getpagesize() / 10


def test_auto_takes_the_cpu_where_there_is_nothing_else(monkeypatch):
    if has_gpu():
        pytest.skip("this machine has a GPU")
    monkeypatch.delenv("TPU_NAME", raising=False)
    assert set_up_hardware(hardware("auto")).devices == ("CPU:0",)


def test_a_missing_gpu_is_reported():
    if has_gpu():
        pytest.skip("this machine has a GPU")
    with pytest.raises(UserError, match="no GPU was found") as caught:
        set_up_hardware(hardware("gpu"))
    assert "genexp[gpu]" in str(caught.value)


def test_more_gpus_than_there_are_is_reported():
    with pytest.raises(UserError, match="99 GPUs"):
        set_up_hardware(hardware("gpu").model_copy(update={"devices": 99}))


def test_a_missing_tpu_is_reported():
    with pytest.raises(UserError, match="no TPU was found") as caught:
        set_up_hardware(hardware("tpu"))
    assert "hardware.tpu=local" in str(caught.value)
    assert "genexp[tpu]" in str(caught.value)


@pytest.mark.parametrize(("name", "number"), [("cpu", 2), ("tpu", 1), ("tpu", 4)])
def test_a_number_of_gpus_elsewhere_is_refused(name, number):
    with pytest.raises(UserError, match=r"hardware\.devices counts GPUs"):
        set_up_hardware(hardware(name).model_copy(update={"devices": number}))


def test_devices_that_are_in_use_already_are_a_user_error(monkeypatch):
    import tensorflow as tf

    def refuse(devices, kind):
        raise RuntimeError("Visible devices cannot be modified after being initialized")

    monkeypatch.setattr(tf.config, "list_physical_devices", lambda kind=None: ["GPU:0"])
    monkeypatch.setattr(tf.config, "set_visible_devices", refuse)
    with pytest.raises(UserError, match="restart the process"):
        set_up_hardware(hardware("cpu"))
