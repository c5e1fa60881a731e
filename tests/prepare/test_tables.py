"""Every way to write a table, and every way to damage one."""

import datetime
import gzip
import io
import random
import zipfile

import numpy as np
import openpyxl
import pandas as pd
import pyarrow as pa
import pytest
from mutations import mutated
from pyarrow import parquet

from genexp.errors import UserError
from genexp.prepare.tables import look_at, nameless

ROWS = [["a", 1.0, 2.0], ["b", 3.0, 4.5]]


def write(path, content):
    content = content.encode() if isinstance(content, str) else content
    path.write_bytes(gzip.compress(content) if path.suffix == ".gz" else content)
    return path


def read(path):
    return look_at(path, "expression").read()


def rows(path):
    return read(path).to_numpy().tolist()


TEXTS = [
    "gene\ts1\ts2\na\t1\t2\nb\t3\t4.5\n",
    "gene,s1,s2\r\na,1,2\r\nb,3,4.5\r\n",
    "gene\ts1\ts2\ra\t1\t2\rb\t3\t4.5\r",
    "gene;s1;s2\na;1;2\nb;3;4.5\n",
    "gene s1 s2\na 1 2\nb 3 4.5\n",
    "gene   s1  s2\na   1   2\nb   3   4.5\n",
    '"gene"\t"s1"\t"s2"\n"a"\t1\t2\n"b"\t3\t4.5\n',
    '"s1" "s2"\n"a" 1 2\n"b" 3 4.5\n',
    "s1\ts2\na\t1\t2\nb\t3\t4.5\n",
    "gene\ts1\ts2\na\t1\t2\t\nb\t3\t4.5\t\n",
    "gene\ts1\ts2\t\na\t1\t2\t\nb\t3\t4.5\t\n",
    "gene,s1,s2,,,\na,1,2,,,\nb,3,4.5,,,\n,,,,,\n",
    "#1.2\n2\t2\ngene\ts1\ts2\na\t1\t2\nb\t3\t4.5\n",
    "#1.3\n2\t2\t0\t1\ngene\ts1\ts2\ntissue\tx\ty\na\t1\t2\nb\t3\t4.5\n",
    "# made by hand\n\ngene\ts1\ts2\na\t1\t2\n\nb\t3\t4.5",
    "#gene\ts1\ts2\na\t1\t2\nb\t3\t4.5\n",
    "Table S1. Expression, in TPM\ngene\ts1\ts2\na\t1\t2\nb\t3\t4.5\n",
    "Table S1\nValues are TPM.\n\ngene\ts1\ts2\na\t1\t2\nb\t3\t4.5\n",
    "# Yeast, TPM, 2023\ngene_name,s1,s2\na,1,2\nb,3,4.5\n",
    ",gene,s1,s2\n,a,1,2\n,b,3,4.5\n",
    ",,gene,s1,s2\n,,a,1,2\n,,b,3,4.5\n",
    '"gene\n(symbol)",s1,s2\na,1,2\nb,3,4.5\n',
    "gene,s1,s2\na,1,2\n,,\nb,3,4.5\n",
]


@pytest.mark.parametrize("text", TEXTS)
@pytest.mark.parametrize("suffix", [".txt", ".gz"])
def test_every_way_to_write_a_table(tmp_path, text, suffix):
    path = write(tmp_path / f"x{suffix}", text)
    assert rows(path) == ROWS
    assert list(read(path).columns[1:]) == ["s1", "s2"]
    assert sum(len(chunk) for _, chunk in look_at(path, "expression").chunks(1)) == 2


@pytest.mark.parametrize("text", ["# Yeast, TPM\nORF,s1\nYAL001C,1\n", "# 1, 2\nORF,s1\nYAL001C,NA\nYAL002C,1\n"])
def test_a_comment_with_as_many_cells_is_no_header(tmp_path, text):
    assert look_at(write(tmp_path / "x", text), "expression").columns == ["ORF", "s1"]


def test_a_commented_header_of_pairs(tmp_path):
    assert look_at(write(tmp_path / "x", "#factor\tto\nSWI4\tCLN1\nSWI6\tCLN2\n"), "tf").columns == ["factor", "to"]


def test_a_first_row_with_an_empty_cell_below_a_title(tmp_path):
    sheet = [["Table S1. Expression"], [], ["gene", "s1", "s2"], ["a", None, 2], ["b", 3, 4.5]]
    assert look_at(workbook(tmp_path / "x.xlsx", sheet), "expression").columns == ["gene", "s1", "s2"]
    unnamed = [["Table S1. Expression"], [None, "s1", "s2"], ["a", 1, 2], ["b", 3, 4.5]]
    assert rows(workbook(tmp_path / "y.xlsx", unnamed)) == ROWS


def test_one_sample_of_r_is_no_title(tmp_path):
    assert look_at(write(tmp_path / "x", "s1\na\t1\nb\t2\n"), "expression").columns == ["gene", "s1"]


def test_a_column_that_is_not_empty_is_no_margin(tmp_path):
    text = ",gene,s1\n" + "".join(f",g{n},1\n" for n in range(20)) + "x,last,2\n"
    assert look_at(write(tmp_path / "x", text), "expression").columns == ["", "gene", "s1"]


def test_inches_are_no_quotes(tmp_path):
    text = 'gene\tabout\ts1\na\tx 5" y\t1\nb\tz 3" w\t2\n'
    assert read(write(tmp_path / "x", text))["about"].tolist() == ['x 5" y', 'z 3" w']


def test_headings_with_line_ends(tmp_path):
    path = write(tmp_path / "x", 'gene;"s1\n(TPM)";s2\na;1;2\nb;3;4.5\n')
    assert (look_at(path, "expression").columns, rows(path)) == (["gene", "s1 (TPM)", "s2"], ROWS)


def test_long_cells_in_quotes(tmp_path):
    bases = "ACGT" * 50_000
    path = write(tmp_path / "x", f'"id","sequence","label"\n"a","{bases}","1"\n"b","ACGT","2"\n')
    assert read(path)["sequence"].tolist() == [bases, "ACGT"]


def test_a_header_is_no_title_where_each_row_has_one_semicolon(tmp_path):
    path = write(tmp_path / "x", "gene,Gene about,s1\na,x [H;1],1\nb,y [H;2],2\n")
    assert rows(path) == [["a", "x [H;1]", 1], ["b", "y [H;2]", 2]]


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-32", "latin-1", "cp1252"])
@pytest.mark.parametrize("suffix", [".txt", ".gz"])
def test_encodings(tmp_path, encoding, suffix):
    path = write(tmp_path / f"x{suffix}", "gene\tname\ts1\r\na\tβ\t1\r\nb\tñ\t2\r\n".replace("β", "é").encode(encoding))
    assert rows(path) == [["a", "é", 1], ["b", "ñ", 2]]


@pytest.mark.parametrize("text", [TEXTS[3], "gene\ts1\ts2\na\t1\t2\nb\t3\t4.5\n"])
@pytest.mark.parametrize("quoted", [False, True])
def test_the_separator_that_excel_declares(tmp_path, text, quoted):
    line = f"sep={text[4]}"
    assert rows(write(tmp_path / "x.csv", f'"{line}"\r\n{text}' if quoted else f"{line}\n{text}")) == ROWS
    with pytest.raises(UserError, match="lines 2 and 3"):
        read(write(tmp_path / "x.csv", "sep=;\ngene;s1\na\n"))


def test_points_between_thousands(tmp_path):
    """As a German spreadsheet writes 1007: nothing but other numbers tells that a point is a decimal sign."""

    def numbers(text):
        table = look_at(write(tmp_path / "x", text), "expression")
        return table.numbers(table.read(), ["s1", "s2"]).tolist()

    unclear = "gene;s1;s2\na;1.007;12\nb;40.280;7\n"
    with pytest.raises(UserError, match=r"separate thousands[\s\S]*1\.007, 40\.280[\s\S]*write 1007"):
        numbers(unclear)
    for clear in ("0.280", "40.28", "1234.280", "4028"):
        assert numbers(unclear.replace("40.280", clear)) == [[1.007, 12], [float(clear), 7]]
    assert numbers(unclear.replace(";", "\t")) == [[1.007, 12], [40.28, 7]]


def numbers_in_chunks(path, rows):
    table = look_at(path, "table")
    return [table.numbers(chunk, ["s1"], line)[:, 0].tolist() for line, chunk in table.chunks(rows, ["gene"])]


def test_commas_mean_the_same_in_each_chunk(tmp_path):
    text = "gene;s1\n" + "".join(f"g{n};0,{n:03}\n" for n in range(1, 6)) + "last;1,234\n"
    assert numbers_in_chunks(write(tmp_path / "x", text), 5) == [[0.001, 0.002, 0.003, 0.004, 0.005], [1.234]]
    text = "gene;s1\n" + "".join(f"g{n};{80 - n}.997\n" for n in range(5)) + "last;999,5\n"
    with pytest.raises(UserError, match=r"separate thousands[\s\S]*80\.997"):
        numbers_in_chunks(write(tmp_path / "y", text), 5)


@pytest.mark.parametrize("cell", ["NA", " NA", "  ", "n/a", "<NA>", "#NA", "null"])
def test_missing_values(tmp_path, cell):
    table = look_at(write(tmp_path / "x", f"gene,s1\na,1\nb,{cell}\n"), "expression")
    np.testing.assert_array_equal(table.numbers(table.read(), ["s1"])[:, 0], [1, np.nan])


def test_points_behind_ids_that_are_numbers(tmp_path):
    assert read(write(tmp_path / "x", "gene,s1\n1000.0,1\n7157.0,2\n,3\n"))["gene"].tolist() == ["1000", "7157", ""]
    assert read(write(tmp_path / "y", "gene,s1\n1000.0,1\n7157.1,2\n"))["gene"].tolist() == ["1000.0", "7157.1"]


def test_commas_behind_a_zero_are_decimal(tmp_path):
    table = look_at(write(tmp_path / "x", "gene;s1\na;0,007\nb;-0,140\n"), "expression")
    assert table.numbers(table.read(), ["s1"]).tolist() == [[0.007], [-0.14]]
    table = look_at(write(tmp_path / "x", "gene;s1\na;1,007\nb;40,280\n"), "expression")
    with pytest.raises(UserError, match="written with a comma"):
        table.numbers(table.read(), ["s1"])


@pytest.mark.parametrize("text", ["gene;s1;s2\na;1,0;2\nb;3;4,5\n", "gene\ts1\ts2\na\t1,00\t2\nb\t3\t4,5\n"])
def test_decimal_commas(tmp_path, text):
    table = look_at(write(tmp_path / "x", text), "expression")
    assert table.numbers(table.read(), ["s1", "s2"]).tolist() == [[1, 2], [3, 4.5]]
    assert table.remarks == ["decimal commas"]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "no rows"),
        ("gene\ts1\n", "no rows"),
        ("gene\ts1\ts1\na\t1\t2\n", "column 's1' occurs twice"),
        ("gene\ts1\ts1\na\t1\t2\n", r"received: columns 2 and 3"),
        (
            "gene\ts1\na\t1\nb\t1\t2\t3\n",
            r"too many columns[\s\S]*line 3\n[\s\S]*expected: 2 columns[\s\S]*received: 4: b",
        ),
        ("gene\ts1\ts2\na\t1\t2\n\nb\t1\n", r"too few columns[\s\S]*line 4\n[\s\S]*expected: 3[\s\S]*received: 2: b"),
        ('gene,s1\n"a, b",1\n"c,2\n', r"a quote in this table is not closed[\s\S]*line 3"),
        ("gene s1\na 1\nb\n", r"too few columns[\s\S]*line 3"),
        ("#1.2\n3\t1\ngene\ts1\na\t1\nb\t2\n", r"this GCT file is cut short[\s\S]*expected: 3 rows[\s\S]*received: 2"),
        ("#1.2\n1\t1\ngene\ts1\na\t1\nb\t2\n", "this GCT file has more rows than it says"),
        ("gene\ts1\ts2\ts3\na\t1\n", "another number of columns than its header"),
        ("gene\ts1\na\t1\t2\nb\t1\t2\n", "another number of columns than its header"),
        ("gene,s1,,\na,1,,\nb,2,,9\n", r"a column without a heading[\s\S]*row 3 \(gene b\)[\s\S]*received: 9"),
        ("<!DOCTYPE html>\n<html>\n", "a web page"),
        ('{"genes": [\n1,2]}', "JSON"),
        (">chr1\nACGT\n", "FASTA"),
        ("%%MatrixMarket matrix coordinate\n3 3 1\n1 1 2\n", "Matrix Market"),
        ("!Series_title\tx\n!Series_summary\ty\nID_REF\tGSM1\n1007_s_at\t3\n", "GEO series matrix"),
        (b"RDX3\nX\n\x00\x00", "an R data file"),
        (b"\x89HDF\r\n\x1a\n\x00", "an HDF5 file"),
        ("gene\ts1\na\t1\n".encode("utf-16-le"), "without its byte order mark"),
        (b"PK\x03\x04 not a workbook", "packed with zip"),
        (b"\xd0\xcf\x11\xe0 not a workbook", "this workbook cannot be read"),
        (b"PAR1 not Parquet", "Parquet or Feather file cannot be read"),
        (b"ARROW1 not Feather", "Parquet or Feather file cannot be read"),
    ],
)
def test_bad_tables(tmp_path, text, words):
    with pytest.raises(UserError, match=words):
        read(write(tmp_path / "x", text))


def test_a_header_of_control_characters(tmp_path):
    assert rows(write(tmp_path / "x", b"\x1f\n\x8b\x08#")) == [["\u2039\x08#"]]


def test_lines_are_those_of_the_file(tmp_path):
    text = '# remark\ngene,about,s1\n\na,"two\nlines",1\n\nb,x,low\n'
    table = look_at(write(tmp_path / "x", text), "expression")
    with pytest.raises(UserError, match=r"row 7 \(gene b\)"):
        table.numbers(table.read(), ["s1"])


def test_a_gene_may_be_called_nan(tmp_path):
    table = read(write(tmp_path / "x", "gene\ts\nnan\t1\nNA\t2\n007\t3\n"))
    assert table["gene"].tolist() == ["nan", "NA", "007"]
    assert look_at(tmp_path / "x", "expression").columns == ["gene", "s"]


def test_names_that_are_none():
    names = pd.Series(["", "NA", "#N/A", "#REF!", "g1", "nan", "na", "na", "NaN"])
    assert nameless(names).tolist() == [True, True, True, True, False, False, True, True, True]


# Workbooks.


def workbook(path, *sheets, hidden=()):
    book = openpyxl.Workbook()
    book.remove(book.active)
    for number, cells in enumerate(sheets):
        sheet = book.create_sheet(f"sheet {number}")
        for row in cells:
            sheet.append(row)
        if number in hidden:
            sheet.sheet_state = "hidden"
    book.save(path)
    return path


CELLS = [["gene", "s1", "s2"], ["a", 1, 2], ["b", 3, 4.5]]


def test_a_workbook(tmp_path):
    assert rows(workbook(tmp_path / "x.xlsx", CELLS)) == ROWS
    assert rows(workbook(tmp_path / "y.xlsx", [["Table S1. TPM"], [], *CELLS, [], ["a note"]][:5])) == ROWS
    assert rows(workbook(tmp_path / "z.xlsx", CELLS, [["about"], ["this table"]])) == ROWS
    assert rows(workbook(tmp_path / "h.xlsx", CELLS, CELLS, hidden=[1])) == ROWS


def test_merged_cells_all_have_their_value(tmp_path):
    path = workbook(
        tmp_path / "x.xlsx", [["tf", "gene"], ["A", "g1"], [None, "g2"], ["B", "g3"], [None, "g4"], ["C", "g5"]]
    )
    book = openpyxl.load_workbook(path)
    for cells in ("A2:A3", "A4:A5"):
        book.active.merge_cells(cells)
    book.save(path)
    assert read(path)["tf"].tolist() == ["A", "A", "B", "B", "C"]


def test_a_stray_cell_far_away(tmp_path):
    path = workbook(tmp_path / "x.xlsx", CELLS)
    book = openpyxl.load_workbook(path)
    book.active["XFD1048576"] = "x"
    book.save(path)
    with pytest.raises(UserError, match=r"more cells than the memory holds[\s\S]*A1:XFD1048576"):
        read(path)


def test_a_workbook_with_two_tables(tmp_path):
    with pytest.raises(UserError, match=r"several sheets[\s\S]*sheet 0, sheet 1[\s\S]*CSV"):
        read(workbook(tmp_path / "x.xlsx", CELLS, CELLS))


def test_cells_of_a_workbook(tmp_path):
    date = datetime.datetime(2023, 3, 1)
    path = workbook(tmp_path / "x.xlsx", [["gene", "s1"], [date, 1], [7157, "#N/A"], ["c", 1e20], ["d", None]])
    found = read(path)
    assert found["gene"].tolist() == ["2023-03-01", "7157", "c", "d"]
    np.testing.assert_array_equal(found["s1"], [1, np.nan, 1e20, np.nan])


def test_rows_of_a_workbook_are_its_lines(tmp_path):
    table = look_at(workbook(tmp_path / "x.xlsx", [["gene", "s1"], [], ["a", 1], ["b", "low"]]), "expression")
    with pytest.raises(UserError, match=r"row 4 \(gene b\)"):
        table.numbers(table.read(), ["s1"])


def test_an_opendocument_sheet(tmp_path):
    def cell(value):
        kind = (
            f'office:value-type="float" office:value="{value}"'
            if isinstance(value, float)
            else 'office:value-type="string"'
        )
        return f"<table:table-cell {kind}><text:p>{value}</text:p></table:table-cell>"

    rows_of = "".join(f"<table:table-row>{''.join(map(cell, row))}</table:table-row>" for row in (CELLS[0], *ROWS))
    spaces = ("office", "table", "text")
    names = " ".join(f'xmlns:{name}="urn:oasis:names:tc:opendocument:xmlns:{name}:1.0"' for name in spaces)
    sheet = f'<table:table table:name="a">{rows_of}</table:table>'
    body = f"<office:body><office:spreadsheet>{sheet}</office:spreadsheet></office:body>"
    with zipfile.ZipFile(tmp_path / "x.ods", "w") as archive:
        archive.writestr("mimetype", "application/vnd.oasis.opendocument.spreadsheet")
        manifest = "urn:oasis:names:tc:opendocument:xmlns:manifest:1.0"
        archive.writestr("META-INF/manifest.xml", f'<m:manifest xmlns:m="{manifest}"/>')
        archive.writestr(
            "content.xml", f'<?xml version="1.0"?><office:document-content {names}>{body}</office:document-content>'
        )
    assert rows(tmp_path / "x.ods") == ROWS


# Parquet and Feather.


@pytest.mark.parametrize("suffix", ["parquet", "feather"])
def test_parquet_and_feather(tmp_path, suffix):
    frame = pd.DataFrame({"gene": ["a", "b"], "s1": [1, 3], "s2": [2, 4.5]})
    getattr(frame, f"to_{suffix}")(tmp_path / "x")
    assert rows(tmp_path / "x") == ROWS
    table = look_at(tmp_path / "x", "expression")
    assert [len(chunk) for _, chunk in table.chunks(1)] == [1, 1]
    with pytest.raises(UserError, match=r"row 2 \(gene b\)"):
        raise table.bad_cell("wrong", "s1", table.first_line + 1, "b", "x", "y", "z")


def test_names_of_rows_in_parquet(tmp_path):
    frame = pd.DataFrame({"s1": [1, 3], "s2": [2, 4.5]}, index=["a", "b"])
    frame.to_parquet(tmp_path / "x")
    assert rows(tmp_path / "x") == ROWS
    frame.rename_axis("gene").to_parquet(tmp_path / "y")
    assert look_at(tmp_path / "y", "expression").columns == ["gene", "s1", "s2"]


def test_bytes_in_parquet_are_text(tmp_path):
    frame = pd.DataFrame({"gene": [b"a", "\u00e9".encode()], "self": ["x", None], "s1": [1, 3]})
    frame.to_parquet(tmp_path / "x")
    found = look_at(tmp_path / "x", "expression").read(["gene", "self"])
    assert found[["gene", "self"]].to_numpy().tolist() == [["a", "x"], ["\u00e9", ""]]
    frame["gene"] = [b"a", b"\xff"]
    frame.to_parquet(tmp_path / "y")
    with pytest.raises(UserError, match="cannot be read"):
        read(tmp_path / "y")


def test_a_name_that_occurs_twice_in_parquet(tmp_path):
    table = pa.Table.from_arrays([pa.array(["a", "b"]), pa.array([1, 2]), pa.array([3, 4])], names=["gene", "s1", "s1"])
    parquet.write_table(table, tmp_path / "x")
    with pytest.raises(UserError, match=r"column 's1' occurs twice[\s\S]*rename one"):
        read(tmp_path / "x")


def test_truth_values_with_gaps_in_parquet(tmp_path):
    pd.DataFrame({"gene": ["a", "b"], "A": [True, None]}).to_parquet(tmp_path / "x")
    np.testing.assert_array_equal(read(tmp_path / "x")["A"], [1, np.nan])


def test_kinds_of_columns_in_parquet(tmp_path):
    columns = {
        "entrez": pd.array([7157, None], "Int64"),
        "kind": pd.Categorical(["x", "y"]),
        "list": [[1], [2]],
        "time": pd.to_datetime(["2023-03-01", None]),
        "bytes": [b"a", b"b"],
    }
    pd.DataFrame(columns).to_parquet(tmp_path / "x")
    found = look_at(tmp_path / "x", "expression").read(["entrez"])
    assert found["entrez"].tolist() == ["7157", ""]
    assert found["kind"].tolist() == ["x", "y"]


# Damaged files end in a UserError, or are read.

EXPORTED = pd.DataFrame({"gene": [f"g{n}" for n in range(40)], "s1": np.arange(40) * 1.5, "name": ["β"] * 40})


def exported(kind):
    file = io.BytesIO()
    if kind == "xlsx":
        EXPORTED.to_excel(file, index=False)
    elif kind in ("parquet", "feather"):
        getattr(EXPORTED, f"to_{kind}")(file)
    else:
        text = EXPORTED.to_csv(index=False, sep={"csv": ",", "tsv": "\t"}.get(kind, ";"))
        file.write({"utf-16": text.encode("utf-16"), "gz": gzip.compress(text.encode())}.get(kind, text.encode()))
    return file.getvalue()


@pytest.mark.parametrize("kind", ["csv", "tsv", "utf-16", "gz", "xlsx", "parquet", "feather"])
def test_damaged_tables(tmp_path, kind):
    whole, rng = exported(kind), random.Random(0)
    for _ in range(200):
        path = write(tmp_path / "x", mutated(whole, rng))
        try:
            table = look_at(path, "expression")
            frame = table.read()
            table.numbers(frame, table.columns[1:2])
        except UserError:
            continue
