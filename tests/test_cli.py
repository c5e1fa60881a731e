"""The real command line, as far as it needs no TensorFlow."""

import errno
import os
import subprocess
import sys

import pytest

from genexp import __version__, commands
from genexp import cli as program
from genexp.blocks import feature_blocks
from genexp.config.help import command_help


def test_no_words_is_help(genexp, cli):
    done = genexp()
    assert done.returncode == 0
    assert done.stdout == cli("--help").stdout
    for command in commands.summaries():
        assert f"  {command} " in done.stdout


@pytest.mark.parametrize("command", list(commands.summaries()))
def test_help_of_each_command_has_three_examples(cli, command):
    done = cli(command, "--help")
    assert done.returncode == 0
    assert done.stdout.count(f"genexp {command}") >= 3 + 1
    assert done.stderr == ""


@pytest.mark.parametrize("command", commands.summaries())
def test_help_names_the_run_directory_where_there_is_one(cli, command):
    makes_runs = hasattr(commands.load(command), "MAKES_RUNS")
    assert ("hydra.run.dir=DIR" in cli(command, "--help").stdout.partition("Flags\n")[2]) == makes_runs


def test_a_command_with_groups_alone_has_no_empty_section(tmp_path, monkeypatch):
    (tmp_path / "dataset").mkdir()
    (tmp_path / "dataset" / "files.yaml").write_text("root: ???  # the folder\n")
    (tmp_path / "look.yaml").write_text("defaults:\n  - _self_\n  - dataset: files\n")
    monkeypatch.setattr("genexp.config.conf.CONF_DIR", tmp_path)
    text = command_help("look", "", [], [], makes_runs=False)
    assert "Keys (KEY=VALUE)" not in text
    assert "root: ???" in text


def test_help_shows_the_keys_of_the_chosen_groups(cli):
    default, other = cli("train", "--help").stdout, cli("train", "model=transformer", "--help").stdout
    assert "Keys of model=xpresso" in default
    assert "pools: [30, 10]" in default
    assert "Keys of model=transformer" in other
    assert "heads: 4" in other
    assert all(f"Keys of {group}" in other for group in ("data=PH", "dataset=demo", "hardware=auto"))


@pytest.mark.parametrize("words", [[], *([command, "--help"] for command in commands.summaries())])
def test_help_fits_80_columns(cli, words):
    found = cli(*words).stdout
    assert [line for line in found.splitlines() if len(line) > 80] == []
    assert "yaml-language-server" not in found


def test_help_shows_what_auto_changes(cli):
    shown = cli("train", "model=fc_net", "data=H", "--help").stdout.partition(
        "What settings=auto changes for this model"
    )[2]
    assert "- name: simulated genes" in shown
    assert "- name: all other data" in shown


def test_version(cli):
    assert cli("--version").stdout == f"genexp {__version__}\n"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["trian"], "did you mean 'train'?"),
        (["train", "modle=xpresso"], "did you mean 'model'?"),
        (["train", "model=xpreso"], "did you mean 'xpresso'?"),
        (["train", "+model.hedas=3", "model=transformer"], "did you mean 'model.heads'?"),
        (["train", "++training.epoch=3"], "did you mean 'training.epochs'?"),
        (["train", "--epochs", "3"], "there is no option --epochs"),
        (["train", "epochs"], "expected: key=value"),
        (["train", "training.batch_size=0"], "expected: at least 1"),
        (["train", "training.epochs=many"], "expected: an integer"),
        (["train", "training.loss=mze"], "did you mean 'mse'?"),
        (["train", "model.filters=[1,2,3]"], "expected: a list of at most 2"),
        (["train", "data.window=[900,100]"], "data.window is empty"),
        (["train", "data.window=[0,99999]"], "the window does not fit the promoters"),
        (["train", "data=T"], "or model=fc_net"),
        (["train", "model=fc_net"], f"blocks of {', '.join(feature_blocks())} only"),
        (["train", "model=fc_net", "data=T", "data.window=[0,100]"], "has no promoter"),
        (["train", "model=divide_et_impera", "data.window=[0,1001]"], "such as 1,000 or 1,010 nt"),
        (["train", "data.window=[900,1000]"], "at least 300 nt"),
        (["train", "dataset=xpresso"], "dataset.root is missing"),
        (["train", "dataset=xpresso", "dataset.root=nowhere"], "dataset.root"),
        (["train", "resume=nowhere"], "this is not a run directory"),
        (["evaluate"], "run_dir is missing"),
        (["evaluate", "run_dir=nowhere"], "this is not a run directory"),
        (["evaluate", "run_dir=x", "checkpoint=bst"], "did you mean 'best'?"),
        (["completion", "tcsh"], "genexp completion bash, zsh or fish"),
        (["train", "model=null"], "there is no model null"),
        (["train", "-m", "seed=range(0)"], "seed has no value"),
        (["train", "hydra.run.dir="], "hydra.run.dir is empty"),
        (["train", "resume="], "resume is empty"),
        (["evaluate", "run_dir="], "run_dir is empty"),
        (["train", "data=HP"], "did you mean 'PH'?"),
        (["train", "+model=transformer"], "leave the + out"),
        (["train", "++experiment=xpresso_PH"], "expected: experiment=xpresso_PH"),
        (["train", "training.learning_rate=nan"], "expected: a finite number"),
        (["train", "model=transformer", "model.chunk=700"], "at least 700 nt"),
        (["embed", "-m", "out=vectors", "k=2,3"], "'out=vectors-${k}'"),
        (["train", "resume=nowhere", "model.embedding=counts"], "a resumed run keeps its own settings"),
        (["train", "model=transformer", "model.embedding.subsample=2"], "at most 1"),
        (["train", "model=transformer", "model.chunk=2"], "a chunk is shorter than one k-mer"),
        (["train", "--resolve"], "--resolve goes with --cfg"),
        (["train", "+model._target_=os.system"], "must not name code"),
        (["train", "hydra.launcher._target_=os.system"], "must not name code"),
    ],
)
def test_errors_are_one_message_and_exit_2(cli, tmp_path, words, said):
    done = cli(*words, cwd=tmp_path)
    assert done.returncode == 2, done.stderr
    assert said in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stderr.count("error:") == 1
    assert list(tmp_path.iterdir()) == [], "nothing may be left behind"


def test_hydras_own_information_can_be_asked_for(genexp):
    """In a process of its own: Hydra configures the logging of the whole process for it."""
    done = genexp("train", "--info", "defaults", "model=biolstm")
    assert done.returncode == 0, done.stderr
    assert "model/biolstm" in done.stdout


def test_verbose_shows_the_traceback(cli, tmp_path):
    done = cli("train", "dataset=xpresso", "dataset.root=nowhere", "hydra.verbose=true", cwd=tmp_path)
    assert done.returncode == 2
    assert "Traceback" in done.stderr


@pytest.mark.parametrize("words", [["--help"], ["train", "--help"], ["train", "--cfg", "job"], ["train", "modle=x"]])
def test_answers_without_tensorflow_and_at_once(tmp_path, words):
    code = (
        "import sys, genexp.cli; code = genexp.cli.main(sys.argv[1:]); "
        "heavy = {'tensorflow', 'keras', 'h5py', 'gensim', 'scipy', 'matplotlib'} & set(sys.modules); "
        "sys.exit(f'imported {heavy}' if heavy else 0)"
    )
    before = os.times()
    done = subprocess.run(
        [sys.executable, "-c", code, *words], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    # Seconds of CPU: under 1 s of time on a quiet machine, which a test machine is not.
    after = os.times()
    assert after.children_user + after.children_system - before.children_user - before.children_system < 2


def test_cfg_prints_a_config_that_validates(cli):
    import yaml

    from genexp.api.training import TrainConfig
    from genexp.config.validation import validate

    done = cli("train", "--cfg", "job", "model=divide_et_impera", "data=PHT", "dataset=files", "dataset.root=x")
    config = validate(yaml.safe_load(done.stdout), TrainConfig, "--cfg")
    assert (config.model.name, config.data.name, config.training.milestone) == ("divide_et_impera", "PHT", 70)


def test_too_little_memory_is_a_user_error(monkeypatch, capsys):
    def too_much(words):
        raise MemoryError("Unable to allocate 23.8 GiB")

    monkeypatch.setattr(program, "dispatch", too_much)
    assert program.main(["train"]) == 2
    error = capsys.readouterr().err
    assert "23.8 GiB" in error
    assert "hint:" in error


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EROFS, errno.EACCES])
def test_a_place_that_cannot_be_written_is_a_user_error(monkeypatch, capsys, number):
    def unwritable(words):
        raise OSError(number, os.strerror(number), "/full/report.html")

    monkeypatch.setattr(program, "dispatch", unwritable)
    assert program.main(["report"]) == 2
    error = capsys.readouterr().err
    assert "/full/report.html" in error
    assert os.strerror(number) in error
    assert "bug" not in error


def test_an_unexpected_error_is_exit_1_and_called_a_bug(monkeypatch, capsys):
    monkeypatch.setattr(program, "dispatch", lambda words: 1 / 0)
    assert program.main(["train"]) == 1
    assert "this is a bug in genexp" in capsys.readouterr().err


def test_an_interrupt_is_exit_130(monkeypatch):
    def interrupt(words):
        raise KeyboardInterrupt

    monkeypatch.setattr(program, "dispatch", interrupt)
    assert program.main(["train"]) == 130


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_scripts_ask_genexp(cli, shell):
    done = cli("completion", shell)
    assert done.returncode == 0
    assert "genexp completion words --" in done.stdout


@pytest.mark.parametrize(
    ("line", "offered"),
    [
        (["genexp", "tr"], ["train"]),
        (["genexp", "train", "model=x"], ["model=xpresso"]),
        (["genexp", "train", "training.mil"], ["training.milestone=", "training.milestone_factor="]),
        (["genexp", "train", "model=transformer", "model.he"], ["model.heads="]),
        (["genexp", "train", "experiment=transformer_PH", "model.he"], ["model.heads="]),
        (["genexp", "completion", "f"], ["fish"]),
    ],
)
def test_completion_offers_commands_options_and_keys(line, offered):
    from genexp.commands.completion import candidates

    assert candidates(line) == offered


def test_bash_completion_works_in_bash(genexp, tmp_path):
    script = genexp("completion", "bash").stdout
    (tmp_path / "genexp").write_text(f'#!/bin/sh\nexec "{sys.executable}" -m genexp "$@"\n')
    (tmp_path / "genexp").chmod(0o755)
    asked = f"""{script}
PATH="{tmp_path}:$PATH"
COMP_LINE="genexp train model=xp" COMP_POINT=21
COMP_WORDS=(genexp train model = xp) COMP_CWORD=4
_genexp 2>/dev/null
echo "${{COMPREPLY[@]}}"
"""
    done = subprocess.run(["bash", "-c", asked], capture_output=True, text=True, check=False)
    assert done.stdout.strip() == "xpresso"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["train", "seed=0,1"], "genexp train -m seed=0,1"),
        (["compare", "runs=a,b"], "hint: runs=[a,b]"),
        (["train", "training.learning_rate=inf"], "expected: a finite number"),
        (["train", "~model"], "model cannot be removed"),
        (["train", "hydra.run.dri=x"], "did you mean 'hydra.run.dir'?"),
        (["train", "training.epochs=${nowhere}"], "training.epochs cannot be resolved"),
        (["train", "--config-dir", "nowhere"], "the folder is missing"),
        (["train", "hydra.run.dir=/dev/full"], "the run directory is a file"),
        (["train", "experiment=xpresso_PH", "model.heads=2"], "there is no key model.heads"),
        (["train", "-m", "model=transformer,biolstm", "model.heads=2"], "there is no key model.heads"),
        (["train", "-m", "experiment=null,xpresso_PH"], "there is no experiment null"),
        (["train", "model=transformer", "model.embedding.kinds=counts"], "did you mean 'model.embedding.kind'?"),
    ],
)
def test_more_errors_are_reported_before_anything_starts(cli, tmp_path, words, said):
    test_errors_are_one_message_and_exit_2(cli, tmp_path, words, said)


def test_broken_yaml_of_the_users_own_is_told_with_its_place(cli, tmp_path):
    (tmp_path / "experiment").mkdir()
    (tmp_path / "experiment" / "mine.yaml").write_text("a: [\n")
    done = cli("train", "--config-dir", str(tmp_path), "experiment=mine")
    assert done.returncode == 2
    assert "mine.yaml" in done.stderr
    assert "line 2" in done.stderr
    assert "Traceback" not in done.stderr
