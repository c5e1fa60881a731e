"""What asks a process to stop: Ctrl-C, and the signals of batch systems, as one KeyboardInterrupt."""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

#: What asks a process to stop, beside Ctrl-C.
STOPPING = (signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2)
#: Seconds after which an interrupt that was lost is repeated: longer than the destructor in which it was.
AGAIN_S = 0.1

_INTERRUPTED, _LOST = threading.Event(), threading.Event()


@contextmanager
def sigterm_interrupts() -> Iterator[None]:
    """Raise KeyboardInterrupt on SIGTERM, which Slurm and Kubernetes send before they kill a process.

    The same on SIGUSR1 and SIGUSR2, with which a batch system announces that it will (``sbatch --signal``); and on
    SIGHUP, when a terminal is closed, unless ``nohup`` ignores it. Only the first signal counts: some senders signal a
    process and then its group, and the second signal would interrupt the clean-up after the first. Ctrl-C counts each
    time. An error that a signal has led to is raised as KeyboardInterrupt, see `was_interrupted`. A KeyboardInterrupt
    that is raised in a destructor, where Python ignores every error, is raised again.
    """
    # Python allows handlers in the main thread only; in another one, as of a notebook, signals are left alone.
    numbers = (*STOPPING, signal.SIGINT) if threading.current_thread() is threading.main_thread() else ()
    before, hook = {number: signal.getsignal(number) for number in numbers}, sys.unraisablehook
    for number, handler in before.items():
        if handler != signal.SIG_IGN:
            signal.signal(number, _interrupt if number in STOPPING else _ctrl_c)
    outermost = bool(before) and _interrupt not in before.values()
    if outermost:
        sys.unraisablehook = lambda ignored: _again() if _is_interrupt(ignored) else hook(ignored)
    try:
        yield
    except Exception:
        if was_interrupted():
            raise KeyboardInterrupt from None
        raise
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        if outermost:
            sys.unraisablehook = hook
            _INTERRUPTED.clear()
            _LOST.clear()


def was_interrupted() -> bool:
    """Tell whether a signal asked this process to stop.

    Compiled code in which the KeyboardInterrupt is raised, as TensorFlow's, can make another error of it.
    """
    return _INTERRUPTED.is_set()


def _interrupt(signum: int, frame: object) -> None:
    if not _INTERRUPTED.is_set() or _LOST.is_set():
        _ctrl_c(signum, frame)


def _ctrl_c(signum: int, frame: object) -> None:
    _INTERRUPTED.set()
    _LOST.clear()
    raise KeyboardInterrupt


def _is_interrupt(ignored: sys.UnraisableHookArgs) -> bool:
    return issubclass(ignored.exc_type, KeyboardInterrupt) and was_interrupted()


def _again() -> None:
    """Signal the main thread once more, a little later: here the error would be ignored again."""
    main = threading.get_ident()  # Python runs handlers in the main thread alone
    number = next(n for n in (*STOPPING, signal.SIGINT) if signal.getsignal(n) in (_interrupt, _ctrl_c))

    def signal_main() -> None:
        if _LOST.is_set():  # else the work has ended meanwhile
            signal.pthread_kill(main, number)

    _LOST.set()
    timer = threading.Timer(AGAIN_S, signal_main)
    timer.daemon = True
    timer.start()
