"""The commands of docs/data run, on small files of the documented form, and on the real ones where they are at hand."""

import os
import re
import shlex
from pathlib import Path

import documented_files as files
import pytest

DOCS = Path(__file__).parents[1] / "docs" / "data"
REAL = os.environ.get("GENEXP_REAL_DATA")

if not DOCS.is_dir():
    pytest.skip("the documentation is not beside these tests", allow_module_level=True)


def blocks():
    """Yield the blocks of commands of every page, named by their page and the folder that they write."""
    for page in sorted(DOCS.glob("*.md")):
        for found in re.findall(r"^```bash\n(.*?)^```", page.read_text("utf-8"), flags=re.MULTILINE | re.DOTALL):
            name = re.search(r"datasets/(\w+)", found)
            if "genexp prepare" in found and name:
                yield pytest.param(name[1], found, id=f"{page.stem}-{name[1]}")


BLOCKS = list(blocks())


def commands(block):
    """Return the words of each command of a block."""
    return [shlex.split(text) for text in re.split(r"\n(?=genexp )", block.strip().replace("\\\n", " "))]


def key(name, word):
    """Return the name of a file in the tables of `documented_files`."""
    path = word.partition("=")[2]
    return f"{name}/{path}" if f"{name}/{path}" in files.MADE else path


def run_block(cli, name, block, folder, put, train=True):
    for _, command, *words in commands(block):
        if command == "train" and not train:
            continue
        for word in words if command == "prepare" else ():
            if key(name, word) in files.MADE:
                path = folder / word.partition("=")[2]
                if not path.exists():
                    put(path, key(name, word))
        if command == "train":
            words += ["training.epochs=1", "training.restarts=0", "hydra.run.dir=run"]
        done = cli(command, *words, cwd=folder)
        assert done.returncode in (0, 2) if command == "train" else done.returncode == 0, done.stderr
        if done.returncode == 2:  # one epoch of a network may be a constant; anything else is wrong
            assert "collapsed" in done.stderr
    return done.stdout


def test_every_page_has_commands():
    assert {page.id.partition("-")[0] for page in BLOCKS} == {"genome", "tables", "sequences", "xpresso"}
    named = {key(block.values[0], word) for block in BLOCKS for words in commands(block.values[1]) for word in words}
    assert set(files.MADE) <= named


@pytest.mark.integration
@pytest.mark.parametrize(("name", "block"), BLOCKS)
def test_the_commands_run_on_small_files(cli, tmp_path, name, block):
    run_block(cli, name, block, tmp_path, lambda path, known: files.write(path, files.MADE[known]()))


def is_real(block):
    name, text = block.values
    known = {key(name, word) for words in commands(text) for word in words} & set(files.MADE)
    return known <= set(files.REAL)


@pytest.mark.integration
@pytest.mark.skipif(not REAL, reason="GENEXP_REAL_DATA names no folder with real data")
@pytest.mark.parametrize(("name", "block"), [block for block in BLOCKS if is_real(block)])
def test_the_commands_run_on_the_real_files(cli, tmp_path, name, block):
    def link(path, known):
        files.link_real(path, Path(REAL) / files.REAL[known])

    run_block(cli, name, block, tmp_path, link, train=False)  # the test above trains, and takes seconds
