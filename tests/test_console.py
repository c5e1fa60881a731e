"""What a person sees where there is no terminal, or a narrow one."""

from rich.table import Table

from genexp import console


def test_a_table_is_never_cut_however_narrow_the_terminal(capsys, monkeypatch, tmp_path):
    monkeypatch.setenv("COLUMNS", "20")
    table = Table("checkpoint", "split", "95 % interval")
    table.add_row("best", "valid", "0.123 to 0.456")
    with console.log_to(tmp_path / "train.log"):
        console.table(table)
    shown = capsys.readouterr().out
    assert "0.123 to 0.456" in (tmp_path / "train.log").read_text(encoding="utf-8")
    assert "0.123 to 0.456" in shown
    assert "…" not in shown


def test_progress_without_a_terminal_is_a_plain_line_now_and_then(capsys, monkeypatch):
    clock = iter([0.0, 1.0, 20.0, 21.0])
    monkeypatch.setattr(console.time, "monotonic", lambda: next(clock))
    with console.progress("reading", 1000, "genes") as advance:
        for done in (1, 200, 210):
            advance(done)
    assert capsys.readouterr().out == "reading: 200 of 1,000, 10 genes/s, 1:20 left\n"
