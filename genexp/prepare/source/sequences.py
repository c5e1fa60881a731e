"""Sequences and their labels in a table, such as a reporter assay's: no genes, no genome, no TSS."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd

from genexp.dataset.genes import NUMBERED
from genexp.errors import UserError
from genexp.features.tokens import N_TOKEN, tokens_from_text
from genexp.memory import check_size
from genexp.prepare.bases import Bases
from genexp.prepare.config import Config, input_files
from genexp.prepare.fasta import read_fasta
from genexp.prepare.genes import GeneNames, RawGenes
from genexp.prepare.ledger import Ledger
from genexp.prepare.opening import few
from genexp.prepare.scale import check_scale, warn_of_scale
from genexp.prepare.sequence_columns import Columns, find_columns, without_numbers
from genexp.prepare.similarity import identical
from genexp.prepare.tables import MISSING, Table, look_at

_SIDES = {"left": "on the left", "right": "on the right", "both": "on both sides"}
#: Rows in memory at a time.
_AT_ONCE = 20_000
#: Letters that become N, and T.
_CODES, _RNA = (np.isin(np.arange(256), list(letters)) for letters in (b"RrYySsWwKkMmBbDdHhVv.-", b"Uu"))


@dataclass(frozen=True)
class Letters:
    """Sequences of any length, as tokens one after the other; how many have U, and how many ambiguity codes or gaps."""

    tokens: np.ndarray
    lengths: np.ndarray
    rna: int = 0
    codes: int = 0


def gather(config: Config, ledger: Ledger) -> RawGenes:
    """Return the sequences that have a label, with their bases."""
    table = without_numbers(look_at(Path(str(config.table)), "table"), config)
    columns = find_columns(table, config)
    if columns.unread:
        ledger.rule("columns not read", few(columns.unread), report=ledger.note, prefix="columns not read: ")
    genes, letters = _read(table, columns, config)
    if table.remarks:
        ledger.rule("table", "; ".join(table.remarks), report=ledger.note, prefix="table: ")
    warn_of_scale(config.expression_scale, genes.labels, [*genes.label_names, table.path.name], ledger)
    ledger.count("in the table", len(genes))
    if config.fasta:
        genes, letters = _from_fasta(genes, Path(config.fasta), ledger)
    genes = replace(genes, promoters=padded(letters, config.pad, table.where))
    _report(letters, config, ledger)
    genes = _with_own_ids(genes, config, table, ledger)
    whole = ~np.isnan(genes.labels).all(axis=1)
    if len(genes.halflife):
        whole &= ~np.isnan(genes.halflife).any(axis=1)
    genes = genes.take(whole)
    ledger.count("with a label", len(genes), "and every feature" if len(genes.halflife) else "")
    return _replicates(genes, config, table, ledger)


def read_bases(config: Config, genes: RawGenes, ledger: Ledger) -> Bases:
    """Return the sequences, which were read with the labels; they have no TSS."""
    return Bases(genes.promoters)


def _read(table: Table, columns: Columns, config: Config) -> tuple[RawGenes, Letters]:
    """Read the rows of the table, and their sequences unless a FASTA file has them."""
    table.check_rows()
    kinds = {kind: columns.one(kind) for kind in ("sequence", "id", "split")}
    texts = [name for name in kinds.values() if name is not None]
    labels, features = columns.by_kind["label"], columns.by_kind["features"]
    cells: dict[str, list[str]] = {kind: [] for kind in kinds}
    numbers, letters, places = [], [], []
    for line, rows in table.chunks(_AT_ONCE, texts):
        for kind, name in kinds.items():
            if name is not None:
                new = rows[name].where(~rows[name].isin(MISSING), "").tolist()
                cells[kind] += new if kind != "sequence" else []
                if kind == "sequence":
                    letters.append(_letters(new, table, name, (rows.index + table.first_line).tolist()))
        numbers.append(table.numbers(rows, [*labels, *features], line))
        places.append(rows.index.to_numpy())
    values = np.concatenate(numbers)
    ids = cells["id"] if kinds["id"] is not None else [NUMBERED.format(n) for n in range(1, len(values) + 1)]
    check_scale(config, values[:, : len(labels)], table, labels, pd.Series(ids, np.concatenate(places)))
    unit = labels[0] if len(labels) == 1 else "value"
    genes = RawGenes(GeneNames(np.array(ids)), values[:, : len(labels)], tuple(labels), unit)
    if features:
        own, logged = values[:, len(labels) :], (False,) * len(features)
        genes = replace(genes, halflife=own, halflife_names=tuple(features), halflife_logged=logged)
    if kinds["split"] is not None:
        genes = replace(genes, split=np.array(cells["split"]), split_column=kinds["split"])
    return genes, _together(letters)


def _letters(texts: Sequence[str], table: Table, column: str, lines: Sequence[int]) -> Letters:
    """Return sequences as tokens; raise a UserError for the first that is empty or holds something else than bases.

    `lines` are the lines of the table's first row and of those up to each sequence.
    """
    lengths = np.fromiter(map(len, texts), np.int64, len(texts))
    for row in np.flatnonzero(lengths == 0)[:1]:
        raise table.bad_cell("a sequence is empty", column, lines[row], "?", "bases", "nothing", "remove the row")
    whole = "".join(texts)
    try:
        tokens = tokens_from_text(whole)
    except ValueError:
        for row, text in enumerate(texts):
            try:
                tokens_from_text(text)
            except ValueError as error:
                what, expected = "a sequence holds something other than bases", "A C G T U N, or ambiguity codes"
                hint = "correct or remove the row"
                raise table.bad_cell(what, column, lines[row], text[:20], expected, error, hint) from None
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
    for record in read_fasta(path):
        number += 1
        if record.name in wanted:
            found[record.name] = tokens_from_text(record.bases)
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
        others = f", and {len(values) - 4:,} other lengths, up to {longest:,} nt" if len(values) > 4 else ""
        hint = "add pad=right (N after the shorter ones), pad=left or pad=both; or leave some out"
        raise UserError("the sequences differ in length", where=where, received=counts + others, hint=hint)
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


def _with_own_ids(genes: RawGenes, config: Config, table: Table, ledger: Ledger) -> RawGenes:
    """Return sequences each with an id of its own: that of the table, else its number where no key needs the ids.

    The rows of one sequence may share an id if they are averaged.
    """
    ids, first = genes.names.ids.tolist(), dict[str, int]()
    means = config.replicates == "mean"
    for row, name in enumerate(ids):
        other = first.setdefault(name, row)
        if name and (other == row or (means and (genes.promoters[row] == genes.promoters[other]).all())):
            continue
        where = f"{table.where}, rows {other + table.first_line:,} and {row + table.first_line:,}"
        what = f"id {name} occurs twice" if name else "a row has no id"
        named = config.table_columns and config.table_columns.id
        if named or config.fasta or not input_files(config).keys() <= {"table"}:
            hint = "correct the ids, or add replicates=mean if they stand for one sequence"
            raise UserError(what, where=where if name else f"{table.where}, row {row + table.first_line:,}", hint=hint)
        ledger.rule("ids", f"{what}: the sequences are called seq1, seq2, ... instead", report=ledger.note)
        numbers = np.array([NUMBERED.format(n) for n in range(1, len(ids) + 1)])
        return replace(genes, names=GeneNames(numbers))
    return genes


def _replicates(genes: RawGenes, config: Config, table: Table, ledger: Ledger) -> RawGenes:
    """Average the rows of a sequence where that is asked for, else count them; count reverse complements."""
    same = identical(genes.promoters)
    _, first, group, number = np.unique(same, return_index=True, return_inverse=True, return_counts=True)
    repeated = int(number[number > 1].sum())
    if repeated and config.replicates == "mean":
        genes = _averaged(genes, first, group, table)
        ledger.count("different sequences", len(genes), f"means of {repeated:,} rows that share a sequence")
    elif repeated:
        sentence = f"{repeated:,} rows share a sequence with another; replicates=mean averages them"
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
        found: np.ndarray = np.divide(sums[0], sums[1], out=np.full(sums[0].shape, np.nan), where=sums[1] > 0)
        return found

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
