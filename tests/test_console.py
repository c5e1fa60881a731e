"""What the user sees where there is no terminal, or a narrow one."""

import io

import pytest
from rich.table import Table

from genexp import console
from genexp.units import clock, duration, per_second


@pytest.fixture(autouse=True)
def no_terminal(monkeypatch):
    monkeypatch.delenv("COLUMNS", raising=False)
    monkeypatch.setattr(console, "PLAIN_WIDTH", 80)
    console.forget()


def results() -> Table:
    table = Table("checkpoint", title="a run")
    table.add_column("95 % interval", justify="right")
    table.add_row("best", "0.123 to 0.456")
    return table


def test_a_table_is_never_cut_however_narrow_the_terminal(capsys, monkeypatch, tmp_path):
    monkeypatch.setenv("COLUMNS", "20")
    table = Table("checkpoint", "split", "95 % interval")
    table.add_row("best", "valid", "0.123 to 0.456")
    with console.log_to(tmp_path / "train.log"):
        console.table(table)
    shown = capsys.readouterr().out
    logged = (tmp_path / "train.log").read_text(encoding="utf-8")
    assert "0.123 to 0.456" in logged
    assert "…" not in shown
    assert "0.123" in shown
    assert "0.456" in shown


def test_names_are_printed_as_they_are(capsys, tmp_path):
    """Square brackets are no markup, and colons no emoji: a label may be called "decay [/min]"."""
    table = Table("sd [tpm]", title="a [/run]")
    table.add_row("decay [/min] of gene:dna:x")
    with console.log_to(tmp_path / "train.log"):
        console.table(table)
        console.say("[/min] :dna:")
    for text in (capsys.readouterr().out, (tmp_path / "train.log").read_text(encoding="utf-8")):
        assert all(part in text for part in ("sd [tpm]", "a [/run]", "decay [/min] of gene:dna:x", "[/min] :dna:"))


def test_long_lines_wrap_at_80_columns_with_an_indent(capsys, tmp_path):
    words = "two three " * 12
    with console.log_to(tmp_path / "log"):
        console.warn(words)
        console.say("  " + words)
    first, second, third, fourth = capsys.readouterr().out.splitlines()
    assert first.startswith("warning: two")
    assert second.startswith("  t")
    assert third.startswith("  two")
    assert fourth.startswith("    t")
    assert max(map(len, (first, second, third, fourth))) <= 80
    assert words.rstrip() in (tmp_path / "log").read_text(), "the log has whole lines"


def test_paths_and_commands_can_be_copied(capsys):
    path = "/folder" * 15
    console.say(f"written to {path}")
    console.warn(f"interrupted; resume with: genexp train resume={path} training.epochs=3")
    lines = capsys.readouterr().out.splitlines()
    assert lines == [
        "written to",
        f"  {path}",
        "warning: interrupted; resume with:",
        f"  genexp train resume={path} training.epochs=3",
    ]


def test_errors_wrap_and_keep_their_parts(capsys):
    console.fail("something is wrong\n  where: key\n  hint: " + "word " * 20)
    lines = capsys.readouterr().err.splitlines()
    assert lines[:2] == ["error: something is wrong", "  where: key"]
    assert lines[2].startswith("  hint: word")
    assert lines[3].startswith("    word")
    assert max(map(len, lines)) <= 80


def test_quiet_shows_nothing_and_still_logs(capsys, tmp_path):
    with console.quiet(), console.log_to(tmp_path / "log"):
        console.say("a line")
        console.warn("a warning")
        console.table(results())
        with console.progress("reading", 1000, "genes") as done:
            done(10)
    assert capsys.readouterr() == ("", "")
    log = (tmp_path / "log").read_text(encoding="utf-8")
    assert all(word in log for word in ("a line", "warning: a warning", "0.123 to 0.456"))
    with console.quiet(False):
        console.say("again")
    assert capsys.readouterr().out == "again\n"


def test_quiet_inside_quiet_stays_quiet(capsys):
    with console.quiet(), console.quiet(False):
        console.say("a line")
    console.say("shown")
    assert capsys.readouterr().out == "shown\n"


def test_lines_before_a_run_has_a_directory_are_logged_unless_forgotten(tmp_path):
    console.say("other work")
    console.forget()
    console.say("of this run")
    with console.log_to(tmp_path / "log"):
        console.say("later")
    lines = (tmp_path / "log").read_text().splitlines()
    assert [line.split(" ", 1)[1] for line in lines] == ["of this run", "later"]


def test_progress_without_a_terminal_is_a_plain_line_now_and_then(capsys, monkeypatch):
    clock = iter([0.0, 1.0, 20.0, 21.0])
    monkeypatch.setattr(console.time, "monotonic", lambda: next(clock))
    with console.progress("reading", 1000, "genes") as advance:
        for done in (1, 200, 210):
            advance(done, 1000)
    assert capsys.readouterr().out == "reading: 200 of 1,000 genes, 10 genes/s, ETA 1:20\n"


def test_progress_on_a_terminal_is_a_bar(monkeypatch):
    shown = console.Console(force_terminal=True, width=80, record=True, file=io.StringIO())
    monkeypatch.setattr(console, "out", shown)
    with console.progress("reading", 1000, "genes") as advance:
        advance(500)
    assert "reading" in shown.export_text()


@pytest.mark.parametrize(
    ("seconds", "time", "span"),
    [
        (0, "0:00", "0 s"),
        (35, "0:35", "35 s"),
        (59.6, "1:00", "1:00"),
        (125, "2:05", "2:05"),
        (3725, "1:02:05", "1:02:05"),
    ],
)
def test_time_spans(seconds, time, span):
    assert (clock(seconds), duration(seconds)) == (time, span)


def test_rates():
    assert (per_second(1234, "genes"), per_second(0.44, "epochs")) == ("1,234 genes/s", "0.4 epochs/s")
