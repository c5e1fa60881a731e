import json

import yaml
from rich.console import Console

from genexp.evaluation.metrics import METRICS
from genexp.evaluation.repeats import summary
from genexp.evaluation.sweep import groups_table, jobs_of, metrics_table, sweep_table, swept_values


def write_job(folder, words, status="completed"):
    (folder / ".hydra").mkdir(parents=True)
    (folder / ".hydra" / "overrides.yaml").write_text(yaml.safe_dump(words))
    (folder / "metrics.json").write_text(json.dumps({"status": status, "seed": 0, "epochs_run": 1}))
    return folder


def test_keys_that_differ_between_jobs_are_shown(tmp_path):
    words = ["model=biolstm", "training.epochs=1", "hydra.run.dir=x"]
    jobs = [
        write_job(tmp_path / "0-biolstm-PH", [*words, "model.k=3", "seed=0"]),
        write_job(tmp_path / "1-biolstm-PH", [*words, "model.k=4", "seed=1"]),
        tmp_path / "2-biolstm-PH",
    ]
    jobs[-1].mkdir()
    assert swept_values(jobs[:2]) == {"model.k": ["3", "4"]}
    assert swept_values(jobs)["model.k"] == ["3", "4", ""]
    console = Console(width=150, record=True)
    console.print(sweep_table(dict.fromkeys(jobs, "completed") | {jobs[-1]: "not started"}))
    text = console.export_text()
    assert "model.k" in text
    assert "not started" in text


def test_model_data_and_seed_need_no_column(tmp_path):
    jobs = [
        write_job(tmp_path / f"{n}-{model}-PH", [f"model={model}", f"seed={n}"])
        for n, model in enumerate(("xpresso", "biolstm"))
    ]
    assert swept_values(jobs) == {}


def test_the_table_fits_80_columns(tmp_path):
    words = ["+training.learning_rate=0.000123", "model.embedding.vectors=/a/long/path/of/somebody/vectors.npz"]
    for n in range(2):
        job = write_job(tmp_path / f"{n}-token_transformer-PHTM", [*words, f"model.k={n}"], "interrupted")
        splits = {split: {"r2": 0.5, "r2_ci95": [0.4, 0.6]} for split in ("valid", "test")}
        content = {"status": "interrupted", "seed": 1234, "epochs_run": 300, "best": splits}
        (job / "metrics.json").write_text(json.dumps(content))
    console = Console(width=200, record=True)
    console.print(sweep_table(dict.fromkeys(jobs_of(tmp_path), "interrupted")))
    text = console.export_text()
    assert max(len(line.rstrip()) for line in text.splitlines()) <= 80
    assert "token_transformer-PHTM" in text
    assert "0.400-0.600" in text


def test_tables_of_means_fit_80_columns_whatever_the_values():
    worst = dict.fromkeys(METRICS, summary([-0.123456, -0.765432, 12.3]))
    found = {"valid": worst, "test": worst | {"mse": summary([0.5])}}
    console = Console(width=200, record=True)
    console.print(metrics_table("token_transformer PHTM: mean of 3 runs", found))
    console.print(groups_table([("token_transformer PHTM training.learning_rate=0.000123", found), ("one", {})]))
    lines = [line.rstrip() for line in console.export_text().splitlines()]
    assert max(map(len, lines)) <= 80
    assert any(line.startswith("mse") and line.endswith("0.500") for line in lines), "one value has no interval"
