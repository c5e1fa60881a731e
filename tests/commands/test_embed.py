"""``genexp embed``, and training on k-mers: from bases, from given vectors, from embedded promoters."""

import csv
import json
import shutil

import h5py
import numpy as np
import pytest
from conftest import write_xpresso_set

import genexp
from genexp import console
from genexp.api.embedding import check, embed
from genexp.api.training import folder_dataset
from genexp.cli import main
from genexp.commands import command_of
from genexp.config.compose import compose_words
from genexp.dataset.alignment import align
from genexp.dataset.sources import inspect
from genexp.errors import UserError
from genexp.features.kmer_vectors import load_vectors

SMALL = (
    "training.epochs=2",
    "training.batch_size=32",
    "training.learning_rate=0.01",
    "hardware=cpu",
    "model.chunk=20",
    "baseline=false",
)
SMALL_MODEL = {
    "transformer": ("model.heads=2", "model.key_dim=4", "model.ff_dim=8", "model.dense=4"),
    "biolstm": ("model.units=4", "model.dense=4"),
}


def train(root, out, *words, model="transformer", data="PH"):
    files = ("dataset=files", f"dataset.root={root}", f"hydra.run.dir={out}")
    return main(["train", f"model={model}", f"data={data}", *files, *SMALL, *SMALL_MODEL[model], *words])


def predictions(run):
    with (run / "predictions.csv").open() as file:
        return np.array([float(row["prediction"]) for row in csv.DictReader(file)])


@pytest.fixture(scope="module")
def embedding(xpresso_root, tmp_path_factory):
    out = tmp_path_factory.mktemp("embedding") / "e"
    words = ["embed", "dataset=xpresso", f"dataset.root={xpresso_root}", f"out={out}", "chunk=20", "epochs=1"]
    assert main([*words, "dimension=8"]) == 0
    return out


def test_the_published_layout_is_written(embedding):
    assert {p.name for p in embedding.iterdir()} == {"vectors.npz", "etrain.h5", "evalidation.h5", "etest.h5"}
    with h5py.File(embedding / "evalidation.h5") as file:
        assert file["promoter"].shape == (32, 20, 8)
        assert file["promoter"].dtype == np.float32
        assert file["halflife"].shape == (32, 8)
        assert file["gene"][0] == b"GENE00096"


def test_vectors_have_a_provenance(embedding):
    found = load_vectors(embedding / "vectors.npz")
    assert found.vectors.shape == (64, 8)
    assert found.provenance["words_trained"] == 398 * found.provenance["promoters_used"]


def test_an_embedded_chunk_is_the_mean_of_its_kmers_vectors(embedding, xpresso_root):
    vectors = load_vectors(embedding / "vectors.npz").vectors
    with h5py.File(xpresso_root / "valid.h5") as bases, h5py.File(embedding / "evalidation.h5") as embedded:
        for gene in (0, 31):
            tokens = bases["promoter"][gene].argmax(axis=1)
            for chunk in (0, 19):
                part = tokens[20 * chunk : 20 * chunk + 20]
                words = [16 * a + 4 * b + c for a, b, c in zip(part, part[1:], part[2:], strict=False)]
                np.testing.assert_allclose(embedded["promoter"][gene, chunk], vectors[words].mean(axis=0), atol=1e-6)


@pytest.mark.parametrize("model", ["transformer", pytest.param("biolstm", marks=pytest.mark.slow)])
def test_embedded_promoters_and_bases_with_the_same_vectors_are_the_same_run(embedding, xpresso_root, tmp_path, model):
    own = (f"model.embedding.vectors={embedding / 'vectors.npz'}", "model.embed_dim=8")
    assert train(xpresso_root, tmp_path / "bases", *own, model=model) == 0
    assert train(embedding, tmp_path / "embedded", "model.embed_dim=8", model=model) == 0
    np.testing.assert_allclose(predictions(tmp_path / "bases"), predictions(tmp_path / "embedded"), atol=1e-4)
    assert "input: k-mer counts" in (tmp_path / "bases" / "train.log").read_text()
    assert "input: precomputed promoter embeddings" in (tmp_path / "embedded" / "train.log").read_text()
    assert not (tmp_path / "embedded" / "embedding").exists()


@pytest.fixture(scope="module")
def runs(xpresso_root, tmp_path_factory):
    """Return the folder with a run of each kind of embedding."""
    out = tmp_path_factory.mktemp("kinds")
    for kind in ("word2vec", "random", "learned", "counts"):
        words = (f"model.embedding={kind}", "model.embedding.epochs=1", "training.epochs=1")
        assert train(xpresso_root, out / kind, *words, model="biolstm") == 0
    return out


@pytest.mark.parametrize("kind", ["word2vec", "random", "learned", "counts"])
def test_every_kind_of_embedding_trains_and_evaluates(runs, capsys, kind):
    assert (runs / kind / "embedding" / "vectors.npz").exists() == (kind in ("word2vec", "random"))
    assert main(["evaluate", f"run_dir={runs / kind}"]) == 0
    assert "to the last digit" in capsys.readouterr().out


@pytest.mark.slow
def test_a_checkpoint_opens_in_a_fresh_process(runs, genexp):
    done = genexp("evaluate", f"run_dir={runs / 'random'}")
    assert done.returncode == 0, done.stderr
    assert "to the last digit" in done.stdout


@pytest.mark.slow
def test_a_resumed_run_keeps_its_vectors(xpresso_root, tmp_path):
    assert train(xpresso_root, tmp_path / "whole", "model.embedding.epochs=1") == 0
    assert train(xpresso_root, tmp_path / "part", "model.embedding.epochs=1", "training.epochs=1") == 0
    assert main(["train", f"resume={tmp_path / 'part'}", "training.epochs=2"]) == 0
    np.testing.assert_array_equal(predictions(tmp_path / "part"), predictions(tmp_path / "whole"))


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["model=xpresso"], "reads bases, and this dataset has precomputed promoter embeddings"),
        (["model=transformer"], "do not fit the model"),
        (["model=transformer", "model.embed_dim=8", "data.window=[0,100]"], "window"),
    ],
)
def test_a_mismatch_with_embedded_promoters_is_refused(embedding, tmp_path, capsys, words, said):
    assert (
        main(["train", "dataset=files", f"dataset.root={embedding}", f"hydra.run.dir={tmp_path / 'run'}", *words]) == 2
    )
    assert said in capsys.readouterr().err


def test_vectors_that_do_not_fit_are_refused(embedding, xpresso_root, tmp_path, capsys):
    assert train(xpresso_root, tmp_path / "run", f"model.embedding.vectors={embedding / 'vectors.npz'}") == 2
    assert "model.embed_dim" in capsys.readouterr().err
    assert train(xpresso_root, tmp_path / "run2", "model.embedding.vectors=nowhere.npz") == 2
    assert "nowhere.npz" in capsys.readouterr().err


@pytest.mark.slow
def test_vectors_given_by_a_relative_path_are_kept_in_the_run(embedding, xpresso_root, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    vectors = tmp_path / "vectors.npz"
    shutil.copy(embedding / "vectors.npz", vectors)
    own = ("model.embedding.vectors=vectors.npz", "model.embed_dim=8", "training.epochs=1")
    assert train(xpresso_root, tmp_path / "run", *own) == 0
    assert f"vectors: {vectors}" in (tmp_path / "run" / "config.yaml").read_text()
    vectors.unlink()
    monkeypatch.chdir("/")
    assert main(["train", f"resume={tmp_path / 'run'}", "training.epochs=2"]) == 0


def test_a_folder_that_is_not_empty_is_refused(embedding, capsys):
    before = json.dumps(sorted((p.name, p.stat().st_mtime_ns) for p in embedding.iterdir()))
    assert main(["embed", f"out={embedding}"]) == 2
    assert "existing files are not overwritten" in capsys.readouterr().err
    assert json.dumps(sorted((p.name, p.stat().st_mtime_ns) for p in embedding.iterdir())) == before


def test_python_prints_nothing_when_quiet_and_has_the_same_checks(xpresso_root, tmp_path, capsys):
    words = [f"dataset.root={xpresso_root}", f"out={tmp_path / 'e'}", "chunk=20", "epochs=1", "dimension=4"]
    config = compose_words(command_of("embed"), words).config
    with console.quiet():
        out = embed(check(config))
    assert capsys.readouterr() == ("", "")
    assert load_vectors(out / "vectors.npz").vectors.shape == (64, 4)
    with pytest.raises(UserError, match="already contains a dataset"):
        check(config)


@pytest.mark.parametrize("words", [["seed=2"], ["data.window=[0,200]", "chunk=10"]])
def test_embeddings_of_one_size_and_other_numbers_are_told_apart(embedding, xpresso_root, tmp_path, words):
    other = [f"dataset.root={xpresso_root}", "chunk=20", "epochs=1", "dimension=8", *words]
    out = genexp.embed_dataset(*other, f"out={tmp_path / 'e'}", progress=False)
    ours, theirs = (inspect(folder_dataset(root=str(root)), "PH") for root in (embedding, out))
    assert ours.description.promoter_length == theirs.description.promoter_length
    with pytest.raises(UserError, match=r"expected: chunks of 20 nt[\s\S]*3-mer vectors[\s\S]*received: chunks of"):
        align(ours.description, theirs, "PH", "")
    unknown = ours.description.model_copy(update={"embedding": None})  # of another program, or an earlier run
    assert align(unknown, theirs, "PH", "").description.embedding == theirs.description.embedding


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["chunk=3000"], "longer data.window, lower chunk$"),
        (["write_dataset=false", "data.window=[100,102]"], "the window holds no two k-mers"),
        (["data.window=[100,103]", "chunk=3"], "the window holds no two k-mers"),
    ],
)
def test_windows_that_are_too_short_are_refused_with_keys_of_embed(xpresso_root, tmp_path, words, said):
    with pytest.raises(UserError, match=said):
        genexp.embed_dataset(f"dataset.root={xpresso_root}", f"out={tmp_path / 'e'}", *words)


def test_vectors_alone_are_fitted_on_the_whole_window(xpresso_root, tmp_path, capsys):
    words = [f"dataset.root={xpresso_root}", "chunk=77", "write_dataset=false", "epochs=1", "dimension=4"]
    genexp.embed_dataset(*words, f"out={tmp_path / 'e'}")
    assert "parts of" not in capsys.readouterr().out


def test_few_words_are_warned_about(xpresso_root, tmp_path, capsys):
    words = [f"dataset.root={xpresso_root}", "write_dataset=false", "epochs=1", "dimension=4"]
    genexp.embed_dataset(*words, "subsample=1e-6", f"out={tmp_path / 'e'}")
    assert "subsample=1e-06 leaves" in " ".join(capsys.readouterr().out.split())
    with pytest.raises(UserError, match="Word2Vec did not change any vector"):
        genexp.embed_dataset(*words, "subsample=1e-9", f"out={tmp_path / 'none'}")


def test_chunks_that_do_not_fit_are_refused(tmp_path, xpresso_root, capsys):
    words = ["embed", "dataset=files", f"dataset.root={xpresso_root}", f"out={tmp_path / 'e'}"]
    assert main([*words, "data.window=[0,399]"]) == 2
    assert "the window of 399 nt is not a multiple of the chunk of 50 nt" in capsys.readouterr().err
    assert not (tmp_path / "e").exists()


def test_promoters_all_with_n_cannot_be_fitted_on(tmp_path, capsys):
    root = write_xpresso_set(tmp_path / "set", n_every=1)
    assert main(["embed", "dataset=files", f"dataset.root={root}", f"out={tmp_path / 'e'}"]) == 2
    assert "free of N" in capsys.readouterr().err
    assert [p.name for p in tmp_path.iterdir()] == ["set"], "no partial files"


@pytest.mark.parametrize(
    ("start", "words", "expected", "received"),
    [
        ("counts", [], "model.embedding: counts of k-mers", "frozen vectors"),
        ("random", ["model.embedding=counts"], "model.embedding: frozen vectors", "counts of k-mers"),
        ("random", ["model.embedding=learned"], "model.embedding: frozen vectors", "vectors learned with the model"),
        ("learned", [], "model.embedding: vectors learned with the model", "frozen vectors"),
        ("random", ["model.k=2"], "model.k: 3", "2"),
        ("random", ["model.chunk=10"], "model.chunk: 20", "10"),
    ],
)
def test_weights_of_another_embedding_are_refused_before_anything_is_made(
    runs, xpresso_root, tmp_path, capsys, start, words, expected, received
):
    start_from = f"training.start_from={runs / start}"
    assert train(xpresso_root, tmp_path / "run", start_from, *words, model="biolstm") == 2
    error = " ".join(capsys.readouterr().err.split())
    assert f"expected: {expected}" in error
    assert f"received: {received}" in error
    assert not (tmp_path / "run").exists()


def test_weights_of_the_same_embedding_are_trained_on(runs, xpresso_root, tmp_path, capsys):
    start_from = f"training.start_from={runs / 'random'}"
    assert train(xpresso_root, tmp_path / "run", start_from, "training.epochs=1", model="biolstm") == 0
    assert "starting from the weights of" in capsys.readouterr().out


def test_settings_without_effect_are_reported(runs):
    log = (runs / "counts" / "train.log").read_text(encoding="utf-8")
    assert "model.embedding.epochs has no effect" in log
    log = (runs / "word2vec" / "train.log").read_text(encoding="utf-8")
    assert "has no effect" not in log


def test_word2vec_without_a_promoter_to_fit_on_leaves_nothing(tmp_path, capsys):
    write_xpresso_set(tmp_path / "data", n_every=1)
    assert train(tmp_path / "data", tmp_path / "run") == 2
    assert "is free of N" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()
