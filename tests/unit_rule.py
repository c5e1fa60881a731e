"""Which tests ``pytest -m unit`` runs: those that start neither TensorFlow nor a process.

The rule reads the source, so that files without unit tests need not be imported. A test is a unit test unless

- its file imports at the top TensorFlow, Keras, or a module of ``genexp/`` or ``tests/`` that imports these anywhere
  but for the type checker;
- its file reads the folder of real data (GENEXP_REAL_DATA);
- it uses, or a function, class or fixture of its file that it uses does, a module of `HEAVY` or a fixture of
  `HEAVY_FIXTURES`.

``@pytest.mark.integration`` excludes a test that the rule does not recognise; the import hook of ``tests/conftest.py``
finds it.
"""

from __future__ import annotations

import ast
from functools import cache
from importlib.util import find_spec
from pathlib import Path

#: The folder with genexp/, which may be an installed wheel.
SOURCE = Path(str(find_spec("genexp").origin)).parents[1]

HEAVY = frozenset({"subprocess", "multiprocessing", "genexp", "genexp.api", "genexp.cli"})
HEAVY_FIXTURES = frozenset({"genexp", "cli", "finished_run", "published_run"})


def imported(node: ast.AST) -> dict[str, str]:
    """Return the names that an import statement binds, each with the dotted name of what it stands for."""
    if isinstance(node, ast.Import):
        return {alias.asname or alias.name.split(".")[0]: alias.name for alias in node.names}
    if isinstance(node, ast.ImportFrom) and node.module:
        return {alias.asname or alias.name: f"{node.module}.{alias.name}" for alias in node.names}
    return {}


@cache
def imports_tensorflow(source: Path) -> bool:
    """Tell whether a module imports TensorFlow or Keras, inside functions too, but not for the type checker alone."""
    todo: list[ast.AST] = [ast.parse(source.read_bytes())]
    while todo:
        node = todo.pop()
        if any(name.split(".")[0] in ("tensorflow", "keras") for name in imported(node).values()):
            return True
        if not (isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"):
            todo.extend(ast.iter_child_nodes(node))
    return False


def needs_tensorflow(name: str, folder: Path) -> bool:
    """Tell whether a dotted name is of TensorFlow or Keras, or of a module that imports them."""
    parts = name.split(".")
    if parts[0] in ("tensorflow", "keras"):
        return True
    base = SOURCE if parts[0] == "genexp" else folder
    places = [base.joinpath(*parts[:n]) for n in (len(parts), len(parts) - 1) if n]
    files = [file for place in places for file in (place.with_suffix(".py"), place / "__init__.py") if file.is_file()]
    return bool(files) and files[0].stem != "conftest" and imports_tensorflow(files[0])


def is_heavy(name: str, folder: Path) -> bool:
    """Tell whether what is imported under a dotted name may start TensorFlow or a process."""
    return name in HEAVY or name.rpartition(".")[0] in HEAVY - {"genexp"} or needs_tensorflow(name, folder)


@cache
def heavy_names(file: Path) -> frozenset[str]:
    """Return the functions and classes of a test file that may start TensorFlow or a process."""
    tree = ast.parse(file.read_bytes())
    heavy = set(HEAVY_FIXTURES)
    for statement in tree.body:
        heavy.update(name for name, origin in imported(statement).items() if is_heavy(origin, file.parent))
    uses: dict[str, set[str]] = {}
    for statement in tree.body:
        if isinstance(statement, ast.FunctionDef | ast.ClassDef):
            nodes = list(ast.walk(statement))
            used = {node.id for node in nodes if isinstance(node, ast.Name)}
            used |= {node.arg for node in nodes if isinstance(node, ast.arg)}
            uses[statement.name] = used
            if any(is_heavy(origin, file.parent) for node in nodes for origin in imported(node).values()):
                heavy.add(statement.name)
    while new := {name for name, used in uses.items() if name not in heavy and used & heavy}:
        heavy |= new
    return frozenset(heavy)


@cache
def unit_tests(file: Path) -> frozenset[str]:
    """Return the test functions and classes of a file that are unit tests."""
    source = file.read_bytes()
    body = ast.parse(source).body
    origins = [origin for node in body for origin in imported(node).values()]
    if b"GENEXP_REAL_DATA" in source or any(needs_tensorflow(origin, file.parent) for origin in origins):
        return frozenset()
    names = {node.name for node in body if isinstance(node, ast.FunctionDef | ast.ClassDef)}
    return frozenset(name for name in names - heavy_names(file) if name.lower().startswith("test"))
