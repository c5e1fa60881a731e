"""Each picture is written whole for ordinary and for ugly data, and says what the data are."""

import subprocess
import sys

import matplotlib
import numpy as np
import pandas as pd
import pytest
from matplotlib.text import Text

from genexp.evaluation import explain_figure, plots, scan_figure
from genexp.evaluation.metrics import metrics
from genexp.evaluation.plots import Panel, plot_density, plot_history, plot_scatter


@pytest.fixture(autouse=True)
def coarse(monkeypatch):
    """Draw fewer pixels, for speed."""
    monkeypatch.setitem(plots._STYLE, "figure.dpi", 40)


@pytest.fixture
def figures(monkeypatch):
    """Collect the figures that are drawn."""
    drawn = []

    class Recorded(plots.Figure):
        def __init__(self, *args, **kwargs):
            super().__init__(*args, **kwargs)
            drawn.append(self)

    monkeypatch.setattr(plots, "Figure", Recorded)
    return drawn


def texts(figure):
    return "\n".join(text.get_text() for text in figure.findobj(Text))


def genes(n, seed=0):
    rng = np.random.default_rng(seed)
    labels = rng.standard_normal(n).astype(np.float32)
    return labels, (0.6 * labels + 0.4 * rng.standard_normal(n)).astype(np.float32)


def epochs(n, lr=lambda epoch: 5e-4):
    rows = []
    for epoch in range(1, n + 1):
        loss = 0.4 + 0.6 * np.exp(-epoch / 10)
        rows.append({"epoch": epoch, "loss": loss, "val_loss": loss + 0.05, "val_r2": 1 - loss, "lr": lr(epoch)})
    return rows


def draw(kind, path, labels, predictions, title="xpresso PH"):
    if kind == "scatter":
        plot_scatter(path, [Panel("label", labels, predictions, metrics(labels, predictions, resamples=20))], title)
    else:
        plot_density(path, [Panel("label", labels, predictions, {})], title)


def png_size(path):
    content = path.read_bytes()
    assert content.startswith(b"\x89PNG")
    assert content.endswith(b"IEND\xaeB`\x82")
    return int.from_bytes(content[16:20], "big"), int.from_bytes(content[20:24], "big")


UGLY = {
    "one gene": genes(1),
    "three genes": genes(3),
    "constant": (genes(300)[0], np.full(300, 0.1, np.float32)),
    "both constant, many": (np.ones(6000), np.full(6000, 0.1, np.float32)),
    "constant but for rounding": (genes(300)[0], 1 + 2e-16 * np.arange(300)),
    "constant labels": (np.ones(300), genes(300)[1]),
    "far outliers": (genes(300)[0], np.r_[1e6, -300.0, genes(298)[1]]),
    "half far away": (genes(300)[0], np.r_[genes(150)[1], 1e30 * genes(150)[1]]),
    "narrow": (genes(600)[0], 7 + 0.005 * genes(600)[1]),
}


@pytest.mark.parametrize("kind", ["scatter", "density"])
@pytest.mark.parametrize("case", UGLY)
def test_ugly_data_are_drawn(tmp_path, kind, case):
    draw(kind, tmp_path / "plot.png", *UGLY[case])
    assert min(png_size(tmp_path / "plot.png")) >= 40 * 4
    assert [p.name for p in tmp_path.iterdir()] == ["plot.png"]


@pytest.mark.parametrize("kind", ["scatter", "density"])
def test_collapse_is_shown(tmp_path, figures, kind):
    draw(kind, tmp_path / "a.png", *UGLY["constant"])
    draw(kind, tmp_path / "b.png", *genes(300))
    assert "collapsed" in texts(figures[0])
    assert "collapsed" not in texts(figures[1])


@pytest.mark.parametrize("kind", ["scatter", "density"])
def test_outliers_are_counted_and_do_not_set_the_scale(tmp_path, figures, kind):
    draw(kind, tmp_path / "a.png", *UGLY["far outliers"])
    assert "2 genes lie beyond the axes" in texts(figures[0])
    assert all(max(map(abs, axes.get_xlim())) < 20 for axes in figures[0].axes)


@pytest.mark.parametrize("kind", ["scatter", "density"])
@pytest.mark.parametrize("predictions", [np.r_[np.nan, np.ones(9)], np.ones(9)])
def test_bad_predictions_leave_no_file(tmp_path, kind, predictions):
    plot = plot_scatter if kind == "scatter" else plot_density
    with pytest.raises(ValueError, match=r"1 of 10 predictions|10 labels but 9"):
        plot(tmp_path / "plot.png", [Panel("label", np.arange(10), predictions, {})], "")
    assert not list(tmp_path.iterdir())


def test_scatter_shows_the_metrics_given(tmp_path, figures):
    y, p = genes(1000)
    given = {"n": 1234567, "r2": 0.5914, "r2_ci95": [0.55, 0.63], "spearman": 0.7654}
    plot_scatter(tmp_path / "scatter.png", [Panel("label", y, p, given)], "xpresso PH")
    shown = texts(figures[0])
    for wanted in ("xpresso PH", "0.591", "0.550 to 0.630", "ρ = 0.765", "1,234,567", "measured", "predicted"):
        assert wanted in shown
    axes = figures[0].axes[0]
    assert axes.get_xlim() == axes.get_ylim()
    assert axes.get_aspect() == 1


@pytest.mark.parametrize("n", [1_000, 5_000])
def test_the_metrics_stay_within_the_figure(tmp_path, figures, n):
    draw("scatter", tmp_path / "plot.png", *genes(n))
    (shown,) = [text for text in figures[0].findobj(Text) if "Pearson" in text.get_text()]
    assert shown.get_window_extent().x1 <= figures[0].bbox.width


def test_many_genes_are_counted_in_hexagons(tmp_path, figures):
    for n in (4_999, 5_000):
        draw("scatter", tmp_path / "scatter.png", *genes(n))
    points, hexagons = (figure.axes[0].collections[0] for figure in figures)
    assert len(points.get_offsets()) == 4_999
    assert hexagons.get_array().sum() == 5_000
    assert "genes per hexagon" in texts(figures[1])


def test_the_distributions_are_drawn_once_and_hold_all_genes(tmp_path, figures):
    draw("density", tmp_path / "density.png", *genes(2000))
    axes = figures[0].axes[0]
    assert [stairs.get_data().values.sum() for stairs in axes.patches] == [2000, 2000]
    assert not axes.get_lines()


HISTORIES = {
    "two epochs": epochs(2),
    "300 epochs": epochs(300),
    "learning rate from 0": epochs(30, lr=lambda epoch: 1e-4 * (epoch - 1)),
    "learning rate 0": epochs(3, lr=lambda epoch: 0.0),
    "flat losses after a huge one": [
        {"epoch": e, "loss": 1e30 if e == 1 else 1.0, "val_loss": 1.0, "val_r2": 0.0, "lr": 1e-3} for e in range(1, 20)
    ],
}


@pytest.mark.parametrize("case", HISTORIES)
def test_history_is_drawn(tmp_path, case):
    plot_history(tmp_path / "history.png", HISTORIES[case], 1, "xpresso PH")
    assert min(png_size(tmp_path / "history.png")) >= 40 * 4
    assert [p.name for p in tmp_path.iterdir()] == ["history.png"]


def test_what_would_say_nothing_is_not_drawn(tmp_path):
    plot_history(tmp_path / "history.png", epochs(1), 1, "one point")
    trial = {"trial": 0, "value": 0.5, "state": "completed"}
    plots.plot_trials(tmp_path / "trials.png", [trial], "loss", False, "one point")
    plots.plot_importance(tmp_path / "importance.png", dict.fromkeys("abcde", 0.2), "five equal bars")
    assert not list(tmp_path.iterdir())


def test_the_loss_has_its_name(tmp_path, figures):
    plot_history(tmp_path / "history.png", epochs(20), 1, "", loss="mean absolute error")
    assert figures[0].axes[0].get_ylabel() == "mean absolute error"


@pytest.mark.parametrize("n", [300, 5_000])
def test_each_format_is_written_with_text_as_text(tmp_path, n):
    y, p = genes(n)
    found = [Panel("liver", y, p, metrics(y, p, resamples=20), "log10(TPM + 0.1), standardised", (1.5, 0.5))]
    for _ in range(2):
        plot_scatter(tmp_path / "plot.png", found, "xpresso, PH", ["png", "pdf", "svg"])
        files = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
        assert files == files | {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    assert set(files) == {"plot.png", "plot.pdf", "plot.svg"}
    assert files["plot.pdf"].startswith(b"%PDF")
    assert b"CreationDate" not in files["plot.pdf"]
    assert "measured liver (log10(TPM + 0.1))</text>" in files["plot.svg"].decode()
    assert len(files["plot.svg"]) < 1_000_000


def test_history_marks_the_best_epoch(tmp_path, figures):
    history = epochs(50)
    plot_history(tmp_path / "history.png", history, 33, "")
    plot_history(tmp_path / "history.png", history, 99, "")
    assert f"best epoch 33: loss {history[32]['val_loss']:.4g}" in texts(figures[0])
    assert f"best epoch 33: Pearson r² {history[32]['val_r2']:.3f}" in texts(figures[0])
    assert "best epoch" not in texts(figures[1])


def test_learning_rate_has_a_panel_only_when_it_changes(tmp_path, figures):
    # What float32 makes of 5e-4 differs from it by 2e-8 of its size.
    rates = (lambda e: 5e-4 if e < 3 else float(np.float32(5e-4)), lambda e: 1e-3 if e < 7 else 1e-4)
    for rate in rates:
        plot_history(tmp_path / "history.png", epochs(20, lr=rate), 1, "")
    assert [len(figure.axes) for figure in figures] == [2, 3]
    dotted = [line for line in figures[1].axes[0].get_lines() if line.get_linestyle() == ":"]
    assert [line.get_xdata()[0] for line in dotted] == [6.5]


@pytest.mark.parametrize("row", [0, 25])
def test_a_huge_loss_does_not_flatten_the_rest(tmp_path, figures, row):
    history = epochs(50)
    history[row]["loss"] = 1e6
    plot_history(tmp_path / "history.png", history, 50, "")
    assert figures[0].axes[0].get_ylim()[1] < 4
    assert "of 50 epochs lie above, up to 1,000,000" in texts(figures[0]).replace("1e+06", "1,000,000")


def test_an_ordinary_start_is_not_cut(tmp_path, figures):
    flat = epochs(29)
    for row in flat:
        row["loss"] = row["val_loss"] = 1.3 if row["epoch"] == 1 else 1.0 + 1e-4 * (row["epoch"] % 3)
    for history in (epochs(3), epochs(10), epochs(300), flat):
        plot_history(tmp_path / "history.png", history, 1, "")
        assert figures[-1].axes[0].get_ylim()[1] > 1
        assert "lie above" not in texts(figures[-1])


def test_titles_are_drawn_as_they_are(tmp_path, figures):
    title = "50 % of $x^2 {and \\frac " + "word " * 40
    draw("density", tmp_path / "a.png", *genes(10), title=title)
    shown = figures[0].get_suptitle()
    assert shown.startswith("50 % of $x^2 {and \\frac word")
    assert max(map(len, shown.split("\n"))) < 100


@pytest.mark.parametrize("kind", ["scatter", "density"])
def test_same_data_same_bytes_whatever_the_users_style(tmp_path, kind):
    draw(kind, tmp_path / "a.png", *genes(200))
    with matplotlib.rc_context({"font.size": 30, "axes.grid": True, "savefig.dpi": 20, "text.color": "red"}):
        before = dict(matplotlib.rcParams)
        draw(kind, tmp_path / "b.png", *genes(200))
        assert dict(matplotlib.rcParams) == before
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()


def test_is_sharp_enough_for_a_slide(tmp_path, monkeypatch):
    monkeypatch.undo()
    plot_history(tmp_path / "history.png", epochs(2), 1, "")
    assert min(png_size(tmp_path / "history.png")) >= 800


def test_replaces_a_file_and_makes_the_folder(tmp_path):
    path = tmp_path / "plots" / "history.png"
    plot_history(path, epochs(2), 1, "first")
    first = path.read_bytes()
    plot_history(str(path), epochs(3), 1, "second")
    assert path.read_bytes() != first


def test_pyplot_stays_out():
    code = "import sys, genexp.evaluation.plots; sys.exit('matplotlib.pyplot' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


# --- several labels, units ---


def panels(number, n=300):
    found = []
    for label in range(number):
        y, p = genes(n, seed=label)
        found.append(Panel(f"tissue {label}", y, p, metrics(y, p, resamples=20), "log10(TPM + 0.1), standardised"))
    return found


def test_standardised_values_are_drawn_in_the_unit_before(tmp_path, figures):
    y, p = genes(300)
    found = Panel("liver", y, p, metrics(y, p, resamples=20), "log10(TPM + 0.1), standardised", (1.5, 0.5))
    plot_scatter(tmp_path / "a.png", [found], "")
    axes = figures[0].axes[0]
    assert axes.get_xlabel() == "measured liver (log10(TPM + 0.1))"
    drawn = np.asarray(axes.collections[0].get_offsets())
    np.testing.assert_allclose(np.sort(drawn[:, 0]), np.sort(y.astype(float) * 0.5 + 1.5))
    np.testing.assert_allclose(np.sort(drawn[:, 1]), np.sort(p.astype(float) * 0.5 + 1.5))


@pytest.mark.parametrize("plot", [plot_scatter, plot_density])
@pytest.mark.parametrize("number", [2, 3, 5, 12, 13])
def test_each_label_has_a_panel_of_its_own(tmp_path, figures, plot, number):
    plot(tmp_path / "plot.png", panels(number), "xpresso PH, 300 test genes")
    shown, drawn = " ".join(texts(figures[0]).split()), min(number, 12)
    axes = [axis for axis in figures[0].axes if axis.get_xlabel()]
    assert len(axes) == drawn * (1 if plot is plot_scatter else 2)
    for label in range(drawn):
        assert f"tissue {label} (log10(TPM + 0.1), standardised)" in shown
    assert ("the first 12 of 13 labels" in shown) == (number == 13)
    width, height = png_size(tmp_path / "plot.png")
    assert max(width, height) <= 40 * 30


@pytest.mark.parametrize(
    ("name", "unit", "expected"),
    [
        ("label", None, "measured expression (unit not stated)"),
        ("label", "log2(counts + 1)", "measured expression (log2(counts + 1))"),
        ("liver", None, "measured liver"),
        ("liver", "TPM", "measured liver (TPM)"),
    ],
)
def test_axes_name_label_and_unit(tmp_path, figures, name, unit, expected):
    y, p = genes(50)
    plot_scatter(tmp_path / "a.png", [Panel(name, y, p, metrics(y, p, resamples=20), unit)], "")
    plot_density(tmp_path / "b.png", [Panel(name, y, p, {}, unit)], "")
    assert figures[0].axes[0].get_xlabel() == expected
    assert figures[0].axes[0].get_ylabel() == expected.replace("measured", "predicted")
    assert figures[1].axes[0].get_xlabel() == expected.removeprefix("measured ")


def test_a_long_name_is_broken_into_lines(tmp_path, figures):
    y, p = genes(50)
    name = "brain, nucleus accumbens (basal ganglia)"
    found = [Panel(name, y, p, metrics(y, p, resamples=20), "log10(TPM + 0.1), standardised")] * 4
    plot_scatter(tmp_path / "a.png", found, "")
    for axes in figures[0].axes:
        box = axes.xaxis.label.get_window_extent()
        assert box.x0 >= 0
        assert box.x1 <= figures[0].bbox.width


def test_a_collapsed_label_is_marked_in_its_panel(tmp_path, figures):
    found = panels(3)
    y, p = UGLY["constant"]
    found[1] = Panel("dead", y, p, metrics(y, p, resamples=20))
    for plot in (plot_scatter, plot_density):
        plot(tmp_path / "a.png", found, "")
    assert [" ".join(texts(figure).split()).count("the model has collapsed") for figure in figures] == [1, 1]


def test_names_of_genes_in_a_scan_stand_between_the_curve_and_the_border(tmp_path, monkeypatch):
    panels = []
    mark = scan_figure._mark
    monkeypatch.setattr(scan_figure, "_mark", lambda axes, genes: (panels.append(axes), mark(axes, genes)))
    rows = {"start": [*range(0, 900, 100)] * 2, "strand": ["+"] * 9 + ["-"] * 9, "prediction": [1.0, 2.0] * 9}
    genes = [("YBL001C", 200, "+"), ("HOXA10-AS", 500, "-")]
    scan_figure.plot_scan(tmp_path / "scan.png", pd.DataFrame(rows), "prediction", genes, "title", "unit")
    for axes in panels:
        (name,) = axes.texts
        extent = name.get_window_extent()
        assert axes.transData.transform((0, 2))[1] < extent.y0 < extent.y1 < axes.bbox.y1 - 2


def test_names_with_dollars_are_no_mathematics(tmp_path):
    """Matplotlib would fail on some after hours of work, and draw others in italics."""
    rows = {"start": [0, 100], "strand": ["+", "-"], "prediction": [1.0, 2.0]}
    genes = [("g$_$", 50, "+")]
    scan_figure.plot_scan(tmp_path / "scan.png", pd.DataFrame(rows), "prediction", genes, "$x^$", "log2($x^$)")
    insertion = {"motif": ["m$^$"] * 2, "strand": ["+", "-"], "position": [0, 1], "mean": [0.1, 0.2]}
    insertion |= {"low": [0.0, 0.1], "high": [0.2, 0.3]}
    explain_figure.plot_insertion(tmp_path / "insertion.png", pd.DataFrame(insertion), "$^$", ["png"])
    permutation = {"block": ["H"], "feature": ["a$x^$"], "loss": [0.1], "low": [0.0], "high": [0.2]}
    explain_figure.plot_permutation(tmp_path / "permutation.png", pd.DataFrame(permutation), "", ["png"])
    assert len(list(tmp_path.iterdir())) == 3
