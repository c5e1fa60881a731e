"""The formats of tables that are recognised, as data: one row for each, tried in order.

A format is recognised by headings that it always has, by how the file begins, or by a first row where it has no header.
Headings are compared without case and punctuation, for R and spreadsheets change those (`plain`).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

from genexp.config.words import spelled
from genexp.errors import UserError, nearest
from genexp.prepare.opening import few
from genexp.prepare.tables import Table


def plain(heading: str) -> str:
    """Return a heading without case and punctuation; one of other scripts stays as it is."""
    return re.sub(r"[^a-z0-9]", "", heading.lower()) or heading.strip().casefold()


def plains(*headings: str) -> frozenset[str]:
    """Return the plain forms of headings that are written with spaces between them."""
    return frozenset(plain(heading) for words in headings for heading in words.split())


@dataclass(frozen=True)
class Format:
    """How a table is recognised, and which of its columns are explained without being read.

    All headings of `has` must be there (first and `in_order`, where a tool writes them so), and nothing but those,
    `also` and what a subclass declares. A file without a header is recognised by its `first` row, a regular expression
    of its cells and tabs, and then has `header`.
    """

    name: str
    has: tuple[str, ...] = ()
    also: tuple[str, ...] = ()
    in_order: bool = False
    mark: str = ""
    first: str = ""
    header: tuple[str, ...] = ()

    def fits(self, table: Table) -> bool:
        """Whether a table begins as this format does, and has its headings."""
        if self.first:
            return re.fullmatch(self.first, "\t".join(table.columns)) is not None
        has, there = [plain(name) for name in self.has], [plain(name) for name in table.columns]
        fits = there[: len(has)] == has if self.in_order else set(there).issuperset(has)
        return fits and table.mark.startswith(self.mark)

    def with_header(self, table: Table) -> Table:
        """Return the table with a header, where the file has none."""
        return replace(table, columns=list(self.header), skip=table.skip - 1) if self.first else table

    def columns(self, table: Table, names: Iterable[str]) -> list[str]:
        """Return the columns of a table that have these headings, in the order of the headings."""
        by_name = {plain(name): name for name in table.columns}
        return [by_name[plain(name)] for name in names if plain(name) in by_name]


F = TypeVar("F", bound=Format)


def recognised(table: Table, formats: Sequence[F]) -> F | None:
    """Return the first format that fits."""
    return next((format for format in formats if format.fits(table)), None)


#: Headings of columns with ids or names of genes.
IDS = plains(
    "gene genes gene_id gene_ids geneidentifier ensembl ensembl_id ensembl_gene ensembl_gene_id ensg ensg_id ensgene",
    "ensemblid_gene gene_stable_id gene_stable_id_version ensid id ids name names rowname rownames row.names unnamed:0",
    "index locus locus_tag old_locus_tag gene_locus orf orf_name systematic_name standard_name tracking_id target_id",
    "symbol gene_symbol gene_symbols hgnc_symbol mgi_symbol external_gene_name gene_name",
    "gene_short_name gene_names approved_symbol",
    "entrez entrez_id entrezid entrez_gene entrezgene entrez_gene_id entrezgene_id ncbi_gene_id ncbi_geneid ncbigene",
    "ncbi_gene_formerly_entrezgene_id hgnc hgnc_id mgi_id rgd_id zfin_id flybase_id fbgn wormbase_id wbgene_id sgd_id",
    "sgdid tair_id tair agi agi_code bnumber b_number blattner synonym gene_synonym refseq",
    "refseq_id uniprot uniprot_id uniprotkb",
)

#: Headings of columns that describe genes, and are neither samples nor factors.
DESCRIBING = plains(
    "length gene_length genelength transcript_length exon_length cds_length effective_length eff_length width",
    "chr chrom chromosome chromosome_name chromosome/scaffold_name seqname seqnames seqid contig scaffold reference",
    "start end start_position end_position gene_start gene_end gene_start_bp gene_end_bp tx_start tx_end txstart txend",
    "strand tss tss_position transcription_start_site position pos locus_position cytoband band karyotype_band",
    "gc_content gene_gc_content gene_%_gc_content percentage_gene_gc_content exon_count exoncount num_exons",
    "exon_number n_exons transcript_count n_transcripts num_transcripts transcripts number_of_transcripts",
    "version gene_version annotation_rank rank source gene_source taxon taxonid taxon_id taxid tax_id species organism",
    "biotype gene_biotype gene_type genetype description gene_description product annotation",
    "definition go go_term goterm kegg pathway note notes comment comments alias aliases family cluster group fold",
    "gc %gc size bp half_life halflife p_value q_value adj_p_val log_fc fold_change log2_fold_change log2fc z_score",
    "utr5len cdslen intronlen utr3len utr5gc cdsgc utr3gc orfexondensity row_mean row_means row_sum row_sums",
)
#: Words in headings of columns that sum up the samples of a table.
SUMMARIES = plains(
    "mean average avg median sd std stdev sem variance var cv total sum min max minimum maximum rank basemean",
    "rowmean rowmeans rowsum rowsums pval pvalue padj qval qvalue fdr logfc lfc lfcse foldchange zscore logcpm stat",
)


#: Of these words, those that conditions are called, too: a medium, minutes, stationary phase, total RNA, varieties.
AMBIGUOUS = plains("min max sd std sem stat total var cv")
#: Of these words, those that also name a condition where the number of a replicate follows: SD_1 (a medium), total_2.
_CONDITIONS = re.compile(r"(?<![A-Za-z])(SD|(?i:stat|total))[-_. ]?(?i:r|rep|replicate)?[-_. ]?\d+(?![A-Za-z0-9])")
#: Minutes: 30min, 5_min; S1_min is the minimum of a sample.
_MINUTES = re.compile(r"(?<![a-z\d])\d+[-_. ]?mins?(?![a-z])|\dmins?(?![a-z])", re.IGNORECASE)


def is_id(heading: str) -> bool:
    """Whether a heading is that of a column with ids or names of genes."""
    return plain(heading) in IDS


def is_summary(heading: str, words: frozenset[str] = SUMMARIES) -> bool:
    """Whether a heading of a column has a word for what sums up samples."""
    rest = _MINUTES.sub(" ", _CONDITIONS.sub(" ", heading)).lower()
    return not words.isdisjoint(re.findall("[a-z]+", rest))


def spanning(table: Table, names: Sequence[str]) -> list[str]:
    """Return names of columns as they are typed in a command: ``FIRST, ..., LAST`` for many that follow each other."""
    at = [table.columns.index(name) for name in names]
    in_turn = len(at) > 4 and at == list(range(at[0], at[0] + len(at)))
    return [names[0], "...", names[-1]] if in_turn else list(names)


def between(table: Table, names: Sequence[str], key: str) -> list[str]:
    """Return the columns that a command names, ``...`` for those between its neighbours; a UserError if one is not."""
    found: list[str] = []
    for n, name in enumerate(names):
        if name == "..." and name not in table.columns and 0 < n < len(names) - 1:
            first, last = (column(table, names[k], key) for k in (n - 1, n + 1))
            start, stop = table.columns.index(first) + 1, table.columns.index(last)
            found += table.columns[start:stop]
        else:
            found.append(column(table, name, key))
    twice = next((name for n, name in enumerate(found) if name in found[:n]), None)
    if twice is not None:
        raise UserError(f"column {twice} is named twice", where=f"{key}, {table.where}", hint="name it once")
    return found


def column(table: Table, name: str, key: str) -> str:
    """Return a column that a command names, or raise a UserError that lists those that are there."""
    if name in table.columns:
        return name
    hint = f"{nearest(name, table.columns)}correct the name"
    received = f"columns {few(table.columns, 30)}"
    raise UserError(f"there is no column {name}", where=f"{key}, {table.where}", received=received, hint=hint)


def proposal(key: str, columns: Mapping[str, object]) -> str:
    """Return a key of the command that says what columns are, as it is typed in a shell."""
    return spelled(key, {name: value for name, value in columns.items() if value or name == "gene"})
