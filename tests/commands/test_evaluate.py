"""``genexp evaluate``: the same digits again, from anywhere, and on other data."""

import json
import os
import shutil

import pytest
from conftest import QUICK, write_xpresso_set

from genexp.api.evaluation import check
from genexp.cli import main
from genexp.dataset.alignment import align
from genexp.dataset.config import DemoConfig
from genexp.dataset.description import DatasetDescription, Source
from genexp.errors import UserError
from genexp.run import RunDirectory


@pytest.fixture
def run(finished_run):
    return finished_run


def read(path):
    return json.loads(path.read_text())


@pytest.mark.parametrize("checkpoint", ["best", "last"])
def test_stored_metrics_come_out_exactly(run, checkpoint, capsys, tmp_path):
    plots = [] if checkpoint == "best" else ["plots=[]"]
    assert main(["evaluate", f"run_dir={run}", f"checkpoint={checkpoint}", f"out={tmp_path / 'out'}", *plots]) == 0
    assert "to the last digit" in capsys.readouterr().out
    assert read(tmp_path / "out" / "metrics.json")[checkpoint] == read(run / "metrics.json")[checkpoint]
    if checkpoint == "best":
        assert (tmp_path / "out" / "predictions.csv").read_text() == (run / "predictions.csv").read_text()
    found = {p.name for p in (tmp_path / "out").rglob("*.png")}
    assert found == (set() if plots else {"scatter.png", "density.png"})


def test_a_moved_and_read_only_run_is_evaluated_elsewhere(run, tmp_path, capsys):
    moved = shutil.copytree(run, tmp_path / "moved")
    files = {p: p.stat().st_mtime_ns for p in moved.rglob("*")}
    for path in [moved, *files]:
        path.chmod(0o555 if path.is_dir() else 0o444)
    if os.getuid() != 0:  # root writes anywhere
        assert main(["evaluate", f"run_dir={moved}"]) == 2
        assert "out=DIR" in capsys.readouterr().err
    assert main(["evaluate", f"run_dir={moved}", f"out={tmp_path / 'out'}"]) == 0
    assert "to the last digit" in capsys.readouterr().out
    assert {p: p.stat().st_mtime_ns for p in moved.rglob("*")} == files


def test_a_run_that_was_interrupted_is_called_so(run, tmp_path, capsys):
    part = shutil.copytree(run, tmp_path / "part")
    (part / "metrics.json").write_text(json.dumps({"status": "interrupted"}))
    assert main(["evaluate", f"run_dir={part}"]) == 0
    assert "this run is interrupted" in " ".join(capsys.readouterr().out.split())


def test_results_are_written_into_the_run_directory_by_default(run, tmp_path):
    copy = shutil.copytree(run, tmp_path / "copy")
    assert main(["evaluate", f"run_dir={copy}", "split=train"]) == 0
    assert read(copy / "evaluation-best-train" / "metrics.json")["best"]["train"]["n"] == 96


def test_results_of_the_same_run_are_replaced_and_nothing_else_is(run, tmp_path, capsys):
    out = tmp_path / "out"
    for _ in range(2):
        assert main(["evaluate", f"run_dir={run}", "split=test", f"out={out}"]) == 0
    (out / "mine.txt").write_text("mine")
    assert main(["evaluate", f"run_dir={run}", "split=test", f"out={out}"]) == 2
    assert "existing files are not overwritten" in capsys.readouterr().err
    assert {path.name for path in out.iterdir()} == {"metrics.json", "predictions.csv", "plots", "mine.txt"}


def test_results_on_another_dataset_of_the_same_name_are_not_replaced(run, tmp_path, capsys):
    copy = shutil.copytree(run, tmp_path / "run")
    first, second = (write_xpresso_set(tmp_path / place / "human", seed=n) for n, place in enumerate("ab"))
    for _ in range(2):
        assert main(["evaluate", f"run_dir={copy}", f"dataset.root={first}"]) == 0
    assert main(["evaluate", f"run_dir={copy}", f"dataset.root={second}"]) == 2
    assert "existing files are not overwritten" in capsys.readouterr().err
    assert read(copy / "evaluation-best-valid-test-human" / "metrics.json")["dataset"] == str(first)


def test_another_dataset_with_longer_promoters_keeps_the_window_around_the_tss(run, tmp_path):
    other = write_xpresso_set(tmp_path / "other", length=600, seed=5)
    assert main(["evaluate", f"run_dir={run}", f"dataset.root={other}", f"out={tmp_path / 'out'}"]) == 0
    found = read(tmp_path / "out" / "metrics.json")
    assert found["dataset"] == str(other)
    assert found["best"]["test"]["n"] == 32


def test_another_dataset_with_shorter_promoters_is_refused(run, tmp_path, capsys):
    other = write_xpresso_set(tmp_path / "other", length=300)
    assert main(["evaluate", f"run_dir={run}", f"dataset.root={other}", f"out={tmp_path / 'out'}"]) == 2
    assert "does not fit the promoters of this dataset" in capsys.readouterr().err


def test_a_dataset_that_changed_is_noticed(tmp_path, capsys):
    root = write_xpresso_set(tmp_path / "set")
    words = ["train", "dataset=xpresso", f"dataset.root={root}", f"hydra.run.dir={tmp_path / 'run'}", *QUICK]
    assert main(words) == 0
    write_xpresso_set(root, seed=1)
    assert main(["evaluate", f"run_dir={tmp_path / 'run'}"]) == 0
    assert "the dataset has changed since the run" in capsys.readouterr().out


def test_a_broken_checkpoint_is_told(run, tmp_path, capsys):
    broken = shutil.copytree(run, tmp_path / "broken")
    best = broken / "checkpoints" / "best.keras"
    best.write_bytes(best.read_bytes()[:1000])
    assert main(["evaluate", f"run_dir={broken}"]) == 2
    assert "the checkpoint cannot be read" in capsys.readouterr().err
    best.unlink()
    assert main(["evaluate", f"run_dir={broken}"]) == 2
    assert "no best checkpoint" in capsys.readouterr().err


def test_a_config_from_a_stranger_never_runs_code(run, tmp_path, capsys):
    strange = shutil.copytree(run, tmp_path / "strange")
    config = strange / "config.yaml"
    config.write_text(config.read_text() + f"_target_: os.system\ncommand: touch {tmp_path / 'owned'}\n")
    assert main(["evaluate", f"run_dir={strange}"]) == 2
    assert "there is no key _target_" in capsys.readouterr().err
    assert not (tmp_path / "owned").exists()


def test_only_the_genes_that_are_evaluated_are_counted_into_kmers(tmp_path):
    run = tmp_path / "run"
    words = ["model=kmer_net", "data=PH", "dataset=demo", "dataset.genes=100", "training.epochs=1", "baseline=false"]
    assert main(["train", *words, f"hydra.run.dir={run}"]) == 0
    plan = check(RunDirectory(run), split="test")
    assert list(plan.matched.source.encoded) == ["test"]
    # 256 4-mers in each chunk, in bytes.
    assert plan.matched.source.encoded["test"] % 256 == 0
    assert main(["evaluate", f"run_dir={run}", "split=test", f"out={tmp_path / 'out'}"]) == 0
    assert read(tmp_path / "out" / "metrics.json")["best"]["test"] == read(run / "metrics.json")["best"]["test"]


def test_embedded_promoters_of_another_size_are_told():
    made = {"source": "set", "layout": "embedded", "genes": {}, "promoter": "embedded", "embed_dim": 64}
    trained_on, info = (DatasetDescription(**made, promoter_length=length) for length in (210, 16))
    config = DemoConfig(name="demo", genes=100, seed=0, drop_ambiguous=False)  # any
    with pytest.raises(UserError, match="cannot read this dataset") as caught:
        align(trained_on, Source(info, config), "P", "name another")
    assert "210 chunks of 64 numbers" in str(caught.value)
    assert "16 chunks of 64 numbers" in str(caught.value)
