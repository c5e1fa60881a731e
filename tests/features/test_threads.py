import numpy as np
import pytest

from genexp.features import threads
from genexp.features.threads import in_threads, processors


@pytest.mark.parametrize("cores", [1, 2, 3, 8])
@pytest.mark.parametrize("n", [0, 1, 5, 64])
def test_every_row_is_worked_on_once(monkeypatch, cores, n):
    monkeypatch.setattr(threads, "processors", lambda: cores)
    seen, calls = np.zeros(n, int), []

    def work(rows: slice) -> None:
        seen[rows] += 1
        calls.append(rows)

    in_threads(work, n, 4)
    assert (seen == 1).all()
    assert len(calls) == max(1, min(cores, n // 4))


@pytest.mark.parametrize("bad", [0, 60])
def test_an_error_of_any_slice_is_raised(monkeypatch, bad):
    monkeypatch.setattr(threads, "processors", lambda: 4)

    def work(rows: slice) -> None:
        if bad in range(rows.start, rows.stop):
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        in_threads(work, 64, 1)


def test_there_is_a_processor():
    assert processors() >= 1
