"""``genexp compare`` on made run directories: no network is trained."""

import csv
import json
import re
import shlex
import shutil

import numpy as np
import pandas as pd
import pytest
from rich.console import Console
from scipy import stats

import genexp
from genexp.api import comparing
from genexp.api.found import find_runs
from genexp.config.validation import to_yaml
from genexp.dataset.description import DatasetDescription
from genexp.evaluation.comparison_figure import draw
from genexp.evaluation.comparison_report import described, tables
from genexp.evaluation.metrics import label_metrics
from genexp.files import write_csv, write_json

GENES = 60
SPLITS = {"train": 100, "valid": GENES, "test": GENES}


class Maker:
    """Writes run directories below a folder: labels are drawn, predictions are labels with noise."""

    def __init__(self, root):
        self.root, self.configs = root, {}

    def __call__(
        self,
        name,
        *words,
        noise=1.0,
        seed=0,
        genes=0,
        fold=None,
        labels=("label",),
        status="completed",
        baselines=(),
    ):
        """Write the run of some overrides; `genes` and `fold` say which genes, `baselines` are name, data and noise."""
        path = self.root / name
        path.mkdir(parents=True)
        words = (*words, f"seed={seed}", *([f"dataset.fold={fold}"] if fold else []))
        dataset = () if any(word.startswith("dataset.root") for word in words) else ("dataset.root=/set",)
        config = genexp.compose(*dataset, *words)
        (path / "config.yaml").write_text(to_yaml(config))
        described = DatasetDescription(
            source="/set", layout="xpresso", genes=SPLITS, labels=labels, fold=fold, fingerprint=f"{genes}-{fold}"
        )
        write_json(path / "environment.json", {"format": 1, "dataset": described.model_dump(mode="json")})
        if status != "completed":
            write_json(path / "metrics.json", {"status": status, "model": config.model.name, "data": config.data.name})
            return path
        of_genes = np.random.default_rng((genes, fold or 0))
        truth = {split: of_genes.normal(size=(GENES, len(labels))) for split in ("valid", "test")}
        rng = np.random.default_rng((1, seed, *name.encode()))
        found = self.predicted(truth, noise, rng)
        for values in truth.values():
            values[: GENES // 3, 1:] = np.nan
        columns = (
            ["label", "prediction"]
            if len(labels) == 1
            else [f"{c}_{x}" for c in ("label", "prediction") for x in labels]
        )
        rows = [
            [f"G{genes}-{fold}-{split}-{n}", split, *truth[split][n], *found[split][n]]
            for split in truth
            for n in range(GENES)
        ]
        write_csv(path / "predictions.csv", ["gene", "split", *columns], rows)
        best = {split: label_metrics(truth[split], found[split], labels, resamples=20) for split in truth}
        reported = []
        if baselines:
            made = {(kind, data): self.predicted(truth, sd, np.random.default_rng(9)) for kind, data, sd in baselines}
            for (kind, data), values in made.items():
                metrics = {split: label_metrics(truth[split], values[split], labels, resamples=20) for split in truth}
                reported.append({"name": kind, "data": data, "best": metrics, "seconds": 1.0, "settings": {}})
            names = [f"{kind}_{data}" for kind, data in made]
            rows = [
                [*row[:3], *(values[row[1]][n % GENES, 0] for values in made.values())] for n, row in enumerate(rows)
            ]
            write_csv(path / "baselines.csv", ["gene", "split", "label", *names], rows)
        write_json(path / "metrics.json", {"status": status, "seed": seed, "baselines": reported, "best": best})
        return path

    @staticmethod
    def predicted(truth, noise, rng):
        """Return float32 predictions of both splits."""
        return {
            split: (values + noise * rng.normal(size=values.shape)).astype(np.float32).astype(float)
            for split, values in truth.items()
        }


@pytest.fixture
def make(tmp_path):
    return Maker(tmp_path / "runs")


PHT, T = ("model=xpresso", "data=PHT"), ("model=fc_net", "data=T")


def text_of(content):
    console = Console(width=200, record=True)
    for part in tables(content):
        console.print(part if isinstance(part, str) else part.rich())
    return console.export_text()


def test_repeats_are_one_group_with_mean_and_interval(make, cli, tmp_path):
    for seed in range(4):
        make(f"sweep/{seed}-xpresso", *PHT, noise=0.6 + 0.1 * seed, seed=seed)
        make(f"{seed}-t", *T, noise=0.5, seed=seed)
    done = cli("compare", f"runs={tmp_path / 'runs'}", f"out={tmp_path / 'out'}")
    assert done.returncode == 0, done.stderr
    assert {path.name for path in (tmp_path / "out").iterdir()} == {
        *("groups.csv", "tests.csv", "runs.csv", "comparison.md", "comparison.json"),
        *("comparison.pdf", "comparison.svg", "comparison.png"),
    }
    content = json.loads((tmp_path / "out" / "comparison.json").read_text())
    (found,) = content["sets"]
    alone, whole = found["groups"]
    r2s = np.array([run["r2"] for run in whole["runs"]])
    summary = whole["metrics"]["r2"]
    interval = stats.t.interval(0.95, 3, r2s.mean(), stats.sem(r2s))
    assert [summary[key] for key in ("n", "mean", "sd")] == pytest.approx([4, r2s.mean(), r2s.std(ddof=1)])
    assert (summary["low"], summary["high"]) == pytest.approx(interval)
    assert found["T_alone"] == alone["name"] == "fc_net T"
    assert whole["above_T"] == pytest.approx(r2s.mean() - alone["metrics"]["r2"]["mean"])
    assert (whole["above_T"] < 0, alone["above_T"]) == (True, None)
    (test,) = found["tests"]
    assert (test["across"], test["p_holm"]) == ("genes, runs", test["p"])
    with (tmp_path / "out" / "tests.csv").open() as file:
        assert [float(row["p"]) for row in csv.DictReader(file)] == [test["p"]]
    assert "| fc_net T | 4 |" in (tmp_path / "out" / "comparison.md").read_text()


def test_the_mean_prediction_is_shown_beside_the_mean(make):
    paths = [make(f"{seed}", *T, noise=1.0, seed=seed) for seed in range(5)]
    tables = [genexp.open_run(path).predictions.query("split == 'test'") for path in paths]
    ensemble = np.mean([table["prediction"] for table in tables], axis=0)
    (group,) = genexp.compare(paths).content["sets"][0]["groups"]
    assert group["ensemble_r2"] == pytest.approx(np.corrcoef(tables[0]["label"], ensemble)[0, 1] ** 2)
    assert group["ensemble_r2"] > group["metrics"]["r2"]["mean"]


def test_a_run_that_was_repeated_with_its_seed_counts_once(make):
    paths = [make(name, *T, seed=seed) for name, seed in (("a", 0), ("b", 1), ("c", 0))]
    content = genexp.compare(paths).content
    assert content["sets"][0]["groups"][0]["metrics"]["r2"]["n"] == 2
    assert [entry["directory"] for entry in content["left_out"]] == [str(paths[2])]
    assert "in no mean and no test: 1 with seed 0 a second time of fc_net T" in text_of(content)


def test_a_second_run_with_a_seed_stands_in_for_one_that_cannot_be_read(make):
    paths = [make(name, *T, seed=seed) for name, seed in (("a", 0), ("b", 1), ("c", 0))]
    (paths[0] / "predictions.csv").write_text("")
    content = genexp.compare(paths).content
    assert content["sets"][0]["groups"][0]["metrics"]["r2"]["n"] == 2
    assert [entry["directory"] for entry in content["left_out"]] == [str(paths[0])]


def test_a_run_that_a_link_names_again_counts_once(make, capsys):
    for seed in range(2):
        make(f"day/{seed}", *T, seed=seed)
    (make.root / "latest").symlink_to(make.root / "day")
    (make.root / "day" / "round").symlink_to(make.root)  # and a link to a folder above ends
    assert find_runs(make.root) == ([make.root / "day" / "0", make.root / "day" / "1"], [])
    assert "named twice, and count once" in capsys.readouterr().out
    content = genexp.compare(make.root).content
    assert content["sets"][0]["groups"][0]["metrics"]["r2"]["n"] == 2
    assert content["left_out"] == []


def test_runs_without_results_are_in_no_mean(make):
    for seed, status in enumerate(("completed", "completed", "collapsed", "failed", "interrupted")):
        make(f"{seed}", *T, seed=seed, status=status)
    (make.root / "5" / ".hydra").mkdir(parents=True)
    (make.root / "results").mkdir()
    (make.root / "results" / "metrics.json").write_text("{}")  # an evaluation is no run
    found = genexp.compare(make.root)
    (make.root / "0" / ".hydra").mkdir()
    (make.root / "0" / ".hydra" / "config.yaml").touch()
    assert len(genexp.compare(f"{make.root}/**").content["left_out"]) == 4, "hidden folders are no runs"
    assert found.content["sets"][0]["groups"][0]["metrics"]["r2"]["n"] == 2
    left_out = [entry["status"] for entry in found.content["left_out"]]
    assert left_out == ["not started", "collapsed", "failed", "interrupted"]
    assert "in no mean and no test: 1 collapsed of fc_net T" in text_of(found.content)
    assert found.runs["status"].tolist() == ["completed"] * 2 + left_out


@pytest.mark.parametrize(
    ("file", "damage"),
    [
        *(("metrics.json", ""), ("config.yaml", "["), ("environment.json", ""), ("environment.json", None)),
        *(("predictions.csv", ""), ("predictions.csv", "gene,split\n"), ("predictions.csv", (r"[^,]+$", "nan"))),
        *(("baselines.csv", ""), ("baselines.csv", "gene,split,label,boosting_T\n"), ("baselines.csv", b"\xff")),
        *(
            ("baselines.csv", ("ridge_T", "ridge")),
            ("baselines.csv", (r"\n.*\Z", "")),
            ("baselines.csv", (r"0\.", "1.")),
        ),
    ],
)
def test_a_damaged_run_is_listed_apart_with_its_reason(make, file, damage):
    for seed in range(3):
        make(f"{seed}", *T, seed=seed, baselines=[("ridge", "T", 1.0)])
    path = make.root / "1" / file
    if damage is None:
        path.unlink()
    elif isinstance(damage, tuple):
        path.write_text(re.sub(*damage, path.read_text().strip(), flags=re.MULTILINE))
    else:
        path.write_bytes(damage if isinstance(damage, bytes) else damage.encode())
    found = genexp.compare(make.root).content
    counted = {group["name"]: group["metrics"]["r2"]["n"] for group in found["sets"][0]["groups"]}
    assert counted == {"fc_net T": 2, "ridge T": 1}
    (entry,) = found["left_out"]
    assert entry["directory"] == str(make.root / "1")
    assert entry["status"].startswith(f"cannot be read ({file}: ")
    with pytest.raises(genexp.UserError, match=rf"none of these runs has results(.|\n)*{file}"):
        genexp.compare(make.root / "1")


@pytest.mark.parametrize(
    ("changed", "why"),
    [
        ({"genes": 1}, "other test genes"),
        ({"labels": ("a", "b")}, "labels a, b / label"),
        ({"fold": 2}, "folds 2 / none"),
    ],
)
def test_runs_on_other_genes_are_apart_and_the_message_says_why(make, changed, why):
    for seed in range(2):
        make(f"t-{seed}", *T, seed=seed)
        make(f"pht-{seed}", *PHT, seed=seed, **changed)
    content = genexp.compare(make.root).content
    assert [len(each["groups"]) for each in content["sets"]] == [1, 1]
    assert [each["tests"] for each in content["sets"]] == [[], []]
    assert any(note.startswith(f"set 2 is not compared with set 1: {why}") for note in content["notes"])
    assert any("no run on T alone" in note for note in content["notes"])


def test_the_command_that_adds_t_alone_is_one(make):
    make("0", *PHT, "dataset.drop_ambiguous=true")
    (note,) = genexp.compare(make.root).content["notes"]
    words = re.search(r"genexp train (.*)$", note)[1].split()
    config = genexp.compose(*words)
    assert (config.data.name, config.dataset.root, config.dataset.drop_ambiguous) == ("T", "/set", True)


def test_folds_are_paired(make):
    for fold in range(1, 6):
        for seed in range(2):
            make(f"t-{fold}-{seed}", *T, fold=fold, seed=seed, noise=0.5)
            make(f"pht-{fold}-{seed}", *PHT, fold=fold, seed=seed, noise=0.9)
    (found,) = genexp.compare(make.root).content["sets"]
    assert [group["metrics"]["r2"]["n"] for group in found["groups"]] == [5, 5]
    r2s = [
        [[run["r2"] for run in g["runs"] if run["fold"] == fold] for fold in found["folds"]] for g in found["groups"]
    ]
    one, other = np.mean(r2s, axis=2)
    (test,) = found["tests"]
    t = stats.ttest_rel(one, other).statistic / np.sqrt(1 + 5 * SPLITS["test"] / SPLITS["train"])
    assert test["p"] == pytest.approx(2 * stats.t.sf(abs(t), 4))
    make("t-6-0", *T, fold=6)
    content = genexp.compare(make.root).content
    assert len(content["sets"]) == 2
    assert any("folds 1, 2, 3, 4, 5" in note for note in content["notes"])


def test_one_fold_alone_is_a_split_like_another(make):
    for seed in range(3):
        make(f"t-{seed}", *T, fold=2, seed=seed, noise=0.5)
        make(f"pht-{seed}", *PHT, fold=2, seed=seed, noise=0.9)
    content = genexp.compare(make.root).content
    (found,) = content["sets"]
    assert [group["metrics"]["r2"]["n"] for group in found["groups"]] == [3, 3]
    assert all(group["ensemble_r2"] for group in found["groups"])
    assert [test["across"] for test in found["tests"]] == ["genes, runs"]
    shown = text_of(content)
    assert f"{GENES} test genes of /set in fold 2" in shown
    assert "tests across genes and runs" in shown


def test_the_command_that_adds_t_alone_names_the_fold(make):
    for seed in range(2):
        make(f"{seed}", *PHT, fold=2, seed=seed)
    (note,) = genexp.compare(make.root).content["notes"]
    assert "dataset.fold=2" in note
    assert "repeats=2" in note
    assert "folds=" not in note


def test_the_command_that_adds_t_alone_can_be_typed_whatever_the_dataset_is_called(make):
    for fold in (1, 3, 4):  # the run of fold 2 has collapsed
        make(f"{fold}", *PHT, 'dataset.root="/data/my, Gène [2]"', fold=fold)
    (note,) = genexp.compare(make.root).content["notes"]
    flag, *words = shlex.split(re.search(r"genexp train (.*)$", note)[1])
    assert flag == "-m"
    assert "dataset.fold=1,3,4" in words
    config = genexp.compose(*(word for word in words if not word.startswith("dataset.fold=")))
    assert config.dataset.root == "/data/my, Gène [2]"


def test_baselines_stand_beside_the_runs_and_are_tested_against_them(make):
    baselines = (("ridge", "PHT", 1.5), ("boosting", "T", 0.4))
    for seed in range(3):
        make(f"{seed}", *PHT, seed=seed, noise=0.8, baselines=baselines)
    content = genexp.compare(make.root).content
    (found,) = content["sets"]
    assert [(group["name"], group["kind"]) for group in found["groups"]] == [
        ("boosting T", "baseline"),
        ("xpresso PHT", "runs"),
        ("ridge PHT", "baseline"),
    ]
    assert found["T_alone"] == "boosting T"
    assert not content["notes"]
    pairs = {(test["first"], test["second"]): test for test in found["tests"]}
    assert set(pairs) == {("boosting T", "xpresso PHT"), ("xpresso PHT", "ridge PHT")}
    assert {test["across"] for test in pairs.values()} == {"genes, runs"}
    make("other", *PHT, "data.window=[0,9000]", baselines=[("ridge", "PHT", 1.2)])
    names = [group["name"] for group in genexp.compare(make.root).content["sets"][0]["groups"]]
    assert sum(name.startswith("ridge PHT beside xpresso PHT") for name in names) == 2


def test_published_results_are_shown(make):
    for seed in range(2):
        make(f"{seed}", "experiment=fc_net_T", "dataset=xpresso_tf", "dataset.root=/set", seed=seed)
    content = genexp.compare(make.root).content
    assert "published: fc_net_T r² 0.670 (0.662 to 0.677), Pipoli et al. 2022" in text_of(content)
    assert b"published" in draw(content, "svg")


def test_each_label_has_its_own_tests_and_panel(make):
    for seed in range(3):
        make(f"t-{seed}", *T, seed=seed, labels=("liver", "heart"), noise=0.5)
        make(f"pht-{seed}", *PHT, seed=seed, labels=("liver", "heart"))
    found = genexp.compare(make.root)
    assert found.tests["label"].tolist() == ["", "liver", "heart"]
    group = found.content["sets"][0]["groups"][0]
    tables = [genexp.open_run(run["directory"]).predictions.query("split == 'test'") for run in group["runs"]]
    ensemble = {}
    for label in ("liver", "heart"):
        known = tables[0][f"label_{label}"].notna()  # a third is missing
        mean = np.mean([table[f"prediction_{label}"] for table in tables], axis=0)
        ensemble[label] = np.corrcoef(tables[0][f"label_{label}"][known], mean[known])[0, 1] ** 2
    assert group["ensemble_labels"] == pytest.approx(ensemble)
    ensemble = {"": group["ensemble_r2"], **ensemble}
    assert group["ensemble_r2"] == pytest.approx((ensemble["liver"] + ensemble["heart"]) / 2)
    rows = found.groups.query("metric == 'r2' and model == 'fc_net'")
    assert dict(zip(rows["label"], rows["ensemble"], strict=True)) == pytest.approx(ensemble)
    assert found.groups.query("metric != 'r2'")["ensemble"].isna().all()
    assert re.search(rf"  heart .* {ensemble['heart']:.3f}", text_of(found.content))
    assert set(found.groups.query("metric == 'r2'")["label"]) == {"", "liver", "heart"}
    text = draw(found.content, "svg").decode()
    assert text.count("Pearson r² on the test genes") == 3


def test_labels_may_have_any_name(make, capsys, tmp_path):
    labels = ("mean", "decay [/min]", ":dna: [tpm]")
    for seed in range(2):
        make(f"t-{seed}", *T, seed=seed, labels=labels, noise=0.5)
        make(f"pht-{seed}", *PHT, seed=seed, labels=labels)
    found = genexp.compare(make.root)
    assert found.tests["label"].tolist() == ["", *labels]
    rows = found.groups.query("metric == 'r2' and model == 'fc_net'").set_index("label")["mean"]
    assert rows[""] == pytest.approx(np.mean([rows[name] for name in labels]))
    found.show()
    shown = capsys.readouterr().out
    assert all(name in shown for name in labels)
    found.write(tmp_path / "out")
    assert pd.read_csv(tmp_path / "out" / "tests.csv", keep_default_na=False)["label"].tolist() == ["", *labels]


def test_a_label_that_few_test_genes_have_is_not_tested(make, monkeypatch):
    monkeypatch.setattr(comparing, "FEWEST_GENES", GENES)  # of every label but the first a third is missing
    for seed in range(2):
        make(f"t-{seed}", *T, seed=seed, labels=("liver", "heart"))
        make(f"pht-{seed}", *PHT, seed=seed, labels=("liver", "heart"))
    assert genexp.compare(make.root).tests["label"].tolist() == ["liver"]


def test_without_tests_the_table_has_its_columns(make, tmp_path):
    make("0", *PHT)
    found = genexp.compare(make.root)
    assert found.tests["p"].tolist() == []
    found.write(tmp_path / "out")
    assert [*pd.read_csv(tmp_path / "out" / "tests.csv").columns] == [*found.tests.columns]


@pytest.mark.parametrize(
    "changed", [{"unit": "log10(TPM + 0.1)"}, {"made_from": "other.gtf"}, {"labels": ["rate"]}, {"promoter_length": 9}]
)
@pytest.mark.parametrize("fold", [None, 1])
def test_runs_on_other_datasets_are_another_group_even_where_the_genes_agree(make, changed, fold):
    """A run of an earlier version may lack the unit; the folder of a fold may be prepared anew between two runs."""
    for seed in range(3):
        path = make(f"{seed}", *T, seed=seed, fold=fold) / "environment.json"
        if seed == 2:
            content = json.loads(path.read_text())
            content["dataset"] |= changed
            path.write_text(json.dumps(content))
    found = genexp.compare(make.root)
    groups = [group for each in found.content["sets"] for group in each["groups"]]
    assert sorted(len(group["runs"]) for group in groups) == [1, 2]
    assert len({group["name"] for group in groups}) == 2
    assert all(next(iter(changed)) in group["name"] for group in groups)
    assert [described(each) for each in found.content["sets"]] == [
        f"{GENES} test genes of /set" + (f" in fold {fold}" if fold else "") for _ in found.content["sets"]
    ]


def test_precision_makes_another_group_and_the_device_does_not(make):
    for seed in range(2):
        for precision in ("float32", "mixed_bfloat16"):
            make(f"{precision}-{seed}", *T, f"hardware.precision={precision}", seed=seed)
    make("gpu", *T, "hardware.name=gpu", "hardware.precision=float32", seed=2)
    (found,) = genexp.compare(make.root).content["sets"]
    assert sorted(group["metrics"]["r2"]["n"] for group in found["groups"]) == [2, 3]


def test_a_group_of_one_run_is_marked(make):
    make("t", *T)
    for seed in range(2):
        make(f"{seed}", *PHT, seed=seed)
    content = genexp.compare(make.root).content
    assert [test["across"] for test in content["sets"][0]["tests"]] == ["genes"]
    assert "it says nothing of other seeds" in text_of(content)


def test_the_tables_fit_80_columns(make):
    for seed in range(2):
        make(f"a{seed}", *T, "training.learning_rate=0.000123", seed=seed)
        make(f"b{seed}", *PHT, "training.learning_rate=0.000456", "training.batch_size=99", seed=seed)
        make(f"c{seed}", *PHT, "training.batch_size=100", seed=seed, baselines=[("boosting", "PHT", 1.0)])
    content = genexp.compare(make.root).content
    text = text_of({**content, "notes": []})
    assert max(len(line.rstrip()) for line in text.splitlines()) <= 80
    assert re.search(r"^\d fc_net T", text, re.MULTILINE)  # names are long: they are numbered, and tests name numbers
    assert re.search(r"^1 - 2 ", text, re.MULTILINE)


def test_many_groups_stay_readable(make, capsys):
    first = make("0", *T, "training.learning_rate=0.125", noise=0.5)
    for n in range(1, 25):
        run = shutil.copytree(first, make.root / str(n))
        (run / "config.yaml").write_text((run / "config.yaml").read_text().replace("0.125", f"{n / 1000}"))
        shutil.copytree(first, make.root / f"bad-{n}")
        (make.root / f"bad-{n}" / "metrics.json").write_text(f"[{'0,' * n}")
    found = genexp.compare(make.root)
    found.show()
    lines = capsys.readouterr().out.splitlines()
    assert sum(line.startswith("in no mean and no test") for line in lines) <= 20
    pairs = [list(map(int, match.groups())) for line in lines if (match := re.match(r"(\d+) - (\d+) ", line))]
    assert len(pairs) == 20
    assert max(map(max, pairs)) <= 20, "tests between groups that the table above has"
    assert any(line.startswith("learning_rate=0.0") for line in lines), "not broken within a word"


def test_the_figure_is_the_same_file_again(make):
    for seed in range(3):
        make(f"{seed}", *T, seed=seed)
    content = genexp.compare(make.root).content
    for suffix, start in (("pdf", b"%PDF"), ("svg", b"<?xml"), ("png", b"\x89PNG")):
        file = draw(content, suffix)
        assert file.startswith(start)
        assert draw(content, suffix) == file
    assert b"fc_net T" in draw(content, "svg")


def test_errors_name_the_place(make, cli, tmp_path):
    def error(*words):
        done = cli("compare", *words)
        assert done.returncode == 2
        return done.stderr

    make("0", *T, status="collapsed")
    assert "this directory does not exist" in error(f"runs={tmp_path / 'nowhere'}")
    assert "nothing matches this pattern" in error(f"runs={tmp_path}/*.none")
    assert "none of these runs has results to compare" in error(f"runs={tmp_path}/r*")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine.txt").write_text("mine")
    assert "the folder is not empty" in error(f"runs={tmp_path}", f"out={tmp_path / 'full'}")
    run = make("1", *T)
    head, *rows = (run / "predictions.csv").read_text().splitlines()
    (run / "predictions.csv").write_text("\n".join([head, *rows[:-1], rows[-1].rpartition(",")[0] + ",99"]))
    assert "its test r2 is not that of metrics.json" in error(f"runs=[{tmp_path}]")
