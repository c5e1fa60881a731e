"""Which column of a table of sequences is what: by its heading, or by the keys that name it."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from genexp.config.words import spelled
from genexp.errors import UserError, nearest
from genexp.prepare.config import Config
from genexp.prepare.opening import few
from genexp.prepare.row_numbers import without_row_numbers
from genexp.prepare.tables import Table, headings, text_columns

#: Headings of each kind of column, as `plain` spells them.
HEADINGS = {
    "sequence": (
        *("sequence", "seq", "dna", "dna_sequence", "nucleotide_sequence", "nt_sequence", "rna", "rna_sequence"),
        *("oligo_sequence", "promoter_sequence", "enhancer_sequence", "element_sequence", "insert_sequence"),
    ),
    "label": ("label", "expression", "activity", "y"),
    "split": ("split", "partition"),
    "id": (
        *("id", "ids", "name", "names", "gene", "gene_id", "seq_id", "seqid", "sequence_id", "sequence_name", ""),
        *("oligo", "oligo_id", "element", "element_id", "insert_id", "variant_id", "construct", "construct_id"),
    ),
    "features": (),
}
_FOLDS = ("fold", "folds")
#: What a sequence looks like, in a heading or in a column that is to be named.
_BASES = re.compile(r"[ACGTUN]{8,}", re.IGNORECASE)


@dataclass(frozen=True)
class Columns:
    """The columns of a table by kind (see `HEADINGS`), and those that are not read."""

    by_kind: Mapping[str, list[str]]
    unread: list[str]

    def one(self, kind: str) -> str | None:
        """Return the column of a kind of which there is at most one."""
        return next(iter(self.by_kind[kind]), None)


def without_numbers(table: Table, config: Config) -> Table:
    """Return the table without first columns that count its rows and are not called ids."""
    first, named = plain(table.columns[0]), [name for names in _named(config).values() for name in names]
    if first and first in HEADINGS["id"]:
        return table
    others = {*HEADINGS["id"], *(HEADINGS["sequence"] if first else ())} - {""}
    return without_row_numbers(table, lambda heading: plain(heading) in others, named)


def find_columns(table: Table, config: Config) -> Columns:
    """Return the columns of each kind: as the keys say, else by their headings; ask for what is not clear."""
    if any(map(_BASES.fullmatch, table.columns)):
        raise table.no_header(["sequence", "label"])
    named = _named(config)
    for kind, names in named.items():
        for name in names:
            if name not in table.columns:
                where, received = f"{kind}, {table.where}", f"columns {headings(table.columns)}"
                hint = nearest(name, table.columns) or None
                raise UserError(f"there is no column {name}", where=where, received=received, hint=hint)
    given = [name for names in named.values() for name in names]
    for name in given:
        if given.count(name) > 1:
            where = f"label, table_columns, split.column; {table.where}"
            raise UserError(f"column {name} is named twice", where=where, hint="name it once")
    known = HEADINGS | ({"split": _FOLDS} if config.split.folds else {})
    free = [name for name in table.columns if name not in given]
    found = {k: named[k] or [n for n in free if plain(n) in known[k]] for k in HEADINGS}
    if len(found["id"]) > 1:  # besides ids, a column without heading holds the numbers of the rows
        found["id"] = [name for name in found["id"] if name] or found["id"]
    used = [name for names in found.values() for name in names]
    columns = Columns(found, [name for name in free if name not in used])
    _check_clear(table, columns, config, named)
    return columns


def _named(config: Config) -> dict[str, list[str]]:
    """Return the columns that the keys name, by kind."""
    given, own = config.table_columns, not config.split.file
    labels = config.label if isinstance(config.label, list) else [config.label] if isinstance(config.label, str) else []
    named: dict[str, list[str]] = {"label": labels, "features": (given.features if given else None) or []}
    one = {"sequence": given.sequence, "id": given.id, "split": given.split} if given else {}
    one["split"] = (config.split.column if own else None) or one.get("split")
    return {kind: named.get(kind) or [name for name in [one.get(kind)] if name] for kind in HEADINGS}


def _check_clear(table: Table, columns: Columns, config: Config, named: Mapping[str, list[str]]) -> None:
    """Raise a UserError, with keys that read the table, unless each kind has the columns that it needs."""
    found, fasta = columns.by_kind, config.fasta
    lacking = [kind for kind in ("sequence", "label") if not found[kind] and not (kind == "sequence" and fasta)]
    doubt = [kind for kind in HEADINGS if len(found[kind]) > 1 and not named[kind]]
    unread = [name for name in columns.unread if name] if not (config.label or config.table_columns) else []
    if fasta and found["sequence"]:
        what, hint = "the table has sequences, and fasta, too", "leave fasta out"
        raise UserError(what, where=f"fasta, {table.where}", received=f"column {found['sequence'][0]}", hint=hint)
    if fasta and not found["id"]:
        lacking.append("id")
    if not (lacking or doubt or unread):
        return
    what = f"the columns of this table are not all known: {few(unread)}"
    if lacking:
        what = f"no column of this table is known to hold the {lacking[0]}{'s of fasta' if lacking[0] == 'id' else ''}"
    elif doubt:
        what = f"several columns of this table may hold the {doubt[0]}: {', '.join(found[doubt[0]])}"
    expected = f"a heading such as {', '.join(HEADINGS[lacking[0]][:4])}" if lacking else None
    received, hint = f"columns {headings(table.columns)}", _proposal(table, columns, lacking, doubt)
    raise UserError(what, where=table.where, expected=expected, received=received, hint=hint)


def _proposal(table: Table, columns: Columns, lacking: Sequence[str], doubt: Sequence[str]) -> str:
    """Return a hint with keys that read the table."""
    found = columns.by_kind
    _, head = next(table.chunks())
    texts = text_columns(head)
    free = [name for name in table.columns if name in (*columns.unread, *found["id"])]
    sequences = [name for name in free if name in texts and head[name].astype(str).str.fullmatch(_BASES).all()]
    named = {kind: found[kind][0] for kind in doubt if kind != "label"}
    if "sequence" in lacking:
        if not sequences:
            return "no column holds bases: add fasta=FILE with the sequences of the ids"
        named["sequence"] = sequences[0]
    if "id" in lacking:
        named["id"] = next((name for name in columns.unread if name in texts), columns.unread[0])
    numbers = [name for name in columns.unread if name not in (*texts, *named.values())]
    labels = found["label"][:1] or numbers
    if not labels:
        return "no column holds numbers: add one with the labels"
    words = [spelled("table_columns", named)] if named else []
    words.append(spelled("label", labels if len(labels) > 1 else labels[0]))
    if lacking or doubt:
        return f"name what is to be read: {' '.join(words)}"
    use = "split.column=NAME" + (f" or {spelled('table_columns', {'features': numbers})}" if numbers else "")
    return f"{' '.join(words)} leaves the others out; {use} uses them"


def plain(name: str) -> str:
    """Return a heading in lower case, with one underscore for what is no letter or digit."""
    return re.sub(r"[^a-z0-9]+", "_", name.lower()).strip("_")
