"""The count of genes at every step: reported when it is known, and kept for dataset.yaml."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from genexp.prepare.left_out import LeftOut, by_reason

#: Takes one line for the user; takes the number of items done, and of all.
Note = Callable[[str], None]
Progress = Callable[[int, int], None]


def ignore(*_: object) -> None:
    """Take anything, and do nothing."""


@dataclass
class Ledger:
    """How many genes each step left (`steps`), and what each rule did (`rules`, one sentence for each choice).

    `left_out` are the genes that cannot be read. Lines, warnings and progress are reported to `note`, `warn` and
    `progress`.
    """

    note: Note = ignore
    warn: Note = ignore
    progress: Progress = ignore
    steps: list[dict[str, Any]] = field(default_factory=list)
    rules: dict[str, str] = field(default_factory=dict)
    left_out: list[LeftOut] = field(default_factory=list)

    def count(self, step: str, genes: int, remark: str = "") -> None:
        """Add a step, and report it."""
        lost = int((self.steps[-1]["genes"] if self.steps else genes) - genes)
        self.steps.append({"step": step, "genes": int(genes), "lost": lost} | ({"note": remark} if remark else {}))
        change = f", {lost:,} lost" if lost else ""
        self.note(f"{genes:>8,} genes  {step}{change}{f' ({remark})' if remark else ''}")

    def rule(self, name: str, sentence: str, *, report: Note = ignore, prefix: str = "") -> None:
        """Keep a rule, and report it where `report` is given."""
        self.rules[name] = sentence
        report(prefix + sentence)

    def leave_out(self, genes: list[LeftOut], kept: int) -> None:
        """Keep the genes that cannot be read, and report them by reason; `kept` genes are left."""
        if not genes:
            return
        self.left_out += genes
        reasons = ", ".join(f"{reason.value} {len(found):,}" for reason, found in by_reason(genes).items())
        self.warn(f"genes that cannot be read are left out, as left_out.tsv lists: {reasons}")
        self.count("readable", kept, reasons)
