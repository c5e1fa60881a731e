"""The count of genes at every step, said when it is known and kept for the dataset's card."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from genexp import console


@dataclass
class Ledger:
    """How many genes each step left, and what each rule did.

    Attributes
    ----------
    steps
        ``{"step", "genes", "lost", "note"}`` in order.
    rules
        One sentence for each choice that was made.
    """

    steps: list[dict[str, Any]] = field(default_factory=list)
    rules: dict[str, str] = field(default_factory=dict)

    def count(self, step: str, genes: int, note: str = "") -> None:
        """Add a step, and say it."""
        before = self.steps[-1]["genes"] if self.steps else genes
        lost = before - genes
        self.steps.append({"step": step, "genes": int(genes), "lost": int(lost)} | ({"note": note} if note else {}))
        change = f", {lost:,} lost" if lost else ""
        console.say(f"{genes:>8,} genes  {step}{change}{f' ({note})' if note else ''}")

    def rule(self, name: str, words: str) -> None:
        """Note a rule."""
        self.rules[name] = words
