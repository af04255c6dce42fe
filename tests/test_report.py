"""The page about a set of runs, from run folders that are written by hand, and as a browser shows it."""

import html
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from markupsafe import escape
from report_runs import CARS, paint, rows, section, table_lines, write
from small_records import row

from experiment import predictions, records
from report import commonest
from reporting import page
from reporting.formats import FORMATS

PROJECT = Path(__file__).parent.parent
FIRST, HOSTILE = "first", "<script>alert('x')<b>&amp; $\\frac$"
@pytest.fixture(scope="module")
def results(tmp_path_factory):
    """Two experiments of two cars and three seeds, one of them with a hostile name, and one that is not finished."""
    root = tmp_path_factory.mktemp("results")
    for number, seed in enumerate((1, 2, 3)):
        for car in CARS:
            run = write(root, FIRST, seed, car, 0.6 + 0.02 * number)
            write(root, HOSTILE, seed, car, 0.075 + 0.01 * number**2, variation="tae")
    paint(run / "images" / "reconstruction_sviro_i3_all.png", "navy")
    paint(run / "images" / "latents_tsne_last.png", "green")
    paint(run / "images" / "latents_tsne_best.png", "olive")
    paint(root / HOSTILE / "1-x5" / "images" / "data_sviro_x5_all.png", "navy")
    (root / HOSTILE / "1-x5" / "images" / "broken.png").write_bytes(b"no picture")
    stopped = write(root, "stopped", 1, "x5", 0.5, done=False, evaluated=False)
    records.append(stopped, rows("stopped", 1, "x5", 0.5)[:2])
    return root


@pytest.fixture(scope="module")
def report(results, tmp_path_factory):
    """The page about all of them, made as a user makes it."""
    out = tmp_path_factory.mktemp("report") / "page.html"
    done = subprocess.run([sys.executable, "report.py", results, "--out", out, "--compare", FIRST, HOSTILE],
                          capture_output=True, text=True, check=False, cwd=PROJECT)
    assert done.returncode == 0, done.stderr
    return out


def test_names_are_text_and_never_run_and_nothing_is_asked_of_a_network(report):
    text = report.read_text()
    assert text.count("<script") == 1
    assert str(escape(HOSTILE)) in text
    assert "infant &lt;seat&gt;" in text
    assert "<seat>" not in text
    assert re.findall(r'(?:src|href)="(?!data:|#part-\d+")[^"]*"', text) == []
    assert "src=" in text
    assert not re.search(r"url\(|@import|<link (?!rel=\"icon\")|<iframe|<object", text)


def markdown_lines(text):
    """Return the cells of lines of numbers about sviro, without the backslashes that Markdown needs."""
    return [re.sub(r"\\([|<`$*&])", r"\1", line.strip("| ")).split(" | ") for line in text.splitlines()
            if line.startswith("| sviro")]


def test_numbers_are_those_of_the_tables(report, results, succeed):
    out = succeed("calculate_mean_and_var_accuracy.py", results, "--pool", "--format", "markdown")
    expected = markdown_lines(out)
    assert len(expected) == 2
    found = table_lines(section(report.read_text(), "Accuracy"))
    # Beside them, of a fourth of the images each class, what is right of the commonest.
    floor = ["25.0 ± 0.0"]
    assert found[1 : 1 + len(expected)] == [line[:3] + floor + line[3:] for line in expected]
    (compared,) = markdown_lines(succeed("calculate_mean_and_var_accuracy.py", results, "--pool", "--compare", FIRST,
                                         HOSTILE, "--format", "markdown"))
    assert compared in found


def test_the_commonest_class_is_one_of_all_factors_where_these_are_pooled():
    """The floor of two cars, one of three empty seats of four, the other of three children of four."""
    classes = np.array(["empty", "child"])
    kept = [predictions.Predictions("a", 1, "sviro", car, "all", "knn", "last", true, true, classes)
            for car, true in zip(CARS, np.uint8([[[0], [0], [0], [1]], [[1], [1], [1], [0]]]), strict=True)]
    assert {(each["factor"], each["value"], each["n"]) for each in commonest(kept, False)} == {
        ("x5", 0.75, 4), ("i3", 0.75, 4)}
    assert [(each["factor"], each["value"], each["n"]) for each in commonest(kept, True)] == [("pooled", 0.5, 8)]


def test_what_is_unfinished_or_lacking_is_listed(report, results):
    lines = table_lines(section(report.read_text(), "What was run"))
    (overview,) = (line for line in lines if line[:1] == ["stopped"] and len(line) == 7 + 1)
    assert overview[2:5] == ["1", "-", "1"]
    said = {line[1]: line[3] for line in lines if line[:1] == ["stopped"] and len(line) == 4}
    assert said == {text: str(results / "stopped" / "1-x5") for text in (
        "training is unfinished: epoch 2 of 4 is recorded", "not evaluated: in no table",
        "no predictions are kept: not among the class-wise figures")}


def test_configs_are_shown_where_they_differ(report):
    apart, alike = section(report.read_text(), "What was run").split("How their configs differ")[1].split("<details>")
    assert table_lines(apart) == [
        [],
        ["dataset.factor", "x5\ni3", "x5\ni3", "i3"],
        ["model.variation", "tae", "ae", "ae"],
        ["evaluation.datasets", "sviro, factor i3\nsviro, factor x5", "sviro, factor i3\nsviro, factor x5",
         "sviro, factor x5"],
    ]  # fmt: skip
    assert ["training.epochs", "4"] in table_lines(alike)


def test_pictures_say_what_they_show_and_none_is_dropped_silently(report, results):
    shown = section(report.read_text(), "Pictures")
    assert list(map(html.unescape, re.findall(r"<figcaption>(.*?)</figcaption>", shown))) == [
        f"Images of sviro (x5), all, as trained or tested on; {HOSTILE}, seed 1",
        f"Latent space of training and evaluation data, t-SNE, weights of the last epoch; {FIRST}, seed 3"]
    same = f"all, weights of the last epoch: the same picture as that of {HOSTILE}, seed 1, above."
    assert f"Reconstructions of sviro (i3), {same}" in html.unescape(shown)
    assert "broken: not shown." in shown
    assert shown.count("Not shown: those of other runs, and of the best epoch") == 2
    listed = [html.unescape(item) for item in re.findall(r"<li>(.*?)</li>", shown)]
    assert len(listed) == 5 + 5 + 1
    assert str(results / FIRST / "3-i3" / "images" / "latents_tsne_best.png") in listed
    assert f"{results / HOSTILE / '2-x5' / 'images'}: 0 pictures" in listed
    assert all(re.findall(r'<img [^>]*alt="([^"]*)"', report.read_text()))


def test_gaps_curves_classes_and_commands_are_there(report):
    text = report.read_text()
    assert ["sviro (x5), all", FIRST, "last epoch", "93.2 ± 0.0", "0.33 ± 0.00", "3", "20"] in table_lines(
        section(text, "Domain gap in the latent space"))
    assert section(text, "Curves over the epochs").count("<img") == 2
    assert section(text, "Classes and seats").count("<img") == 2
    commands = html.unescape(section(text, "Environment and commands"))
    said = [f"python train_ae.py cfg/sviro_unseen_car.toml --seed {seed}" for seed in (1, 2, 3)]
    assert re.findall(r"<code>(python train.*?)</code>", commands) == [*said, *said, said[0]]
    assert f"--compare first '{HOSTILE.replace(chr(39), chr(39) + chr(34) + chr(39) + chr(34) + chr(39))}'" in commands


@pytest.mark.usefixtures("plain")
def test_two_experiments_are_compared_unasked_and_the_file_is_replaced_by_the_same(succeed, results, tmp_path):
    out = tmp_path / "new" / "page.html"
    printed = succeed("report.py", results / FIRST, results / HOSTILE, "--out", out)
    assert printed == f"{out} ({out.stat().st_size / 1e6:.1f} MB)\n"
    text = out.read_text()
    assert f"first compared with {escape(HOSTILE)}" in text
    assert "Nothing: all runs are finished" in text
    succeed("report.py", results / FIRST, results / HOSTILE, "--out", out)
    assert out.read_text() == text
    succeed("report.py", results / "stopped", "--out", out)
    assert [path.name for path in out.parent.iterdir()] == ["page.html"]
    assert "No results of last or best weights are recorded" in out.read_text()


def test_runs_of_the_papers_tables_have_their_table(page_of, tmp_path):
    write(tmp_path / "results", "digits", 1, "", 0.5, name="mnist")
    assert "<h3>Table S7: kNN</h3>" in page_of()


def test_results_in_other_metrics_are_tabulated_and_drawn(page_of, tmp_path):
    run = write(tmp_path / "results", "segmented", 1, "x5", 0.5, evaluated=False)
    records.append(run, [row(metric=metric, classifier="", checkpoint=checkpoint, value=value, epoch=epoch)
                         for metric, value in (("miou", 0.5), ("iou/seat", 0.25))
                         for checkpoint, epoch in (("epoch", 2), ("epoch", 4), ("last", 4))])
    text = page_of()
    lines = table_lines(section(text, "Results"))[1:]
    assert [line[1:5:2] for line in lines] == [["mIoU", "50.0"]]
    assert section(text, "Curves over the epochs").count("<img") == 1


def test_seeds_without_all_factors_are_not_pooled_and_that_is_said(page_of, tmp_path):
    for seed, car in ((1, "x5"), (1, "i3"), (2, "x5")):
        write(tmp_path / "results", "holes", seed, car, 0.5)
    text = page_of()
    assert "Factors are not pooled. holes: seed 2 was evaluated on other factors" in text
    assert {line[0] for line in table_lines(section(text, "Accuracy")) if line} == {"sviro (x5), all",
                                                                                   "sviro (i3), all"}


@pytest.mark.parametrize(("arguments", "said"), [
    (["nowhere"], "nowhere: no run folder here"),
    (["{results}", "--compare", "frist", "stopped"], "did you mean 'first'?"),
    (["{results}", "--out", "{results}"], "is a folder; allowed: a file"),
    (["{results}/first", "--out", "{results}/stopped/1-x5/cfg.toml/page.html"], "cfg.toml: File exists"),
])  # fmt: skip
@pytest.mark.usefixtures("plain")
def test_mistakes_are_one_line(script, results, arguments, said):
    code, out, err = script("report.py", *(each.format(results=results) for each in arguments))
    last = [line for line in err.strip().splitlines() if line.startswith("error: ")]
    assert (code, out, len(last)) == (2, "", 1)
    assert said in last[0]


def test_a_seed_with_several_values_is_refused(fail, tmp_path):
    run = write(tmp_path / "results", "twice", 1, "x5", 0.5)
    other = shutil.copytree(run, run.with_name("other"))
    records.append(other, rows("twice", 1, "x5", 0.25)[-3:-2])
    message = fail("report.py", tmp_path / "results", "--out", tmp_path / "page.html")
    assert "several runs hold different values" in message
    assert not (tmp_path / "page.html").exists()


BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome", "chrome"))), None)
needs_browser = pytest.mark.skipif(BROWSER is None, reason="no Chromium or Chrome is installed to show the page in")

# The page lies in a frame, which can be narrower than any window; this script looks at it and reports as JSON.
WRAPPER = """<!DOCTYPE html><body><iframe src="{page}" style="width: 390px; height: 800px"></iframe>
<pre id="found"></pre><script>
console.log("the wrapper speaks");
document.querySelector("iframe").addEventListener("load", (event) => {{
  const frame = event.target, page = frame.contentDocument, found = {{}};
  const cells = (table, index) => Array.from(table.tBodies[0].rows, (row) => row.cells[index].textContent);
  for (const details of page.querySelectorAll("details")) details.open = true;
  for (const width of [390, 768, 1440]) {{
    frame.style.width = `${{width}}px`;
    const pictures = Array.from(page.images, (image) => image.getBoundingClientRect());
    found[width] = {{
      inner: frame.contentWindow.innerWidth, scroll: page.documentElement.scrollWidth,
      scrolling: Array.from(page.querySelectorAll(".wide"))
        .filter((each) => each.scrollWidth > each.clientWidth).length,
      narrowest: Math.min(...pictures.map((each) => each.width)),
      right: Math.max(...Array.from(page.querySelectorAll("p, pre, h1, h2, h3, summary, .wide, figure > div"),
                                    (each) => each.getBoundingClientRect().right)),
    }};
  }}
  const tables = Array.from(page.querySelectorAll("table"));
  const table = tables.find((each) => each.tHead.textContent.includes("last epoch") && each.tBodies[0].rows.length > 3);
  const heads = Array.from(table.tHead.rows[0].cells);
  const head = heads.find((each) => each.textContent.startsWith("last epoch"));
  const button = head.querySelector("button");
  button.focus();
  found.focused = page.activeElement === button;
  found.align = frame.contentWindow.getComputedStyle(table.tBodies[0].rows[0].cells[head.cellIndex]).textAlign;
  found.before = [cells(table, head.cellIndex), head.getAttribute("aria-sort")];
  for (const name of ["up", "down"]) {{
    button.click();
    found[name] = [cells(table, head.cellIndex), head.getAttribute("aria-sort")];
  }}
  heads[0].querySelector("button").click();
  found.text = [cells(table, 0), head.getAttribute("aria-sort"), heads[0].getAttribute("aria-sort")];
  found.outside = Array.from(page.querySelectorAll(".graph g")).filter((box) => {{
    const edge = box.querySelector("rect").getBoundingClientRect().right;
    return Array.from(box.querySelectorAll("text")).some((each) => each.getBoundingClientRect().right > edge);
  }}).length;
  found.broken = Array.from(page.images).filter((image) => !image.naturalWidth).length;
  document.getElementById("found").textContent = JSON.stringify(found);
}});
</script></body>"""


def browse(folder, url, *options):
    """Run a headless browser with a profile of its own; return what it prints on stdout and stderr."""
    flags = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync",
             "--disable-background-networking", "--disable-component-update", "--allow-file-access-from-files",
             "--hide-scrollbars", "--enable-logging=stderr", f"--user-data-dir={folder / 'profile'}"]
    environment = {name: value for name, value in os.environ.items() if name != "DISPLAY"}
    done = subprocess.run([BROWSER, *flags, *options, url], capture_output=True, text=True, timeout=120, check=True,
                          env=environment)
    return done.stdout, done.stderr


def look(folder, path):
    """Return what a browser finds on a page, and the lines on its console."""
    (folder / "wrapper.html").write_text(WRAPPER.format(page=path.as_uri()))
    dom, log = browse(folder, (folder / "wrapper.html").as_uri(), "--virtual-time-budget=5000", "--dump-dom")
    found = re.search(r'<pre id="found">(.*?)</pre>', dom, re.DOTALL)[1]
    return json.loads(html.unescape(found)), [line for line in log.splitlines() if "CONSOLE" in line]


@pytest.fixture(scope="module")
def seen(report, tmp_path_factory):
    return look(tmp_path_factory.mktemp("browser"), report)


@needs_browser
@pytest.mark.parametrize("width", ["390", "768", "1440"])
def test_the_page_never_scrolls_sideways(seen, width):
    found = seen[0][width]
    assert found["inner"] == int(width)
    assert found["scroll"] <= found["inner"]
    assert found["right"] <= found["inner"]


@needs_browser
def test_wide_tables_scroll_by_themselves_and_figures_stay_legible_on_a_phone(seen):
    assert seen[0]["390"]["scrolling"] > 3
    assert seen[0]["390"]["narrowest"] >= 390 - 2 * 16 - 2 * 8 - 2
    assert seen[0]["broken"] == 0
    # Texts of the graph fit into their boxes.
    assert seen[0]["outside"] == 0
    # The console stays silent.
    (own,) = seen[1]
    assert "the wrapper speaks" in own


@needs_browser
def test_a_click_on_a_header_sorts_signs_exponents_and_missing_values_as_what_they_are(tmp_path):
    cells = ["10.2 ± 3.0", "-", "-0.5", "2e-05", "nan", "+3.1 to +4.0", "9.7 ± 0.1 *", "-12.0", "0.0004"]
    table = FORMATS["html"](("name", "last epoch"), [*zip("hbcdefgai", cells, strict=True)], 1)
    (tmp_path / "page.html").write_text(page.page("sorting", "", [page.Section("all", table)]))
    found, console = look(tmp_path, tmp_path / "page.html")
    numbers = ["-12.0", "-0.5", "2e-05", "0.0004", "+3.1 to +4.0", "9.7 ± 0.1 *", "10.2 ± 3.0"]
    assert found["before"] == [cells, None]
    assert found["up"] == [[*numbers, "-", "nan"], "ascending"]
    assert found["down"] == [[*numbers[::-1], "-", "nan"], "descending"]
    assert found["text"] == [[*"abcdefghi"], None, "ascending"]
    assert (found["focused"], found["align"], len(console)) == (True, "right", 1)


@needs_browser
@pytest.mark.skipif(shutil.which("pdftotext") is None, reason="no pdftotext (poppler-utils) is installed")
def test_print_cuts_nothing_off_and_unfolds_what_is_folded(report, tmp_path):
    browse(tmp_path, report.as_uri(), "--no-pdf-header-footer", f"--print-to-pdf={tmp_path / 'page.pdf'}")
    subprocess.run(["pdftotext", "-bbox", tmp_path / "page.pdf", tmp_path / "words.html"], check=True)
    words = (tmp_path / "words.html").read_text()
    pages = [float(width) for width in re.findall(r'<page width="([\d.]+)"', words)]
    right = [float(edge) for edge in re.findall(r'xMax="([\d.]+)"', words)]
    assert len(right) > 300
    assert max(right) <= min(pages) - 20
    # The last column of the widest table, and what is folded away on a screen.
    for word in ("words", "points", "effect", "training.epochs", "2.9.0"):
        assert f">{word}<" in words
