"""The hardware of a run: its devices, and the distribution strategy over them."""

from __future__ import annotations

import ctypes
import logging
import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from typing import TYPE_CHECKING

from genexp.errors import UserError

if TYPE_CHECKING:
    import tensorflow as tf

    from genexp.training.config import HardwareConfig

#: Parameters of glibc's ``mallopt``: how many allocations may have pages of their own, and how much free memory at
#: the end of the heap is kept.
M_MMAP_MAX, M_TRIM_THRESHOLD = -4, -1


@dataclass(frozen=True)
class Hardware:
    """The devices of a run, ready for use: model, optimizer and metrics are made inside the strategy's scope."""

    strategy: tf.distribute.Strategy
    devices: tuple[str, ...]
    #: Whether every batch must have the same size.
    static_batches: bool
    #: The argument ``jit_compile`` of ``compile``: True, False or "auto".
    jit: bool | str

    @property
    def replicas(self) -> int:
        """The number of copies of the model, among which each batch is divided."""
        return int(self.strategy.num_replicas_in_sync)

    def batch_size(self, wanted: int, genes: int) -> int:
        """Return the genes per update: `wanted`, or all `genes` of fewer, rounded down to a multiple of the replicas.

        The gradient is the mean over the replicas, which is that over the genes if all replicas have the same number.
        """
        most = min(wanted, genes)
        if most < self.replicas:
            what = "a batch has fewer genes than there are devices"
            hint = f"choose hardware=cpu, or hardware.devices={most} of GPUs"
            if genes >= self.replicas:
                hint = f"set training.batch_size={self.replicas} or a multiple, or {hint}"
            where = f"training.batch_size={wanted}, {genes:,} training genes"
            raise UserError(what, where=where, expected=f"at least {self.replicas}", received=most, hint=hint)
        return most - most % self.replicas

    def inference_batch_size(self, wanted: int, genes: int) -> int:
        """Return the genes that are predicted at once: as `batch_size`, but rounded up, as batches are filled up."""
        most = min(wanted, genes)
        return most + -most % self.replicas


#: A strategy and the names of its devices.
Devices = tuple["tf.distribute.Strategy", tuple[str, ...]]


def set_up_hardware(config: HardwareConfig, *, verbose: bool = False) -> Hardware:
    """Import TensorFlow and configure it for the devices asked for; `verbose` lets its start-up messages through."""
    if verbose:
        return _set_up(config)
    with _quiet_start():
        return _set_up(config)


def import_tensorflow() -> None:
    """Import TensorFlow without its start-up messages, for work on whatever devices the process uses."""
    if "tensorflow" not in sys.modules:
        with _quiet_start():
            import_module("keras")


@contextmanager
def _quiet_start() -> Iterator[None]:
    """Suppress what C++ code writes to standard error, unless the start fails with an internal error.

    TensorFlow's first lines come before any of its own settings can silence them.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    logging.getLogger("tensorflow").setLevel(logging.ERROR)  # of retracing, where a split fills no whole batch
    sys.stderr.flush()
    with tempfile.TemporaryFile() as held, os.fdopen(os.dup(2), "wb") as real:
        os.dup2(held.fileno(), 2)
        try:
            yield
        except UserError:
            raise
        except Exception:
            held.seek(0)
            real.write(held.read())
            raise
        finally:
            sys.stderr.flush()
            os.dup2(real.fileno(), 2)


def _set_up(config: HardwareConfig) -> Hardware:
    import keras
    import tensorflow as tf

    tpu_named = os.environ.get("TPU_NAME") or os.environ.get("COLAB_TPU_ADDR")
    best = "gpu" if tf.config.list_physical_devices("GPU") else "tpu" if tpu_named else "cpu"
    kind = best if config.name == "auto" else config.name
    try:
        strategy, devices = {"cpu": _cpu, "gpu": _gpus, "tpu": _tpu}[kind](config)
    except RuntimeError as error:
        if "after being initialized" not in str(error):
            raise
        what, hint = "TensorFlow already uses other devices in this process", "restart the process (notebook kernel)"
        raise UserError(what, where=f"hardware={config.name}", received=error, hint=hint) from None
    keras.config.set_dtype_policy(config.precision)
    if config.deterministic and kind != "tpu":
        tf.config.experimental.enable_op_determinism()
    # Keras 3 cannot jit-compile under TPUStrategy, where XLA compiles the step anyway.
    jit = False if kind == "tpu" else ("auto" if config.jit is None else config.jit)
    return Hardware(strategy, devices, kind == "tpu" or len(devices) > 1, jit)


def _cpu(config: HardwareConfig) -> Devices:
    import tensorflow as tf

    if (config.devices or 1) > 1:
        raise _no_gpus(config, "the CPU")
    if tf.config.list_physical_devices("GPU"):
        tf.config.set_visible_devices([], "GPU")
    _keep_freed_memory()
    return tf.distribute.get_strategy(), ("CPU:0",)


def _no_gpus(config: HardwareConfig, used: str) -> UserError:
    where, hint = f"hardware.devices={config.devices}", "leave hardware.devices out, or choose hardware=gpu"
    return UserError(f"hardware.devices counts GPUs, and this run uses {used}", where=where, hint=hint)


def _keep_freed_memory() -> None:
    """Have glibc reuse the memory that TensorFlow frees, instead of returning it to the kernel at each step.

    A transformer on 2,000 nt spends a third of its CPU time in the kernel otherwise. Other C libraries are left alone.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):
        return
    mallopt(M_MMAP_MAX, 0)
    mallopt(M_TRIM_THRESHOLD, 2**31 - 1)


def _gpus(config: HardwareConfig) -> Devices:
    import tensorflow as tf

    found = tf.config.list_physical_devices("GPU")
    wanted = config.devices or max(len(found), 1)
    if len(found) < wanted:
        built = "is" if tf.test.is_built_with_cuda() else "is not"
        visible = f"CUDA_VISIBLE_DEVICES: {os.environ.get('CUDA_VISIBLE_DEVICES', 'not set')}"
        raise UserError(
            "no GPU was found" if not found else "there are fewer GPUs than requested",
            where="hardware=gpu" if not config.devices else f"hardware.devices={config.devices}",
            expected=f"{wanted} GPU{'s' * (wanted > 1)} that TensorFlow can use",
            received=f"{len(found)}; TensorFlow {tf.__version__} {built} built with CUDA; {visible}",
            hint="install the CUDA libraries with pip install 'genexp[gpu]', check nvidia-smi, or choose hardware=cpu",
        )
    for gpu in found:
        tf.config.experimental.set_memory_growth(gpu, True)
    names = tuple(f"GPU:{n}" for n in range(wanted))
    if wanted == 1:
        return tf.distribute.OneDeviceStrategy("GPU:0"), names
    return _mirrored(names), names


@cache
def _mirrored(devices: tuple[str, ...]) -> tf.distribute.Strategy:
    """Return the one strategy of these devices in this process.

    Each new one numbers the exchanges between devices from the same start, where TensorFlow still knows the shapes of
    the previous model.
    """
    import tensorflow as tf

    return tf.distribute.MirroredStrategy([f"/{name}" for name in devices])


def _tpu(config: HardwareConfig) -> Devices:
    import tensorflow as tf

    if config.devices is not None:
        raise _no_gpus(config, "all cores of a TPU")
    try:
        strategy = _of_tpu(config.tpu)
    except Exception as error:  # noqa: BLE001 - which error a missing TPU raises differs between releases
        received = f"{type(error).__name__}: {(str(error).splitlines() or ['no message'])[0][:200]}"
        if "No OpKernel was registered" in received:
            received = f"TensorFlow {tf.__version__}, which is built without support for TPUs"
        raise UserError(
            "no TPU was found",
            where=f"hardware=tpu, hardware.tpu={config.tpu}",
            expected="a TPU VM with its TPU free (hardware.tpu=local), or the name or address of a TPU",
            received=received,
            hint="on a TPU VM: pip install 'genexp[tpu]'; elsewhere choose hardware=auto",
        ) from None
    return strategy, tuple(f"TPU:{n}" for n in range(strategy.num_replicas_in_sync))


@cache
def _of_tpu(name: str) -> tf.distribute.Strategy:
    """Return the one strategy of a TPU in this process: to initialise it again would clear its memory."""
    import tensorflow as tf

    resolver = tf.distribute.cluster_resolver.TPUClusterResolver(tpu=name)
    if name != "local":
        tf.config.experimental_connect_to_cluster(resolver)
    tf.tpu.experimental.initialize_tpu_system(resolver)
    return tf.distribute.TPUStrategy(resolver)


def use_cpu(*, verbose: bool = False) -> Hardware:
    """Set up the CPU, for work that needs no device of the user's choice, such as an export."""
    from genexp.training.config import HardwareConfig

    cpu = HardwareConfig(name="cpu", precision="float32", jit=None, deterministic=False, devices=None, tpu="local")
    return set_up_hardware(cpu, verbose=verbose)
