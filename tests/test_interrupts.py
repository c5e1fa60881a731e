"""Signals that ask a process to stop become one KeyboardInterrupt, which is not lost."""

import os
import signal
import time

import pytest

from genexp.files import whole_or_nothing
from genexp.interrupts import sigterm_interrupts, was_interrupted


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2])
def test_what_a_batch_system_sends_is_an_interrupt_that_leaves_nothing(tmp_path, number):
    before = signal.getsignal(number)

    def work():
        with whole_or_nothing(tmp_path / "out") as folder:
            folder.mkdir()
            os.kill(os.getpid(), number)

    with pytest.raises(KeyboardInterrupt):
        work()
    assert list(tmp_path.iterdir()) == []
    assert signal.getsignal(number) is before


def test_only_the_first_signal_interrupts():
    """`timeout` sends SIGTERM to a process and again to its group."""
    cleaned = []

    def work():
        with sigterm_interrupts():
            try:
                with sigterm_interrupts():
                    os.kill(os.getpid(), signal.SIGTERM)
            except KeyboardInterrupt:
                os.kill(os.getpid(), signal.SIGTERM)
                cleaned.append("a message")
                raise

    for _ in range(2):  # and the next work can be interrupted again
        with pytest.raises(KeyboardInterrupt):
            work()
    assert len(cleaned) == 2


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_another_error_that_an_interrupt_became_is_an_interrupt(number):
    """Compiled code that calls Python can raise SystemError in place of KeyboardInterrupt."""

    def work():
        with sigterm_interrupts():
            try:
                os.kill(os.getpid(), number)
            except KeyboardInterrupt:
                raise SystemError("returned a result with an exception set") from None

    with pytest.raises(KeyboardInterrupt):
        work()
    assert not was_interrupted()
    with pytest.raises(SystemError), sigterm_interrupts():
        raise SystemError("of another cause")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_an_interrupt_within_a_destructor_is_not_lost(number):
    """TensorFlow has destructors in Python, and Python ignores what is raised in one."""

    class Destroyed:
        def __del__(self):
            os.kill(os.getpid(), number)

    def work():
        with sigterm_interrupts():
            Destroyed()
            time.sleep(60)

    started = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        work()
    assert time.monotonic() - started < 30
    assert not was_interrupted()
