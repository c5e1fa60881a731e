"""The documentation: its Python example runs, and the pages of the commands are complete."""

import importlib.util
import re
from pathlib import Path

import pytest

from genexp.evaluation.metrics import METRICS
from genexp.models import names

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"

if not DOCS.is_dir():
    pytest.skip("the documentation is not beside these tests", allow_module_level=True)


@pytest.mark.integration
def test_the_python_example_runs(tmp_path, monkeypatch):
    """The blocks marked ``python`` of docs/python.md, in order and in one namespace."""
    monkeypatch.chdir(tmp_path)
    text = (DOCS / "python.md").read_text(encoding="utf-8")
    blocks = list(re.finditer(r"^```python\n(.*?)^```", text, flags=re.MULTILINE | re.DOTALL))
    assert len(blocks) > 4
    names = {}
    for block in blocks:
        line = text.count("\n", 0, block.start(1))
        exec(compile("\n" * line + block[1], "docs/python.md", "exec"), names)
    assert names["metrics"]["best"]["test"]["n"] == 50


@pytest.fixture(scope="module")
def hooks():
    pytest.importorskip("mkdocs", reason="needs the extra docs")
    spec = importlib.util.spec_from_file_location("docs_hooks", DOCS / "hooks.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_a_table_of_keys_has_types_limits_and_defaults(hooks):
    model = {
        "type": "object",
        "title": "Small",
        "properties": {
            "name": {"const": "small"},
            "sizes": {"type": "array", "minItems": 2, "maxItems": 2, "items": {"type": "integer", "minimum": 1}},
        },
    }
    schema = {
        "properties": {
            "rate": {"type": "number", "exclusiveMinimum": 0, "description": "a | b"},
            "kind": {"anyOf": [{"enum": ["x", "y"]}, {"type": "null"}]},
            "model": {"anyOf": [{"$ref": "#/$defs/Small"}, {"type": "null"}]},
        },
        "$defs": {"Small": model},
    }
    lines = "\n".join(hooks.tables(schema, {"rate": 0.5, "kind": None, "model.sizes": [1, 2]}))
    assert "| `rate` | `0.5` | number, above 0 | a &#124; b |" in lines
    assert "| `kind` | `null` | `x`, `y` or null |  |" in lines
    assert "### `model=small`" in lines
    assert "| `model.sizes` | `[1, 2]` | list of 2: integer, at least 1 |  |" in lines


@pytest.mark.integration
def test_every_command_has_a_page_with_its_keys(hooks):
    from genexp import commands

    for name, summary in commands.summaries().items():
        assert f"# genexp {name}" in hooks.command_page(name, summary)
    page = hooks.command_page("train", "")
    assert "| `training.learning_rate` | `0.0005` | number, above 0 |" in page
    assert "### `model=transformer`" in page
    assert "| `model.heads` | `4` | integer, at least 1 |" in page


def test_the_readme_has_every_model():
    table = (ROOT / "README.md").read_text("utf-8").partition("| model | input |")[2].partition("\n\n")[0]
    assert sorted(re.findall(r"^\| `(\w+)` \|", table, re.MULTILINE)) == names()


def test_the_page_of_formats_has_every_metric():
    described = "\n".join(re.findall(r"^\| (`.*?) \|", (DOCS / "formats.md").read_text("utf-8"), re.MULTILINE))
    assert METRICS.keys() <= set(re.findall(r"`(\w+)`", described))


@pytest.mark.parametrize("path", sorted({*ROOT.glob("*.md"), *DOCS.rglob("*.md")}), ids=lambda path: path.name)
def test_lines_of_text_are_at_most_140_characters_long(path):
    """So that a change of one sentence is a change of few lines; tables and commands cannot be broken."""
    text = re.sub(r"^```.*?^```", "", path.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    assert [line for line in text.splitlines() if len(line) > 140 and not line.startswith(("|", "!["))] == []
