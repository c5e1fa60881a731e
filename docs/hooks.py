"""MkDocs hook: one page per command, made from its schema, so that no key is documented twice."""

from __future__ import annotations

import inspect
import io
import json
import re
from collections.abc import Collection, Iterator, Mapping
from contextlib import redirect_stdout
from importlib import import_module
from pathlib import Path
from typing import Any

import yaml
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

from genexp import cli, commands, models
from genexp.blocks import feature_blocks
from genexp.config.json_schema import json_schema
from genexp.prepare.formats import Format, expression, targets

Node = Mapping[str, Any]

LIMITS = (("minimum", "at least"), ("exclusiveMinimum", "above"), ("maximum", "at most"), ("exclusiveMaximum", "below"))


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Add the pages of the commands to the navigation."""
    pages = [{f"genexp {name}": f"commands/{name}.md"} for name in commands.summaries()]
    for section in config.nav or []:
        if "Commands" in section:
            section["Commands"] = pages
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages of the commands."""
    for name, summary in commands.summaries().items():
        files.append(File.generated(config, f"commands/{name}.md", content=command_page(name, summary)))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Fill in the parts of pages that are written elsewhere: a new model or format changes none of them."""
    if page.file.src_uri == "data/tables.md":
        return re.sub("<!-- formats of tables.*-->", lambda _: formats_table(), markdown)
    if page.file.src_uri != "models.md":
        return markdown
    readme = (Path(config.config_file_path).parent / "README.md").read_text(encoding="utf-8")
    table = readme[readme.index("| model | input |") :].partition("\n\n")[0]
    described = "\n\n".join(f"`{name}`\n:   {described_by(name)}" for name in models.names())
    filled = re.sub("<!-- table of models.*-->", lambda _: table, markdown)
    return re.sub("<!-- architectures.*-->", lambda _: described, filled)


def formats_table() -> str:
    """Return a table of every format of tables that is recognised, with its sign."""
    lines = ["| key | format | recognised by | read |", "| --- | --- | --- | --- |"]
    for key, formats in (("`expression`", expression.FORMATS), ("`tf`, `mirna`", targets.FORMATS)):
        for known in formats:
            sign = [f"`{known.mark}` at the beginning"] if known.mark else []
            sign += [", ".join(f"`{heading}`" for heading in known.has)] if known.has else []
            sign += ["its first row; there is no header"] if known.first else []
            cells = key, known.name, "; ".join(sign) or "an id column, and samples alone", read_of(known)
            lines.append("| " + " | ".join(cell.replace("|", "&#124;") for cell in cells) + " |")
    return "\n".join(lines)


def read_of(known: Format) -> str:
    """Return what is read from a format, in words."""
    if isinstance(known, targets.TargetsFormat):
        more = [f"{what} `{name}`" for what, name in (("sign", known.sign), ("score", known.value)) if name]
        return ", ".join([f"factor `{known.factor}`", *more])
    if isinstance(known, expression.ExpressionFormat) and known.refused:
        return f"refused: {known.refused.partition(':')[0]}"
    values = ", ".join(f"`{name}`" for name in getattr(known, "values", ())) or "the samples"
    return values + ("" if getattr(known, "rows", "genes") == "genes" else f"; rows are {known.rows}")


def described_by(model: str) -> str:
    """Return the docstring of a model's module, indented as the text of a definition list."""
    return str(inspect.getdoc(import_module(f"genexp.models.{model}"))).replace("\n", "\n    ")


def command_page(name: str, summary: str) -> str:
    """Return the Markdown page of a command: summary, examples and every key."""
    module = commands.load(name)
    lines = [f"# genexp {name}", "", f"{summary[:1].upper()}{summary[1:]}.", "", "```bash"]
    for words, meaning in module.EXAMPLES:
        lines += [f"# {meaning}", words, ""]
    lines[-1] = "```"
    if hasattr(module, "Config"):
        lines += ["", "## Keys", "", "Given as `KEY=VALUE` on the command line.", "", *keys_of(name)]
    return "\n".join(lines) + "\n"


def keys_of(command: str) -> Iterator[str]:
    """Yield the Markdown tables of a command's keys; each model has tables of its own."""
    schema = json.loads(output_of("schema", command))
    if "model" not in schema["properties"]:
        yield from tables(schema, defaults_of(command))
        return
    words = (command, "dataset=files", "dataset.root=DIR")
    yield "The defaults shown are those of `dataset=files`. The demo genes have training settings of their own."
    yield ""
    yield from tables(schema, defaults_of(*words), without=("experiment", "model"))
    for name in models.names():
        config = models.config_class(name)
        own = json_schema(config)
        node = {"properties": {"model": {"$ref": "#/$defs/model"}}, "$defs": {**own.get("$defs", {}), "model": own}}
        data = [] if config.reads else [f"data={feature_blocks()}"]
        yield from ("", f"### `model={name}`")
        yield from list(tables(node, defaults_of(*words, f"model={name}", *data)))[2:]


def defaults_of(*words: str) -> dict[str, Any]:
    """Return the default of each dotted key."""
    return flat(yaml.safe_load(output_of(words[0], "--cfg", "job", *words[1:])) or {})


def output_of(*words: str) -> str:
    """Return what a command line prints."""
    with redirect_stdout(io.StringIO()) as printed:
        code = cli.main(words)
    if code:
        raise RuntimeError(f"genexp {' '.join(words)} ended with exit code {code}")
    return printed.getvalue()


def flat(values: Node, prefix: str = "") -> dict[str, Any]:
    """Return nested values by dotted key."""
    found: dict[str, Any] = {}
    for key, value in values.items():
        found |= flat(value, f"{prefix}{key}.") if isinstance(value, dict) else {f"{prefix}{key}": value}
    return found


def tables(schema: Node, defaults: Mapping[str, Any], without: Collection[str] = ()) -> Iterator[str]:
    """Yield the Markdown lines of a table of keys for the command itself, and for each of its groups."""
    for title, prefix, node in groups(schema, {**schema, "properties": _left(schema, without)}, ""):
        rows = [row(schema, f"{prefix}{key}", leaf, defaults) for key, leaf in leaves(schema, node)]
        rows = [line for line in rows if not line.startswith(f"| `{prefix}name`")]  # it follows from GROUP=OPTION
        if rows:
            yield from (["", f"### {title}", ""] if title else [])
            yield from ("| key | default | values | meaning |", "| --- | --- | --- | --- |", *rows)


def _left(schema: Node, without: Collection[str]) -> dict[str, Node]:
    return {key: node for key, node in schema["properties"].items() if key not in without}


def groups(schema: Node, node: Node, prefix: str, title: str = "") -> Iterator[tuple[str, str, Node]]:
    """Yield title, prefix and node of each group of keys: the node itself, and the objects in it."""
    yield title, prefix, node
    for key, child in node.get("properties", {}).items():
        for option in alternatives(schema, child):
            if "properties" in option:
                name = option["properties"].get("name", {})
                words = name.get("enum") or ([name["const"]] if "const" in name else [])
                label = f"`{prefix}{key}{'=' if words else ''}{'|'.join(map(str, words))}`"
                yield from groups(schema, option, f"{prefix}{key}.", label)


def leaves(schema: Node, node: Node) -> Iterator[tuple[str, Node]]:
    """Yield the keys of a node that are no groups."""
    for key, child in node.get("properties", {}).items():
        if not any("properties" in option for option in alternatives(schema, child)):
            yield key, child


def alternatives(schema: Node, node: Node) -> list[Node]:
    """Return what a node may be, with references resolved; null is left out."""
    if "$ref" in node:
        return alternatives(schema, schema["$defs"][node["$ref"].rpartition("/")[2]])
    options = node.get("anyOf") or node.get("oneOf")
    if not options:
        return [] if node.get("type") == "null" else [node]
    return [found for option in options for found in alternatives(schema, option)]


def row(schema: Node, key: str, node: Node, defaults: Mapping[str, Any]) -> str:
    """Return the row of one key."""
    default = f"`{json.dumps(defaults[key], ensure_ascii=False)}`" if key in defaults else ""
    kinds = [kind(schema, option) for option in alternatives(schema, node)]
    nullable = any(option.get("type") == "null" for option in node.get("anyOf", []))
    values = " or ".join(dict.fromkeys([*kinds, *(["null"] if nullable else [])]))
    cells = (f"`{key}`", default.replace('`"???"`', "required"), values, node.get("description", ""))
    return f"| {' | '.join(cell.replace('|', '&#124;') for cell in cells)} |"


def kind(schema: Node, node: Node) -> str:
    """Return the values that a leaf takes, in words."""
    if words := node.get("enum") or ([node["const"]] if "const" in node else None):
        return ", ".join(f"`{word}`" for word in words)
    text = {"string": "text", "number": "number", "integer": "integer", "boolean": "`true`, `false`"}.get(
        node.get("type", ""), node.get("type", "any value")
    )
    if node.get("type") == "array":
        inner = " or ".join(kind(schema, option) for option in alternatives(schema, node.get("items", {})))
        lengths = {node.get("minItems", ""), node.get("maxItems", "")}
        return f"list of {lengths.pop()}: {inner}" if len(lengths) == 1 and lengths != {""} else f"list of: {inner}"
    limits = (
        ("minimum", "at least"),
        ("exclusiveMinimum", "above"),
        ("maximum", "at most"),
        ("exclusiveMaximum", "below"),
    )
    return ", ".join([text, *(f"{word} {node[limit]:,}" for limit, word in limits if limit in node)])
