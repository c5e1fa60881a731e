"""The built wheel: conf/ travels inside, and the console script works from any folder."""

import json
import os
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

import pytest
from conftest import QUICK

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def script(tmp_path_factory):
    """The console script of the installed wheel, in an environment that borrows this one's dependencies."""
    folder = tmp_path_factory.mktemp("wheel")
    build = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation"]
    subprocess.run([*build, "--wheel-dir", str(folder), str(ROOT)], check=True, capture_output=True, text=True)
    venv.create(folder / "env", with_pip=False)
    site = next((folder / "env" / "lib").glob("python*")) / "site-packages"
    (site / "borrowed.pth").write_text(sysconfig.get_path("purelib"))
    wheel = next(folder.glob("genexp-*.whl"))
    install = [sys.executable, "-m", "pip", "--python", str(folder / "env" / "bin" / "python"), "install", "--quiet"]
    subprocess.run(
        [*install, "--no-deps", "--ignore-installed", str(wheel)], check=True, capture_output=True, text=True
    )
    return folder / "env" / "bin" / "genexp"


def run(*words, cwd):
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    return subprocess.run(words, cwd=cwd, env=environment, capture_output=True, text=True, check=False)


def test_the_wheel_is_what_runs(script, tmp_path):
    code = "import genexp, genexp.config.conf as conf; print(genexp.__file__, conf.CONF_DIR)"
    done = run(script.parent / "python", "-c", code, cwd=tmp_path)
    module, conf = (Path(word) for word in done.stdout.split())
    assert module.is_relative_to(script.parents[1]), done.stderr
    assert conf == module.parent / "conf"
    assert (module.parent / "py.typed").is_file()
    assert not (module.parents[1] / "tests").exists()


def test_help_and_config_from_any_folder(script, tmp_path):
    assert run(script, "--version", cwd=tmp_path).stdout.startswith("genexp ")
    assert "divide_et_impera" in run(script, "train", "--help", cwd=tmp_path).stdout
    assert "learning_rate" in run(script, "train", "--cfg", "job", cwd=tmp_path).stdout
    assert list(tmp_path.iterdir()) == []


def test_train_and_evaluate(script, tmp_path, xpresso_root):
    """Both in one process: importing TensorFlow twice would double the time of this test."""
    code = "import sys; from genexp.cli import main; sys.exit(main(sys.argv[1:]) or main(['evaluate', 'run_dir=run']))"
    words = ["train", "dataset=xpresso", f"dataset.root={xpresso_root}", "hydra.run.dir=run", *QUICK]
    done = run(script.parent / "python", "-c", code, *words, "training.epochs=1", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert json.loads((tmp_path / "run" / "metrics.json").read_text())["status"] == "completed"
    assert "to the last digit" in done.stdout, done.stderr
