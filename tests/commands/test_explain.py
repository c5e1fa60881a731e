"""``genexp explain`` and ``run.explain``: contributions, tables and files of a run and of an ensemble."""

import json
import shutil
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

import genexp as package
from genexp.api import explaining, explanation
from genexp.api.requests import requested
from genexp.dataset.description import DatasetDescription
from genexp.dataset.genes import Dataset, Split
from genexp.explain.config import Settings
from genexp.explain.motifs import write_meme

MOTIF = np.eye(4)[[0, 1, 2, 3, 3]]


@pytest.fixture(scope="module")
def motifs(tmp_path_factory):
    path = tmp_path_factory.mktemp("motifs") / "m.meme"
    write_meme(path, {"first": MOTIF})
    return path


def test_contributions_and_insertions_are_differences_of_predictions(finished_run, motifs):
    run = package.open_run(finished_run)
    settings = {"most": 2, "region": [-20, 30], "spacing": 7, "motifs": str(motifs), "repeats": 2, "steps": 5}
    found = run.explain(progress=False, **settings)
    genes = run.predictions[run.predictions["split"] == "test"]
    assert found.genes.tolist() == genes["gene"].tolist()[:2]
    np.testing.assert_allclose(found.predictions, genes["prediction"][:2], atol=1e-5)
    dataset = package.load_dataset(run.dataset.source, "PH", progress=False)
    left, right = run.dataset.window
    halflife = dataset.splits["test"].blocks["H"][:1]
    tokens = dataset.splits["test"].blocks["P"][:1, left:right]
    np.testing.assert_array_equal(found.tokens[:1], tokens)
    place = run.dataset.tss - left - 20  # the first base of the region
    each = np.repeat(tokens, 4, axis=0)
    each[:, place] = range(4)
    effects = run.predict(each, {"H": np.repeat(halflife, 4, axis=0)})
    np.testing.assert_allclose(found.contributions["mutagenesis"][0, place], effects - effects.mean(), atol=1e-5)
    assert not found.contributions["mutagenesis"][:, :place].any()
    inserted = tokens.copy()
    inserted[:, place : place + 5] = [0, 0, 1, 2, 3]  # the other strand of ACGTT
    change = run.predict(inserted, {"H": halflife}) - run.predict(tokens, {"H": halflife})
    np.testing.assert_allclose(found.changes[0, 0, 1, 0], change[0], atol=1e-5)
    assert found.insertion["position"].unique().tolist() == [-20, -13, -6, 1, 8, 15, 22]
    integrated = (found.of_bases("integrated_gradients")).sum(axis=1)
    assert integrated.shape == (2,)
    assert list(found.profile) == ["position", "mutagenesis", "gradients", "integrated_gradients"]
    assert len(found.permutation) == 10  # the blocks P and H, and 8 features
    assert found.permutation.nlargest(3, "loss")["feature"].isin(["(all)", "UTR5LEN"]).all()


def test_the_files_of_an_explanation(finished_run, motifs, tmp_path, cli):
    run = shutil.copytree(finished_run, tmp_path / "run")
    words = [f"run_dir={run}", "genes=[GENE00130,GENE00128]", "region=[-5,5]", "steps=2", "logos=1", "repeats=2"]
    for more in ([f"motifs={motifs}"], ["methods=[mutagenesis,permutation]"]):  # the second replaces the first
        done = cli("explain", *words, *more, "plots=[png,svg]", "hardware=cpu")
        assert done.returncode == 0, done.stderr
        found = {str(path.relative_to(run / "explain")) for path in (run / "explain").rglob("*") if path.is_file()}
        summary = json.loads((run / "explain" / "explain.json").read_text())
        for method in summary["methods"].values():
            assert set(method["files"]) <= found
        assert found >= {"sequences.npz", "profile.csv", "profile.svg", "genes/GENE00130.png", "permutation.png"}
    assert "insertion.csv" not in found
    with np.load(run / "explain" / "sequences.npz") as file:
        one_hot, genes, start = file["arr_0"], file["genes"], file["start"]
    with np.load(run / "explain" / "mutagenesis.npz") as file:
        assert file["arr_0"].shape == one_hot.shape == (2, 4, summary["window"][1] - summary["window"][0])
    assert genes.tolist() == ["GENE00130", "GENE00128"]
    assert start == summary["window"][0]
    assert (one_hot.sum(axis=1) == 1).all()
    assert len(pd.read_csv(run / "explain" / "permutation.csv")) == 10
    assert [path.name for path in run.iterdir() if path.name.startswith(".") and path.name != ".hydra"] == []


def test_an_ensemble_has_the_mean_of_its_members(finished_run, tmp_path):
    other = shutil.copytree(finished_run, tmp_path / "other")
    shutil.copy(finished_run / "checkpoints" / "last.keras", other / "checkpoints" / "best.keras")
    settings = {"methods": ["mutagenesis", "permutation"], "most": 1, "region": [0, 4], "repeats": 2, "progress": False}
    each = [package.open_run(path).explain(**settings) for path in (finished_run, other)]
    both = package.open_ensemble([finished_run, other]).explain(**settings)
    values = np.stack([one.contributions["mutagenesis"] for one in each])
    np.testing.assert_allclose(both.contributions["mutagenesis"], values.mean(axis=0), atol=1e-6)
    np.testing.assert_allclose(both.spread["mutagenesis"], values.std(axis=0, ddof=1), atol=1e-6)
    assert both.permutation["loss"].between(-1, 1).all()


def test_an_interrupted_command_goes_on_where_it_was(finished_run, tmp_path, cli, monkeypatch):
    from genexp.explain import genes

    computed = []

    def substitutions(*args, whole=genes.substitutions):
        computed.append(1)
        if len(computed) == 3:
            raise KeyboardInterrupt
        return whole(*args)

    monkeypatch.setattr(genes, "substitutions", substitutions)
    words = [f"run_dir={finished_run}", f"out={tmp_path / 'e'}", "methods=[mutagenesis]", "most=3", "region=[0,3]"]
    done = cli("explain", *words, "plots=[]")
    assert done.returncode == 130
    assert f"resume with: genexp explain run_dir={finished_run}" in done.stdout
    assert not (tmp_path / "e").exists()
    assert cli("explain", *words, "plots=[]").returncode == 0
    assert len(computed) == 4  # two genes were kept
    with np.load(tmp_path / "e" / "mutagenesis.npz") as file:
        kept = file["arr_0"]
    again = package.open_run(finished_run).explain(methods=["mutagenesis"], most=3, region=[0, 3], progress=False)
    np.testing.assert_array_equal(kept.transpose(0, 2, 1), again.contributions["mutagenesis"])
    assert [path.name for path in tmp_path.iterdir()] == ["e"]
    assert not list((tmp_path / "e").rglob("*.png"))


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["methods=[insertion]"], "insertion needs motifs"),
        (["region=[-500,10]"], "the region does not fit the window"),
        (["genes=[GENE00128,GENE99999]"], "there are no such genes in the dataset"),
        (["label=blood"], "the run has no such label"),
        (["label=24"], "the run has no such label"),
        (["methods=[permutation]", "modisco=true"], "modisco=true needs contributions of bases"),
        (["methods=[mutagenese]"], "methods"),
        (["motifs=nothing.meme"], "this is no MEME file of motifs"),
    ],
)
def test_what_cannot_be_explained_is_said_and_nothing_is_written(finished_run, tmp_path, cli, words, message):
    done = cli("explain", f"run_dir={finished_run}", f"out={tmp_path / 'e'}", *words)
    assert done.returncode == 2
    assert message in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_genes_are_named_in_another_way_or_are_in_another_split(tmp_path, capsys):
    names = {"ENSG00000000001": "Abc1", "ENSG00000000002": "Xyz", "ENSG00000000003": "Two", "other": "TWO"}
    (tmp_path / "genes.tsv").write_text("gene\tgene_name\n" + "".join(f"{a}\t{b}\n" for a, b in names.items()))
    genes = {"train": ["ENSG00000000002", "ENSG00000000003"], "test": ["other", "ENSG00000000001"]}
    splits = {name: Split(np.array(ids), np.zeros((len(ids), 1)), {}) for name, ids in genes.items()}
    described = DatasetDescription(source=str(tmp_path), layout="x", genes={})

    def rows(*named):
        plan = SimpleNamespace(settings=requested("explain", Settings, {"genes": list(named)}))
        return explaining._rows(Dataset(described, splits), plan, described).tolist()

    assert rows("ABC1", "other", "ENSG00000000001.7") == [1, 0]
    said = " ".join(capsys.readouterr().out.split())
    assert "ABC1 is ENSG00000000001 (joined by gene_name, in upper or lower case)" in said
    with pytest.raises(package.UserError, match=r"no such test genes\n(.|\n)*Xyz in train\n  hint: set split=train"):
        rows("Xyz")
    with pytest.raises(package.UserError, match=r"Xyz in train\n  hint: explain the genes of each split"):
        rows("Xyz", "other")
    with pytest.raises(package.UserError, match=r"several genes\n(.|\n)*genes=\[other,ENSG00000000003\]"):
        rows("two")
    with pytest.raises(package.UserError, match="no such genes in the dataset"):
        rows("nobody")
    (tmp_path / "genes.tsv").write_text("id\tgene_name\nother\tTwo\n")  # a table of somebody else's
    assert rows("other") == [0]


def test_each_gene_has_a_figure_of_its_own(finished_run, tmp_path):
    found = package.open_run(finished_run).explain(methods=["gradients"], most=3, progress=False)
    found.genes[:] = ["a/b", "a:b", "a_b"]
    explanation._draw(tmp_path, found, requested("explain", Settings, {"plots": ["png"], "logos": 3}))
    assert len(list((tmp_path / "genes").iterdir())) == 3


def test_a_collapsed_run_and_missing_blocks_are_refused(finished_run, tmp_path):
    collapsed = shutil.copytree(finished_run, tmp_path / "collapsed")
    metrics = json.loads((collapsed / "metrics.json").read_text())
    (collapsed / "metrics.json").write_text(json.dumps({**metrics, "status": "collapsed"}))
    with pytest.raises(package.UserError, match="this run has collapsed"):
        package.open_run(collapsed).explain()
    plan = package.open_run(finished_run).check(split="test")[0]
    for blocks, method in (("HT", "mutagenesis"), ("P", "permutation")):
        data = plan.config.data.model_copy(update={"name": blocks})
        other = replace(plan, config=plan.config.model_copy(update={"data": data}))
        possible = "permutation" if blocks == "HT" else "mutagenesis, gradients, integrated_gradients, insertion"
        message = f"a run on {blocks} cannot be explained by {method}(.|\n)*expected: {possible}"
        with pytest.raises(package.UserError, match=message):
            explaining._methods(other, requested("explain", Settings, {"methods": [method]}))


def test_a_motif_longer_than_the_region(finished_run, tmp_path):
    write_meme(tmp_path / "long.meme", {"long": np.eye(4)[np.zeros(9, int)]})
    with pytest.raises(package.UserError, match="longer than the region"):
        package.open_run(finished_run).explain(motifs=str(tmp_path / "long.meme"), region=[0, 8])
