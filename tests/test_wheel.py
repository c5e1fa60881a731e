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
    code = "import genexp, genexp.conf_files; print(genexp.__file__, genexp.conf_files.CONF_DIR)"
    done = run(script.parent / "python", "-c", code, cwd=tmp_path)
    module, conf = done.stdout.split()
    assert Path(module).is_relative_to(script.parents[1]), done.stderr
    assert Path(conf) == Path(module).parent / "conf"


def test_help_and_config_from_any_folder(script, tmp_path):
    assert run(script, "--version", cwd=tmp_path).stdout.startswith("genexp ")
    assert "divide_et_impera" in run(script, "train", "--help", cwd=tmp_path).stdout
    assert "learning_rate" in run(script, "train", "--cfg", "job", cwd=tmp_path).stdout
    assert list(tmp_path.iterdir()) == []


def test_train_and_evaluate(script, tmp_path, xpresso_root):
    words = ["dataset=xpresso", f"dataset.root={xpresso_root}", *QUICK, "training.epochs=1"]
    done = run(script, "train", *words, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    (run_dir,) = (tmp_path / "outputs").glob("*/*")
    assert json.loads((run_dir / "metrics.json").read_text())["status"] == "completed"
    done = run(script, "evaluate", f"run_dir={run_dir}", cwd=tmp_path)
    assert "to the last digit" in done.stdout, done.stderr
