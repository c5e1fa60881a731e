"""Numbers with their units, as text."""

from __future__ import annotations


def per_second(rate: float, unit: str) -> str:
    """Return a rate: ``"1,234 genes/s"``, ``"0.4 epochs/s"``."""
    return f"{rate:,.0f} {unit}/s" if rate >= 10 else f"{rate:.1f} {unit}/s"


def clock(seconds: float) -> str:
    """Return a time span in minutes or hours: ``"0:35"``, ``"2:05"``, ``"1:02:05"``."""
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02}:{rest:02}" if minutes >= 60 else f"{minutes}:{rest:02}"


def duration(seconds: float) -> str:
    """Return a time span: ``"4 s"``, ``"2:05"`` (minutes), ``"1:02:05"`` (hours)."""
    return clock(seconds) if round(seconds) >= 60 else f"{round(seconds)} s"
