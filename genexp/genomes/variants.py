"""Variants from VCF, BCF or a table, and sequences that carry them."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from genexp.errors import UserError
from genexp.features.tokens import reverse_complement, tokens_from_text
from genexp.files import damage_reported, in_short
from genexp.genomes.genome import Genome
from genexp.prepare.opening import first_bytes, open_bytes, open_text

if TYPE_CHECKING:
    from genexp.prepare.tables import Table

#: Columns of a table of variants; the last may be missing.
COLUMNS = ("chromosome", "position", "ref", "alt", "id")
#: What VCF calls two of them.
_IN_VCF = {"chrom": "chromosome", "pos": "position"}
#: How files begin.
VCF, BCF = b"##fileformat=VCF", b"BCF"
#: Symbolic alleles whose SVLEN counts bases of the reference; that of an insertion counts new ones.
_SPANNING = ("<DEL", "<DUP", "<INV", "<CNV")
#: The other side of a breakend: its chromosome, and its position from 1.
_MATE = re.compile(r"[\[\]](.+):(\d+)[\[\]]")
#: Characters that have a meaning in INFO, in a description or in the entries of `annotate`, as VCF 4.3 encodes them.
_ENCODED = str.maketrans({letter: f"%{ord(letter):02X}" for letter in '%;=,|" \\\t\r\n'})


class Call(NamedTuple):
    """The genotype of a sample: the number of the allele of each chromosome copy, 0 for the reference, None: unknown.

    The alleles of calls with one `phase_set` are on the copies in their order, where both are `phased`.
    """

    sample: str
    alleles: tuple[int | None, ...]
    phased: bool
    phase_set: int | None


class Site(NamedTuple):
    """One line of a file of variants; `position` is that of the first base of `ref`, from 0.

    `stop` is the end of the bases that a line with symbolic alleles is about; 0: they end where `ref` does.
    """

    name: str
    chromosome: str
    position: int
    ref: str
    alts: tuple[str, ...]
    calls: tuple[Call, ...] = ()
    stop: int = 0


class Edit(NamedTuple):
    """What a variant changes near a TSS: `bases` (n,) uint8 tokens in place of [start, end), along the gene's strand.

    Positions are counted from the TSS, which is 0.
    """

    start: int
    end: int
    bases: tuple[int, ...]

    @property
    def shifts(self) -> bool:
        """Whether other bases move."""
        return len(self.bases) != self.end - self.start


def read_sites(path: Path, *, genotypes: bool = False) -> Iterator[Site]:
    """Yield the variants of a VCF or BCF file, or of a table with the columns `COLUMNS`, whose positions are from 1.

    A UserError is raised if the file is neither or is damaged. `genotypes` reads the calls of samples that carry one.
    """
    from genexp.prepare.tables import look_at

    if begins_as(path, VCF, BCF):
        yield from _vcf(path, genotypes=genotypes)
    elif genotypes:
        raise UserError("haplotypes need genotypes", where=f"vcf={path}", expected="VCF or BCF", received="a table")
    else:
        yield from _rows(look_at(path, "vcf"))


def begins_as(path: Path, *heads: bytes) -> bool:
    """Tell whether a file, which may be packed, begins with one of these."""
    with open_bytes(path) as file:
        return file.read(16).startswith(heads)


def _vcf(path: Path, *, genotypes: bool) -> Iterator[Site]:
    if find_spec("pysam") is None:
        hint = "pip install 'genexp[genome]', or use a table: chromosome, position, ref, alt"
        raise UserError("VCF needs a package that is not installed", where=f"vcf={path}", received="pysam", hint=hint)
    import pysam

    what, before = "this VCF cannot be read", pysam.set_verbosity(0)
    hint = "check it with bcftools view"
    try:
        with (
            damage_reported(lambda error: UserError(what, where=path, received=in_short(error), hint=hint)),
            _without_gzip(path) as readable,
            pysam.VariantFile(str(readable)) as file,
        ):
            if genotypes and not file.header.samples:
                raise UserError("haplotypes need genotypes", where=f"vcf={path}", received="no samples")
            for key, number in (("END", "1"), ("SVLEN", ".")):
                if key not in file.header.info:  # htslib ignores them unless the header has them
                    file.header.info.add(key, number, "Integer", "")
            for record in file:
                alleles, calls = (record.ref or "", record.alts or ()), _calls(record) if genotypes else ()
                yield Site(record.id or ".", record.chrom, record.start, *alleles, calls, _stop(record))
    finally:
        pysam.set_verbosity(before)


#: What a VCF says of one allele: chromosome, position from 0, reference and alternative.
Allele = tuple[str, int, str, str]


def annotate(
    path: Path,
    out: Path,
    field: str,
    meaning: str,
    columns: Sequence[str],
    found: Mapping[Allele, Sequence[Sequence[str]]],
) -> None:
    """Write a VCF again, plain or with bgzip (.gz), with entries for its alleles in the INFO field `field`.

    Each entry has a cell for each of `columns`, separated by ``|``. An earlier field of that name is replaced.
    """
    import pysam

    described = f'##INFO=<ID={field},Number=.,Type=String,Description="{meaning}: {_entry(columns)}">'
    earlier = re.compile(rf'##INFO=<([^"]*,)?ID={field}[,>]')
    packed = out.suffix == ".gz"
    with open_text(path) as source, pysam.BGZFile(str(out), "wb", None) if packed else out.open("wb") as file:
        for line in source:
            if earlier.match(line):
                continue
            cells = line.rstrip("\r\n").split("\t")
            if line.startswith("#CHROM"):
                file.write(f"{described}\n".encode())
            elif not line.startswith("#") and len(cells) > 7:
                chromosome, position, _, ref, alts, _, _, info = cells[:8]
                alleles = [(chromosome, int(position) - 1, ref, alt) for alt in alts.split(",")]
                entries = [_entry(each) for allele in alleles for each in found.get(allele, ())]
                others = [each for each in info.split(";") if each.partition("=")[0] not in ("", ".", field)]
                cells[7] = ";".join(others + [f"{field}={','.join(entries)}"] * bool(entries)) or "."
            file.write(("\t".join(cells) + "\n").encode())


def _entry(cells: Sequence[str]) -> str:
    return "|".join(cell.translate(_ENCODED) for cell in cells)


@contextmanager
def _without_gzip(path: Path) -> Iterator[Path]:
    """Yield the path of a file that htslib can read: it reads plain files and bgzip, but not gzip."""
    head = first_bytes(path, 14)
    if not head.startswith(b"\x1f\x8b") or head.endswith(b"BC"):
        yield path
        return
    with TemporaryDirectory() as folder:
        plain = Path(folder) / "plain"
        with open_bytes(path) as packed, plain.open("wb") as file:
            shutil.copyfileobj(packed, file)
        yield plain


def _calls(record: Any) -> tuple[Call, ...]:
    found = []
    for name, call in record.samples.items():
        alleles = call.allele_indices or (None,)
        if any(alleles) or None in alleles:
            found.append(Call(name, alleles, call.phased, call.get("PS")))
    return tuple(found)


def _stop(record: Any) -> int:
    """Return the end of the bases that a line is about, by END, or by SVLEN, which not every htslib applies."""
    lengths = record.info.get("SVLEN") if any(alt.startswith(_SPANNING) for alt in record.alts or ()) else ()
    lengths = lengths if isinstance(lengths, tuple) else (lengths,)
    ends = [record.start + 1 + abs(each) for each in lengths if isinstance(each, int)]
    return int(max(record.stop, *ends, 0))


def _rows(table: Table) -> Iterator[Site]:
    headings = {name: name for name in COLUMNS if name in table.columns}  # by our name, that in the table
    for heading in table.columns:
        plain = heading.lstrip("# ").lower()
        name = _IN_VCF.get(plain, plain)
        if headings.setdefault(name, heading) not in (name, heading) and name in COLUMNS:
            what, received = f"two columns may be the {name}", f"{headings[name]} and {heading}"
            raise UserError(what, where=table.where, received=received, hint=f"rename the right one to {name}")
    if not headings.keys() >= {*COLUMNS[:4]}:
        expected = (
            "VCF with its header, or a table with the columns chromosome, position, ref, alt or CHROM, POS, REF, ALT"
        )
        received = ", ".join(table.columns)[:120]
        raise UserError("this is no file of variants", where=table.where, expected=expected, received=received)
    names = {headings[name]: name for name in COLUMNS if name in headings}
    for first, rows in table.chunks(texts=list(names), columns=list(names)):
        for line, row in enumerate(rows.rename(columns=names).to_dict("records"), first):
            where = f"{table.where}, line {line:,}"
            if not row["position"].isdecimal() or int(row["position"]) < 1:
                raise UserError("a position is no number from 1", where=where, received=row["position"])
            if not row["ref"]:
                what, hint = "ref is empty", "an insertion has the base before it in position, ref and alt, as in VCF"
                raise UserError(what, where=where, expected="the bases of the genome at the position", hint=hint)
            alts = tuple(row["alt"].split(","))
            yield Site(row.get("id") or ".", row["chromosome"], int(row["position"]) - 1, row["ref"], alts)


def is_sequence(allele: str) -> bool:
    """Tell whether an allele is spelled out: not ``<DEL>``, ``*`` or a breakend, and without unknown bases."""
    return bool(allele) and not set(allele.upper()) - set("ACGT")


def edit_of(site: Site, alt: str, tss: int, strand: str) -> Edit:
    """Return an allele as an edit along the strand of a gene, without bases that both alleles begin or end with."""
    ref, alt, start = site.ref.upper(), alt.upper(), site.position
    while ref and alt and ref[0] == alt[0]:
        ref, alt, start = ref[1:], alt[1:], start + 1
    while ref and alt and ref[-1] == alt[-1]:
        ref, alt = ref[:-1], alt[:-1]
    end, bases = start + len(ref), tokens_from_text(alt)
    if strand == "-":
        return Edit(tss + 1 - end, tss + 1 - start, tuple(reverse_complement(bases).tolist()))
    return Edit(start - tss, end - tss, tuple(bases.tolist()))


def reach_of(site: Site, alt: str) -> tuple[int, int]:
    """Return the bases [start, end) of its chromosome that an allele that is no sequence may change.

    A symbolic allele reaches to the `stop` of its site, a breakend to its mate on the same chromosome.
    """
    start, end = site.position, max(site.stop, site.position + len(site.ref))
    if (mate := _MATE.search(alt)) and mate[1] == site.chromosome:
        start, end = min(start, int(mate[2]) - 1), max(end, int(mate[2]))
    return start, end


def in_window(edit: Edit, window: tuple[int, int]) -> bool:
    """Tell whether an edit changes what is seen: it replaces bases of the window, or inserts some between them."""
    return edit.start < window[1] and edit.end > window[0]


def exclude_each_other(edits: Sequence[Edit]) -> bool:
    """Tell whether sorted edits replace the same base twice, or insert at one place twice."""
    return any(b.start < a.end or (a.start, a.end) == (b.start, b.end) for a, b in pairwise(edits))


def carrying(
    genome: Genome,
    place: tuple[str, int, str],
    window: tuple[int, int],
    edits: Sequence[Edit] = (),
    shifts: Sequence[int] = (0,),
) -> np.ndarray:
    """Return the bases around a TSS of a chromosome that carries some edits.

    Parameters
    ----------
    genome
        The reference.
    place
        Chromosome, TSS (from 0) and strand of a gene.
    window
        [left, right), counted from the TSS along the strand.
    edits
        Sorted, all `in_window`, and such that they do not `exclude_each_other`.
    shifts
        What is added to the window, in nt; one row for each.

    Returns
    -------
    (shifts, right - left) uint8 tokens
        The TSS stays at its place in the window: what an insertion or deletion upstream moves is further upstream, and
        downstream likewise; what a deletion draws into the window is the reference. Of an edit that replaces the TSS
        itself, the bases count from its upstream end; where they do not reach the TSS, the next base is the TSS.
    """
    chromosome, tss, strand = place
    margin = sum(edit.end - edit.start for edit in edits)
    first = window[0] + min(0, *shifts) - margin
    bases = genome.promoter(chromosome, tss, strand, (first, window[1] + max(0, *shifts) + margin))
    parts, at, origin = [], first, -first
    for edit in edits:
        parts += [bases[at - first : edit.start - first], np.array(edit.bases, np.uint8)]
        at = edit.end
        if edit.end <= 0:
            origin += len(edit.bases) - (edit.end - edit.start)
        elif edit.start < 0:
            origin += min(len(edit.bases), -edit.start) + edit.start
    whole = np.concatenate([*parts, bases[at - first :]])
    return np.stack([whole[origin + window[0] + shift : origin + window[1] + shift] for shift in shifts])
