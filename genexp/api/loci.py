"""Where on a genome the models of a run look, and the record of what was predicted there."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from genexp.api.prediction import common_window, members_of
from genexp.errors import UserError
from genexp.prepare.opening import checksum
from genexp.run import package_versions

if TYPE_CHECKING:
    from genexp.api.ensembles import Ensemble
    from genexp.api.runs import Run
    from genexp.schema import Schema


def window_around_tss(run: Run | Ensemble) -> tuple[int, int]:
    """Return what the models see, [left, right), counted from the TSS along the strand."""
    window, tss = common_window(members_of(run)), run.dataset.tss
    if window is None or tss is None:
        kind = "promoters without a TSS" if window else "precomputed promoter embeddings"
        received = kind if "P" in run.config.data.name else f"data={run.config.data.name}"
        what, hint = "the models of this run cannot be placed on a genome", "use a run on promoters around a TSS"
        raise UserError(what, where=f"run_dir={run.path}", expected="bases around a TSS", received=received, hint=hint)
    return window[0] - tss, window[1] - tss


def record(
    run: Run | Ensemble, command: str, request: Schema, files: Mapping[str, Path], **more: Any
) -> dict[str, Any]:
    """Return what was asked for, of which runs and files, for a JSON file beside the results."""
    return {
        "command": command,
        "runs": {str(member.path): member.dataset.fingerprint for member in members_of(run)},
        "files": {key: {"path": str(path), "sha256": checksum(path)} for key, path in files.items()},
        "config": request.model_dump(mode="json"),
        **more,
        "packages": package_versions(),
    }
