"""``genexp report``: one page of a run or a comparison, opened in a real browser where there is one."""

import html
import json
import re
import shlex
import shutil
import subprocess

import pytest

import genexp

#: Whether anything of a page is wider than it, or its script failed; at the widths of a phone and a desktop.
WIDTHS = (390, 1280)
PROBE = """<!doctype html><meta charset="utf-8"><body><script>
const pages = %s, found = [];
async function look(html, width, scheme) {
  const frame = document.createElement("iframe");
  frame.style = `width:${width}px;height:900px;border:0;color-scheme:${scheme}`;
  frame.srcdoc = html;
  await new Promise(done => { frame.onload = done; document.body.append(frame); });
  const view = frame.contentWindow, page = frame.contentDocument;
  for (const each of page.querySelectorAll("details")) each.open = true;
  const circles = [...page.querySelectorAll("svg.chart circle.gene")], last = circles.at(-1);
  if (last) {
    const at = last.getBoundingClientRect();
    const event = new view.PointerEvent("pointermove", {clientX: at.x + at.width / 2, clientY: at.y + at.height / 2});
    last.closest("svg").dispatchEvent(event);
  }
  found.push({
    width, scheme, errors: view.errors, loaded: view.performance.getEntriesByType("resource").length,
    wide: page.documentElement.scrollWidth - view.innerWidth,
    small: Math.min(...[...page.querySelectorAll("svg.chart text")].map(text => text.getBoundingClientRect().height)),
    pictures: [...page.images].map(image => image.naturalWidth),
    tip: page.getElementById("tip").textContent, genes: circles.length,
    paper: view.getComputedStyle(page.body).backgroundColor,
  });
}
(async () => {
  for (const html of pages)
    for (const width of %s)
      for (const scheme of ["light", "dark"]) await look(html, width, scheme);
  const result = document.createElement("pre");
  result.id = "found";
  result.textContent = JSON.stringify(found);
  document.body.replaceChildren(result);
})();
</script>"""
CATCH = "<head><script>errors = []; onerror = (what) => errors.push(String(what));</script>"


def opened(pages, tmp_path):
    """Return what a browser finds in some pages, at each width, light and dark."""
    browser = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome", "chrome"))), None)
    if browser is None:
        pytest.skip("no Chromium is installed")
    content = json.dumps([page.replace("<head>", CATCH, 1) for page in pages]).replace("</", "<\\/")
    (tmp_path / "probe.html").write_text(PROBE % (content, list(WIDTHS)), encoding="utf-8")
    flags = ["--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={tmp_path / 'browser'}"]
    flags += ["--virtual-time-budget=20000", "--window-size=1400,1000", "--dump-dom"]
    done = subprocess.run(
        [browser, *flags, (tmp_path / "probe.html").as_uri()], capture_output=True, text=True, timeout=120, check=True
    )
    text = re.search(r'<pre id="found">(.*?)</pre>', done.stdout, flags=re.DOTALL)
    assert text, done.stdout[-2000:] + done.stderr[-2000:]
    return json.loads(text[1].replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&"))


@pytest.fixture(scope="module")
def several(finished_run, tmp_path_factory):
    """Two runs of one group, one of another, and an interrupted one; genes with names and chromosomes."""
    place = tmp_path_factory.mktemp("several")
    root = place / "data"
    source = json.loads((finished_run / "environment.json").read_text())["dataset"]["source"]
    shutil.copytree(source, root)
    rows = (finished_run / "predictions.csv").read_text().splitlines()[1:]
    genes = [f"{row.split(',')[0]}\tname{n}\tchr{n % 3}" for n, row in enumerate(rows)]
    (root / "genes.tsv").write_text("\n".join(["gene\tgene_name\tchromosome", *genes]) + "\n")
    for name, seed, rate in (("a", 0, 0.01), ("b", 1, 0.01), ("c", 0, 0.02), ("d", 2, 0.01)):
        run = shutil.copytree(finished_run, place / name)
        for file in (run / "config.yaml", run / "environment.json"):
            text = file.read_text().replace(str(source), str(root)).replace("seed: 0\n", f"seed: {seed}\n", 1)
            file.write_text(text.replace("learning_rate: 0.01", f"learning_rate: {rate}"))
    (place / "a" / "explain").mkdir()
    shutil.copy(finished_run / "plots" / "scatter.png", place / "a" / "explain" / "permutation.png")
    methods = {"permutation": {"title": "permutation importance of features"}}
    (place / "a" / "explain" / "explain.json").write_text(json.dumps({"methods": methods}))
    (place / "d" / "metrics.json").write_text(json.dumps({"status": "interrupted", "reason": "stopped by a <signal>"}))
    return place


def test_pages_open_without_errors_and_fit_phone_and_desktop(several, tmp_path, cli):
    words = {"one": f"runs={several / 'a'}", "all": f"runs={several}", "dead": f"runs={several / 'd'}"}
    pages = {}
    for name, word in words.items():
        out = tmp_path / f"{name}.html"
        done = cli("report", word, f"out={out}")
        assert done.returncode == 0, done.stderr
        pages[name] = out.read_text()
        assert "http://" not in re.sub(r"https?://[\w./]*github[\w./]*", "", pages[name])
    wanted = ("Residuals by chromosome", "Spearman correlation of residual", "name33", "CDSLEN", "chr1", "Cite")
    for page in (pages["one"], pages["all"]):
        assert [text for text in wanted if text not in page] == []
    assert "Pearson r² of the validation genes" in pages["one"]
    assert "Permutation importance of features" in pages["one"]
    assert "3 runs in 2 groups" in pages["all"]
    assert "This run is interrupted" in pages["dead"]
    assert "a &lt;signal&gt;" in pages["dead"]

    found = opened(list(pages.values()), tmp_path)
    assert len(found) == len(pages) * len(WIDTHS) * 2
    for each in found:
        assert each["errors"] == [], each
        assert each["wide"] <= 0, each
        assert each["loaded"] == 0, each
        if each["genes"]:
            assert each["genes"] == 32
            assert re.search(r"name\d+\nmeasured .*, predicted ", each["tip"]), each
            assert each["small"] >= 9, each
    assert [len(each["pictures"]) for each in found[::4]] == [1, 0, 0]
    assert found[0]["pictures"][0] > 500
    assert len({each["paper"] for each in found}) == 2, "light and dark"


def test_the_report_of_a_run_is_written_anew_and_another_file_is_not(several, tmp_path, cli):
    for _ in range(2):
        assert cli("report", f"runs={several / 'a'}").returncode == 0
    page = several / "a" / "report.html"
    assert genexp.report(several / "a") == page
    for words, message in (
        ((f"runs={several / 'a'}", f"out={page}"), "it exists already"),
        ((f"runs=[{several / 'a'},{several / 'b'}]",), "add out=report.html"),
        ((f"runs={tmp_path}",), "there is no run here"),
        ((f"runs={several / 'a'}", f"out={tmp_path / 'x.pdf'}"), f"hint: out={tmp_path / 'x.html'}\n"),
    ):
        done = cli("report", *words)
        assert done.returncode == 2
        assert message in done.stderr
    page.unlink()


def test_a_dataset_that_has_changed_gives_no_residuals_by_feature(several, tmp_path, cli):
    for name, replaced in (("gone", str(tmp_path / "nowhere")), ("other", None)):
        run = shutil.copytree(several / "a", tmp_path / name)
        config = run / "config.yaml"
        if replaced:
            config.write_text(re.sub(r"root: .*", f"root: {replaced}", config.read_text()))
        else:
            table = run / "predictions.csv"
            table.write_text(re.sub(r"^(\w+,test),[^,]+", r"\1,0.5", table.read_text(), count=1, flags=re.MULTILINE))
        assert cli("report", f"runs={run}").returncode == 0
        text = (run / "report.html").read_text()
        assert "Residuals by feature are not shown" in text
        assert "Spearman correlation of residual" not in text


def test_damaged_runs_do_not_stop_the_report_of_others(several, tmp_path, cli):
    for name in "abcd":
        shutil.copytree(several / name, tmp_path / "runs" / name)
    (tmp_path / "runs" / "b" / "metrics.json").write_text("")
    for history in ("", "epoch,loss\n1,2\n2,1\n", "epoch,loss,val_loss,val_r2\n1,x,1,0\n"):
        (tmp_path / "runs" / "d" / "history.csv").write_text(history)
        done = cli("report", f"runs={tmp_path / 'runs'}")
        assert done.returncode == 0, done.stderr
        assert "d has no curve: " in done.stdout + done.stderr
    assert "cannot be read (metrics.json: " in (tmp_path / "runs" / "report.html").read_text()


def test_the_command_of_the_run_is_shown_without_needless_quotes(several, tmp_path, cli):
    run = shutil.copytree(several / "a", tmp_path / "run")
    environment = json.loads((run / "environment.json").read_text())
    environment["command"] = shlex.join(["genexp", "train", "hydra.run.dir='/tmp/x y'", "a='/tmp/x-1'", "b='1'"])
    (run / "environment.json").write_text(json.dumps(environment))
    assert cli("report", f"runs={run}").returncode == 0
    page = html.unescape((run / "report.html").read_text())
    assert """genexp train 'hydra.run.dir=/tmp/x y' a=/tmp/x-1 'b='"'"'1'"'"''""" in page
