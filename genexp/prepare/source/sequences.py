"""Sequences and their labels in a table, such as a reporter assay's: no genes, no genome, no TSS."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from pathlib import Path

import numpy as np

from genexp.config.words import spelled
from genexp.errors import UserError, nearest
from genexp.features.tokens import N_TOKEN, tokens_from_text
from genexp.memory import check_size
from genexp.prepare.bases import Bases
from genexp.prepare.config import Config
from genexp.prepare.fasta import read_fasta
from genexp.prepare.genes import GeneNames, RawGenes
from genexp.prepare.ledger import Ledger
from genexp.prepare.opening import few
from genexp.prepare.similarity import identical
from genexp.prepare.tables import Table, look_at, text_columns

#: Headings of each kind of column, as `_plain` spells them.
HEADINGS = {
    "sequence": ("sequence", "seq", "dna", "dna_sequence", "nucleotide_sequence", "nt_sequence", "rna", "rna_sequence")
    + ("oligo_sequence", "promoter_sequence", "enhancer_sequence", "element_sequence", "insert_sequence"),
    "label": ("label", "expression", "activity", "y"),
    "split": ("split", "partition"),
    "id": ("id", "ids", "name", "names", "gene", "gene_id", "seq_id", "seqid", "sequence_id", "sequence_name")
    + ("oligo", "oligo_id", "element", "element_id", "insert_id", "variant_id", "construct", "construct_id", ""),
    "features": (),
}
_FOLDS = ("fold", "folds")
#: What a sequence looks like, in a heading or in a column that is to be named.
_BASES = re.compile(r"[ACGTUN]{8,}", re.IGNORECASE)
_SIDES = {"left": "on the left", "right": "on the right", "both": "on both sides"}
#: Rows in memory at a time.
_AT_ONCE = 20_000
#: Letters that become N, and T.
_CODES, _RNA = (np.isin(np.arange(256), list(letters)) for letters in (b"RrYySsWwKkMmBbDdHhVv.-", b"Uu"))


@dataclass(frozen=True)
class Columns:
    """The columns of a table by kind (see `HEADINGS`), and those that are not read."""

    by_kind: Mapping[str, list[str]]
    unread: list[str]

    def one(self, kind: str) -> str | None:
        """Return the column of a kind of which there is at most one."""
        return next(iter(self.by_kind[kind]), None)


@dataclass(frozen=True)
class Letters:
    """Sequences of any length, as tokens one after the other; how many have U, and how many ambiguity codes or gaps."""

    tokens: np.ndarray
    lengths: np.ndarray
    rna: int = 0
    codes: int = 0


def gather(config: Config, ledger: Ledger) -> RawGenes:
    """Return the sequences that have a label, with their bases."""
    table = look_at(Path(str(config.table)), "table")
    columns = find_columns(table, config)
    if columns.unread:
        ledger.rule("columns not read", few(columns.unread), report=ledger.note, prefix="columns not read: ")
    genes, letters = _read(table, columns)
    ledger.count("in the table", len(genes))
    if config.fasta:
        genes, letters = _from_fasta(genes, Path(config.fasta), ledger)
    genes = replace(genes, promoters=padded(letters, config.pad, table.where))
    _report(letters, config, ledger)
    _check_ids(genes, config, table)
    _check_labels(genes, config, table)
    whole = ~np.isnan(genes.labels).all(axis=1)
    if len(genes.halflife):
        whole &= ~np.isnan(genes.halflife).any(axis=1)
    genes = genes.take(whole)
    ledger.count("with a label", len(genes), "and every feature" if len(genes.halflife) else "")
    return _replicates(genes, config, table, ledger)


def read_bases(config: Config, genes: RawGenes, ledger: Ledger) -> Bases:
    """Return the sequences, which were read with the labels; they have no TSS."""
    return Bases(genes.promoters)


def find_columns(table: Table, config: Config) -> Columns:
    """Return the columns of each kind: as the keys say, else by their headings; ask for what is not clear."""
    if any(map(_BASES.fullmatch, table.columns)):
        raise table.no_header(["sequence", "label"])
    named = _named(config)
    for kind, names in named.items():
        for name in names:
            if name not in table.columns:
                where, received = f"{kind}, {table.where}", f"columns {few(table.columns)}"
                hint = nearest(name, table.columns) or None
                raise UserError(f"there is no column {name}", where=where, received=received, hint=hint)
    given = [name for names in named.values() for name in names]
    for name in given:
        if given.count(name) > 1:
            where = f"label, table_columns, split.column; {table.where}"
            raise UserError(f"column {name} is named twice", where=where, hint="name it once")
    headings = HEADINGS | ({"split": _FOLDS} if config.split.folds else {})
    free = [name for name in table.columns if name not in given]
    found = {k: named[k] or [n for n in free if _plain(n) in headings[k]] for k in HEADINGS}
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
    """Raise a UserError, with keys that read the table, unless each kind that is needed has the columns that it needs."""
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
    expected = f"{(lacking or doubt)[0]}, or another heading that docs/data lists" if lacking else None
    received, hint = f"columns {few(table.columns)}", _proposal(table, columns, lacking, doubt)
    raise UserError(what, where=table.where, expected=expected, received=received, hint=hint)


def _proposal(table: Table, columns: Columns, lacking: Sequence[str], doubt: Sequence[str]) -> str:
    """Return a hint with keys that read the table."""
    found = columns.by_kind
    _, head = next(table.chunks())
    texts = {table.columns[0], *text_columns(head)}
    sequences = [n for n in columns.unread if n in texts and head[n].dropna().astype(str).str.strip().str.fullmatch(_BASES).all()]
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
    return f"name what is to be read: {' '.join(words)}"


def _read(table: Table, columns: Columns) -> tuple[RawGenes, Letters]:
    """Read the rows of the table, and their sequences unless a FASTA file has them."""
    table.check_rows()
    kinds = {kind: columns.one(kind) for kind in ("sequence", "id", "split")}
    texts = [name for name in kinds.values() if name is not None]
    labels, features = columns.by_kind["label"], columns.by_kind["features"]
    cells: dict[str, list[str]] = {kind: [] for kind in kinds}
    numbers, letters = [], []
    for line, rows in table.chunks(_AT_ONCE, texts):
        for kind, name in kinds.items():
            if name is not None:
                new = rows[name].fillna("").astype(str).str.strip().tolist()
                cells[kind] += new if kind != "sequence" else []
                if kind == "sequence":
                    letters.append(_letters(new, table, name, line))
        numbers.append(table.numbers(rows, [*labels, *features], line))
    values = np.concatenate(numbers)
    ids = cells["id"] if kinds["id"] is not None else [f"seq{n}" for n in range(1, len(values) + 1)]
    genes = RawGenes(GeneNames(np.array(ids)), values[:, : len(labels)], tuple(labels), labels[0] if len(labels) == 1 else "value")
    if features:
        unlogged = (False,) * len(features)
        genes = replace(genes, halflife=values[:, len(labels) :], halflife_names=tuple(features), halflife_logged=unlogged)
    if kinds["split"] is not None:
        genes = replace(genes, split=np.array(cells["split"]), split_column=kinds["split"])
    return genes, _together(letters)


def _letters(texts: Sequence[str], table: Table, column: str, line: int) -> Letters:
    """Return sequences as tokens; raise a UserError for the first that is empty or holds something else than bases."""
    lengths = np.fromiter(map(len, texts), np.int64, len(texts))
    for row in np.flatnonzero(lengths == 0)[:1]:
        raise table.bad_cell("a sequence is empty", column, line + row, line + row, "bases", "nothing", "remove the row")
    whole = "".join(texts)
    try:
        tokens = tokens_from_text(whole)
    except ValueError:
        for row, text in enumerate(texts):
            try:
                tokens_from_text(text)
            except ValueError as error:
                what, number = "a sequence holds something other than bases", line + row
                expected, hint = "A C G T U N, or ambiguity codes", "correct or remove the row"
                raise table.bad_cell(what, column, number, text[:20], expected, error, hint) from None
        raise
    raw, starts = np.frombuffer(whole.encode("ascii", "replace"), np.uint8), np.cumsum(lengths) - lengths
    rna, codes = (int((np.add.reduceat(kind[raw], starts) > 0).sum()) for kind in (_RNA, _CODES))
    return Letters(tokens, lengths, rna, codes)


def _together(parts: Sequence[Letters]) -> Letters:
    if not parts:
        return Letters(np.empty(0, np.uint8), np.empty(0, np.int64))
    tokens, lengths = (np.concatenate([getattr(part, name) for part in parts]) for name in ("tokens", "lengths"))
    return Letters(tokens, lengths, sum(part.rna for part in parts), sum(part.codes for part in parts))


def _from_fasta(genes: RawGenes, path: Path, ledger: Ledger) -> tuple[RawGenes, Letters]:
    """Return the rows whose id a FASTA file has, and the sequences of these."""
    wanted, found = set(genes.names.ids.tolist()), dict[str, np.ndarray]()
    number = 0
    for name, parts in groupby(read_fasta(path), lambda stretch: stretch.chromosome):
        number += 1
        if name in wanted:
            found[name] = np.concatenate([part.tokens for part in parts])
    there = np.array([name in found for name in genes.names.ids.tolist()], bool)
    if not there.any():
        what, expected = "no id of the table is in this FASTA file", f"ids as {few(genes.names.ids, 3)}"
        hint = "the id is the first word of a header: name the column that has it with table_columns={id: ...}"
        raise UserError(what, where=f"fasta={path}", expected=expected, received=f"{number:,} others", hint=hint)
    genes = genes.take(there)
    ledger.count("with a sequence", len(genes), f"{number - len(found):,} of {number:,} sequences have no row")
    sequences = [found[name] for name in genes.names.ids.tolist()]
    lengths = np.fromiter(map(len, sequences), np.int64, len(sequences))
    for row in np.flatnonzero(lengths == 0)[:1]:
        hint = "remove it from the table"
        raise UserError("a sequence is empty", where=f"fasta={path}", received=f">{genes.names.ids[row]}", hint=hint)
    return genes, Letters(np.concatenate(sequences), lengths)


def padded(letters: Letters, pad: str | None, where: str) -> np.ndarray:
    """Return (n, length) uint8 tokens, those that are shorter with N on a side; or refuse lengths that differ."""
    lengths, longest = letters.lengths, int(letters.lengths.max())
    check_size(len(lengths) * longest, where, "remove the longest sequences")
    if (lengths == longest).all():
        return letters.tokens.reshape(-1, longest)
    if pad is None:
        values, number = np.unique(lengths, return_counts=True)
        most = np.argsort(-number, kind="stable")[:4]
        counts = few([f"{number[n]:,} of {values[n]:,} nt" for n in most], 4)
        received = counts + (f", and {len(values) - 4:,} other lengths, up to {longest:,} nt" if len(values) > 4 else "")
        hint = "add pad=right (N after the shorter ones), pad=left or pad=both; or leave some out"
        raise UserError("the sequences differ in length", where=where, received=received, hint=hint)
    tokens = np.full((len(lengths), longest), N_TOKEN, np.uint8)
    before = {"left": longest - lengths, "right": 0 * lengths, "both": (longest - lengths) // 2}[pad]
    ends = np.cumsum(lengths)
    for row, (left, length, end) in enumerate(zip(before.tolist(), lengths.tolist(), ends.tolist(), strict=True)):
        tokens[row, left : left + length] = letters.tokens[end - length : end]
    return tokens


def _report(letters: Letters, config: Config, ledger: Ledger) -> None:
    """Say what was read as T or N, and how the sequences were padded."""
    if letters.rna:
        ledger.rule("RNA", f"{letters.rna:,} sequences have U, which is read as T", report=ledger.note)
    if letters.codes:
        sentence = f"{letters.codes:,} sequences have ambiguity codes or gaps, which are read as N"
        ledger.rule("ambiguity codes", sentence, report=ledger.note)
    shortest, longest = int(letters.lengths.min()), int(letters.lengths.max())
    if shortest < longest:
        sentence = f"sequences of {shortest:,} to {longest:,} nt, padded with N {_SIDES[str(config.pad)]}"
        ledger.rule("padding", sentence, report=ledger.note)


def _check_ids(genes: RawGenes, config: Config, table: Table) -> None:
    """Raise a UserError for a row without id, and for an id that occurs twice, unless its rows are averaged."""
    ids, first = genes.names.ids.tolist(), dict[str, int]()
    mean = config.replicates == "mean"
    for row, name in enumerate(ids):
        other = first.setdefault(name, row)
        if name and other == row:
            continue
        same = bool((genes.promoters[row] == genes.promoters[other]).all())
        if name and same and mean:
            continue
        what = f"id {name} {'occurs twice' if same else 'stands for two sequences'}" if name else "a row has no id"
        hint = "add replicates=mean, which averages them" if same and name else "give each sequence an id of its own"
        where = f"{table.where}, rows {other + table.first_line:,} and {row + table.first_line:,}"
        raise UserError(what, where=where, received=f"{len(ids) - len(set(ids)):,} rows too many", hint=hint)


def _check_labels(genes: RawGenes, config: Config, table: Table) -> None:
    """Raise a UserError for a label that has no logarithm, where one is to be taken."""
    wrong = np.argwhere(genes.labels < 0) if config.expression_scale == "raw" else np.empty((0, 2), int)
    for row, column in wrong[:1].tolist():
        what, expected = f"{len(wrong):,} labels are negative, and have no logarithm", "at least 0"
        name, value = genes.names.ids[row], f"{genes.labels[row, column]:g}"
        hint = "leave expression_scale out: labels of sequences are then taken as they are"
        raise table.bad_cell(what, genes.label_names[column], row + table.first_line, name, expected, value, hint)


def _replicates(genes: RawGenes, config: Config, table: Table, ledger: Ledger) -> RawGenes:
    """Average the rows of a sequence where that is asked for, else count them; count reverse complements."""
    same = identical(genes.promoters)
    _, first, group, number = np.unique(same, return_index=True, return_inverse=True, return_counts=True)
    repeated = int(number[number > 1].sum())
    if repeated and config.replicates == "mean":
        genes = _averaged(genes, first, group, table)
        ledger.count("different sequences", len(genes), f"means of {repeated:,} rows that share a sequence")
    elif repeated:
        sentence = f"{repeated:,} rows share a sequence with another, and stay together; replicates=mean averages them"
        ledger.rule("replicates", sentence, report=ledger.note)
    else:
        ledger.rule("replicates", "every sequence occurs once")
    turned = _reverse_complements(genes.promoters)
    if turned:
        sentence = f"{turned:,} sequences are the reverse complement of another; they may be in different splits"
        ledger.rule("reverse complements", sentence, report=ledger.note)
    return genes


def _averaged(genes: RawGenes, first: np.ndarray, group: np.ndarray, table: Table) -> RawGenes:
    """Return a row for each group (n,) with the means of its labels and features; `first` is the first of each."""
    if len(genes.split):
        apart = np.flatnonzero(genes.split != genes.split[first][group])
        for row in apart[:1]:
            what, hint = "rows of one sequence are in two splits", "correct the split, or leave replicates=mean out"
            names = f"{genes.names.ids[first[group[row]]]} and {genes.names.ids[row]}"
            where = f"{table.where}, column {genes.split_column}"
            raise UserError(what, where=where, received=f"{names}; {len(apart):,} rows in all", hint=hint)

    def means(values: np.ndarray) -> np.ndarray:
        there, sums = ~np.isnan(values), np.zeros((2, len(first), values.shape[1]))
        np.add.at(sums[0], group, np.where(there, values, 0))
        np.add.at(sums[1], group, there)
        return np.divide(sums[0], sums[1], out=np.full(sums[0].shape, np.nan), where=sums[1] > 0)

    order = np.argsort(first)  # as in the table
    labels, halflife = means(genes.labels)[order], genes.halflife
    kept = genes.take(first[order])
    return replace(kept, labels=labels, halflife=means(halflife)[order] if len(halflife) else halflife)


def _reverse_complements(sequences: np.ndarray) -> int:
    """Return how many of (n, length) tokens are the reverse complement of another that differs from them."""
    complement = np.array([3, 2, 1, 0, N_TOKEN], np.uint8)[sequences[:, ::-1]]
    both = identical(np.concatenate([sequences, complement]))
    own, turned = both[: len(sequences)], both[len(sequences) :]
    return int((np.isin(turned, own) & (turned != own)).sum())


def _plain(name: str) -> str:
    return re.sub(r"[^a-z0-9]+", "_", name.lower()).strip("_")
