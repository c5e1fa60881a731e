"""Which tests ``pytest -m unit`` runs: those that start neither TensorFlow nor a process.

The rule reads the source, so that files without unit tests need not be imported. A test is a unit test unless

- its file imports at the top TensorFlow, Keras, or a module of ``genexp/`` or ``tests/`` that imports these anywhere
  but for the type checker, or that imports at the top a module that does so at the top, and so on;
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

#: Where tests find modules that they share, beside their own folder.
TESTS = Path(__file__).parent

HEAVY = frozenset({"subprocess", "multiprocessing", "genexp", "genexp.api", "genexp.cli"})
HEAVY_FIXTURES = frozenset({"genexp", "cli", "finished_run", "published_run"})


def imported(node: ast.AST) -> dict[str, str]:
    """Return the names that an import statement binds, each with the dotted name of what it stands for."""
    if isinstance(node, ast.Import):
        return {alias.asname or alias.name.split(".")[0]: alias.name for alias in node.names}
    if isinstance(node, ast.ImportFrom) and node.module:
        return {alias.asname or alias.name: f"{node.module}.{alias.name}" for alias in node.names}
    return {}


def is_tensorflow(name: str) -> bool:
    """Tell whether a dotted name is of TensorFlow or Keras."""
    return name.split(".")[0] in ("tensorflow", "keras")


@cache
def all_imports(source: Path, *, functions: bool) -> frozenset[str]:
    """Return the dotted names that a file imports, inside functions too if asked for, but not for the type checker."""
    todo: list[ast.AST] = [ast.parse(source.read_bytes())]
    found: set[str] = set()
    while todo:
        node = todo.pop()
        found.update(imported(node).values())
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            todo.extend(node.orelse)
        elif functions or not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            todo.extend(ast.iter_child_nodes(node))
    return frozenset(found)


def files_of(name: str, folder: Path) -> list[Path]:
    """Return the files that importing a dotted name runs, the innermost first; none for other packages."""
    parts = name.split(".")
    bases = [SOURCE] if parts[0] == "genexp" else [folder, TESTS]
    places = [base.joinpath(*parts[:n]) for base in bases for n in range(len(parts), 0, -1)]
    files = (file for place in places for file in (place.with_suffix(".py"), place / "__init__.py"))
    return [file for file in files if file.is_file() and file.stem != "conftest"]


@cache
def starts_tensorflow(source: Path) -> bool:
    """Tell whether importing a file imports TensorFlow or Keras, itself or through a module that it imports."""
    todo, seen = [source], {source}
    while todo:
        file = todo.pop()
        names = all_imports(file, functions=False)
        if any(map(is_tensorflow, names)):
            return True
        new = {found for name in names for found in files_of(name, file.parent)} - seen
        seen |= new
        todo.extend(new)
    return False


def needs_tensorflow(name: str, folder: Path) -> bool:
    """Tell whether a dotted name is of TensorFlow or Keras, or of a module that imports them."""
    files = files_of(name, folder)
    inside = bool(files) and any(map(is_tensorflow, all_imports(files[0], functions=True)))
    return is_tensorflow(name) or inside or any(map(starts_tensorflow, files))


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
