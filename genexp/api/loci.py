"""Where on a genome the models of a run look: around a TSS."""

from __future__ import annotations

from genexp.api.ensembles import Ensemble
from genexp.api.prediction import common_window, members_of
from genexp.api.runs import Run
from genexp.dataset.description import listed
from genexp.errors import UserError
from genexp.run import check_checkpoint


def check_runs(run: Run | Ensemble, checkpoint: str) -> None:
    """Raise a UserError unless each member has the checkpoint, and predictions that vary."""
    for member in members_of(run):
        check_checkpoint(member.files, checkpoint)
        if member.metrics.get("status") == "collapsed":
            what, hint = "this run has collapsed: it predicts one value for all genes", "train it with another seed"
            raise UserError(what, where=member.path, hint=hint)


def window_around_tss(run: Run | Ensemble) -> tuple[int, int]:
    """Return what the models see, [left, right), counted from the TSS along the strand."""
    window, tss = common_window(members_of(run)), run.dataset.tss
    if window is None or tss is None:
        kinds = {None: "no promoters", "embedded": "precomputed promoter embeddings"}
        received = kinds.get(run.dataset.promoter, "promoters without a TSS") if window is None else "no TSS"
        what, hint = "the models of this run cannot be placed on a genome", "use a run on promoters around a TSS"
        raise UserError(what, where=run.path, expected="bases around a TSS", received=received, hint=hint)
    return window[0] - tss, window[1] - tss


def chosen_label(run: Run | Ensemble, label: str | None) -> int:
    """Return the number of a label of the run; of several, one must be named."""
    labels = run.dataset.labels
    if label in labels or (label is None and len(labels) == 1):
        return labels.index(label) if label else 0
    what = "the run has no such label" if label else "the run predicts several labels, and one must be chosen"
    raise UserError(what, where="label", expected=listed(labels), received=label, hint=f"label={labels[0]}")
