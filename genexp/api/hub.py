"""A run as a folder for a model hub: the model, what is known of it, a card with YAML front matter, and checksums."""

from __future__ import annotations

import re
import shlex
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from genexp.blocks import BLOCKS, PROMOTER
from genexp.dataset.description import DatasetDescription, listed
from genexp.evaluation.metrics import TITLES, as_text, in_all
from genexp.evaluation.pages import render
from genexp.files import write_atomically, write_json
from genexp.prepare.opening import checksum
from genexp.run import RunDirectory, read_environment, read_metrics, read_yaml
from genexp.training.config import RunConfig, read_config, read_description
from genexp.version import CITATION, __version__

#: Names that model hubs have for metrics, where they have one.
HUB_METRICS = {"pearson": "pearsonr", "spearman": "spearmanr", "cod": "r_squared", "r2": "squared_pearson"}
#: Where weights come from: by the checkpoint, unless they were imported.
_ORIGINS = {
    "imported": "Its weights were imported from a published checkpoint by",
    "best": "Its weights are those of the epoch with the lowest validation loss of a training by",
    "last": "Its weights are those of the last epoch of a training by",
}
#: The folders of an absolute path, up to its last name.
_FOLDERS = re.compile(r"(?<![\w/.:])(?:/[\w.+@~-]+)+/")
#: Keys below which texts are names or units as the dataset has them, perhaps "decay (/kb/min)", and no paths.
_NAMES = ("labels", "feature_names", "unit", "scaling")


def write_beside(run: RunDirectory, checkpoint: str, license: str | None, folder: Path) -> None:
    """Write what belongs beside the model of a run to a folder that holds it already."""
    config, described, environment = read_config(run), read_description(run), read_environment(run)
    metrics, card = read_metrics(run) or {}, dataset_card(described)
    plain = _each_text(config.model_dump(mode="json"))
    write_atomically(folder / "config.yaml", yaml.safe_dump(plain, sort_keys=False, allow_unicode=True))
    kept = {key: value for key, value in environment.items() if key != "directory"}
    write_json(folder / "environment.json", _each_text(kept))
    write_json(folder / "metrics.json", _each_text(metrics))
    content = _each_text({"description": described.model_dump(mode="json"), "card": card})
    write_atomically(folder / "dataset.yaml", yaml.safe_dump(content, sort_keys=False, allow_unicode=True))
    for path in (run.training_genes, run.training_features):
        if path.is_file():
            shutil.copyfile(path, folder / path.name)
    page = model_card(config, described, metrics, checkpoint, license, environment, bool(card))
    write_atomically(folder / "README.md", page)
    lines = [f"{checksum(path)}  {path.name}\n" for path in sorted(folder.iterdir())]
    write_atomically(folder / "SHA256SUMS", "".join(lines))


def dataset_card(described: DatasetDescription) -> dict[str, Any] | None:
    """Return the content of the dataset.yaml that `genexp prepare` wrote; None where there is none any more."""
    path = Path(described.source) / "dataset.yaml"
    found = read_yaml(path) if path.is_file() else None
    return found if isinstance(found, dict) else None


def without_folders(text: str) -> str:
    """Return a text in which absolute paths have only their last name: folders tell who trained, and where."""
    return _FOLDERS.sub("", text)


def _each_text(content: Any) -> Any:
    if isinstance(content, Mapping):
        return {key: value if key in _NAMES else _each_text(value) for key, value in content.items()}
    if isinstance(content, list | tuple):
        return [_each_text(value) for value in content]
    return without_folders(content) if isinstance(content, str) else content


def model_card(
    config: RunConfig,
    described: DatasetDescription,
    metrics: Mapping[str, Any],
    checkpoint: str,
    license: str | None,
    environment: Mapping[str, Any],
    has_card: bool,
) -> str:
    """Return README.md."""
    results = metrics.get(checkpoint, {})
    blocks = ", ".join(BLOCKS[letter].title for letter in config.data.name)
    use = f"Research: predict {described.measured} of genes from {blocks}. Not for clinical decisions."
    limits = list(limits_of(config, described, metrics, results))
    title = f"{config.model.name}, {config.data.name}, {described.name}"
    front = {
        "library_name": "keras",
        "license": license or "unknown",
        "tags": ["biology", "genomics", "gene-expression", "genexp"],
        **_model_index(title, described, results),
        "intended_use": use,
        "limits": limits,
    }
    return render(
        "model_card.md",
        front=yaml.safe_dump(front, sort_keys=False, allow_unicode=True, width=100),
        title=title,
        intended_use=use,
        version=environment.get("packages", {}).get("genexp", __version__),
        origin=_ORIGINS["imported" if "imported" in metrics else checkpoint],
        command=predict_command(config.data.name),
        inputs=list(_inputs(config, described)),
        labels=len(described.labels),
        measured=described.measured,
        splits=list(results),
        rows=_result_rows(results),
        baselines=[f"{b['name']} on {b['data']} r² {as_text(b['best']['test']['r2'])}" for b in tested(metrics)],
        dataset=str(described.model_copy(update={"source": Path(described.source).name}))
        if described.genes
        else "Not recorded",
        fingerprint=described.fingerprint or "unknown",
        card=", and the card that `genexp prepare` wrote" if has_card else "",
        limits=limits,
        citations=citations(config),
    )


def _result_rows(results: Mapping[str, Any]) -> list[list[str]]:
    """Return the rows of the table of metrics, a cell for each split."""
    each = list(results.values())
    rows = [[TITLES.get(name, name), *(as_text(found[name]) for found in each)] for name in in_all(each)]
    rows.insert(1, ["95 % interval", *("{:.3f} to {:.3f}".format(*found["r2_ci95"]) for found in each)])
    return [["genes", *(f"{found['n']:,}" for found in each)], *rows]


def tested(metrics: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Return the baselines of metrics.json that have results for test genes."""
    return [baseline for baseline in metrics.get("baselines", ()) if "test" in baseline["best"]]


def predict_command(blocks: str, folder: str = ".") -> str:
    """Return a command that predicts with a run, from files that the user has to name."""
    words = ["genexp", "predict", f"run_dir={folder}"]
    words += ["fasta=promoters.fa"] * (PROMOTER in blocks) + ["features=features.tsv"] * bool(set(blocks) - {PROMOTER})
    return shlex.join([*words, "out=predictions.tsv"])


def citations(config: RunConfig) -> list[str]:
    """Return what to cite beside the data: genexp, the architecture, and the experiment that is replicated."""
    experiment = config.experiment.source if config.experiment else ""
    return [text for text in dict.fromkeys([CITATION, config.model.source, experiment]) if text]


def limits_of(
    config: RunConfig, described: DatasetDescription, metrics: Mapping[str, Any], results: Mapping[str, Any]
) -> Iterator[str]:
    """Yield sentences: on which genes the model is known to work, and how well."""
    status = metrics.get("status", "unfinished")
    if status != "completed":
        how = status if status in ("failed", "collapsed") else "was interrupted"
        done = f"after {metrics['epochs_run']:,}" if "epochs_run" in metrics else "before the end"
        yield f"The training {how} {done} of {config.training.epochs:,} epochs."
    if genes := described.genes.get("train"):
        yield f"Trained on {genes:,} genes of {described.name}; other species, tissues or media were not tested."
    if test := results.get("test"):
        low, high = test["r2_ci95"]
        yield (
            f"Pearson r² on {test['n']:,} test genes: {test['r2']:.3f} (95 % interval {low:.3f} to {high:.3f}); "
            f"RMSE of a gene: {test['mse'] ** 0.5:.2f} in the unit of the output."
        )
    if described.window and described.tss is not None and PROMOTER in config.data.name:
        left, right = (edge - described.tss for edge in described.window)
        yield f"It reads bases {left:+,} to {right:+,} around the TSS; most enhancers lie outside."
    if "T" in config.data.name and config.data.name != "T":
        alone = [b["best"]["test"]["r2"] for b in tested(metrics) if b["data"] == "T"]
        reach = f"reach r² {max(alone):.3f} by a simple model" if alone else "were not tested beside it"
        yield f"Transcription factors alone {reach}: what other blocks add is the difference to that."
    if PROMOTER in config.data.name:
        yield "The effects of variants were not compared with measured ones."
    yield from metrics.get("warnings", ())


def _inputs(config: RunConfig, described: DatasetDescription) -> Iterator[tuple[str, str, str]]:
    """Yield name, shape and meaning of each input of the model."""
    for letter in config.data.name:
        block = BLOCKS[letter]
        if letter == PROMOTER:
            left, right = described.window or (0, described.promoter_length or 0)
            bases = type(config.model).reads == "bases" and described.promoter == "bases"
            what = "A=0 C=1 G=2 T=3 N=4" if bases else f"counts of k-mers, or embeddings, of {right - left:,} nt"
            yield block.input, f"(genes, {right - left}) uint8" if bases else "(genes, chunks, width)", what
        else:
            names = described.feature_names.get(letter, ())
            what = f"{block.title}, scaled as in training: {listed(names) or 'unnamed'}"
            yield block.input, f"(genes, {described.widths[letter]}) float32", what


def _model_index(title: str, described: DatasetDescription, results: Mapping[str, Any]) -> dict[str, Any]:
    """Return the metrics of each split as a model index has them; nothing of a model without results."""
    if not results:
        return {}
    several = " (mean of the labels)" if len(described.labels) > 1 else ""
    dataset, task = described.name, {"type": "regression", "name": "gene expression prediction"}
    found, names = [], in_all(results.values())
    for split, values in results.items():
        args = {"genes": values["n"], "fingerprint": described.fingerprint}
        named = [(HUB_METRICS.get(name, name), TITLES.get(name, name) + several, values[name]) for name in names]
        found.append(
            {
                "task": dict(task),
                "dataset": {"name": dataset, "type": Path(described.source).name, "split": split, "args": args},
                "metrics": [{"type": kind, "name": name, "value": value} for kind, name, value in named],
            }
        )
    metrics = [HUB_METRICS.get(name, name) for name in names]
    return {"metrics": metrics, "model-index": [{"name": title, "results": found}]}
