"""Small experiments that train in seconds, shared by the tests."""

import functools
import os
import re
import runpy
import shutil
import sys
from pathlib import Path

# One thread: the networks of the tests are too small to share out, and processes started by tests run beside them.
os.environ["OMP_NUM_THREADS"] = "1"

import pytest
import torch

PROJECT = Path(__file__).parent.parent

CONFIG = """
[dataset]
name = "glyphs"
limit = {limit}
image_size = 32
cache = "{cache}"

[model]
type = "{type}"
variation = "{variation}"
extractor = "small_cnn"
weights = "none"
dimension = 8
knn = 5

[training]
batch_size = 16
epochs = 3
learning_rate = 1e-3
loss = "{loss}"
device = "cpu"

[[evaluation.datasets]]
name = "handwritten"
limit = 60
"""


@pytest.fixture(scope="session")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cache folder for prepared images that all tests share."""
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="session")
def standins(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Small stand-ins of all datasets, SVIRO-NoCar's under the name that the published code gives it."""
    from standin import write_standin

    root = tmp_path_factory.mktemp("standins")
    write_standin("sviro_nocar", root, sceneries=14, variants=2)
    (root / "SVIRO-NoCar").rename(root / "SEATS_AND_PEOPLE_NOCAR")
    write_standin("ticam", root, sceneries=4)
    write_standin("sviro", root, sceneries=6, seed=1)
    write_standin("sviro_illumination", root, sceneries=4, variants=2)
    write_standin("mpi3d", root, steps=1)
    write_standin("mnist", root, sceneries=24)
    write_standin("digit_photos", root, sceneries=10)
    return root


def write_config(folder: Path, cache: Path, type: str, variation: str, loss: str = "ssim", limit: int = 40) -> Path:
    path = folder / f"tiny_{type}_{variation}.toml"
    text = CONFIG.format(type=type, variation=variation, loss=loss, limit=limit, cache=cache)
    # What a classifier's config does not know.
    path.write_text(re.sub("^(dimension|knn|loss) = .*\n", "", text, flags=re.M) if type == "classifier" else text)
    return path


@pytest.fixture
def config_file(tmp_path: Path, cache: Path):
    """Write a tiny experiment's TOML file; returns its path."""
    return lambda type="extractor", variation="tae", **options: write_config(tmp_path, cache, type, variation,
                                                                             **options)


def start(name: str, *arguments: object) -> int:
    """Run a script's code as `python NAME ARGUMENTS` would; returns its exit code."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", [name, *map(str, arguments)])
        try:
            runpy.run_path(str(PROJECT / name), run_name="__main__")
        except SystemExit as stop:
            return int(stop.code or 0)
    return 0


@pytest.fixture
def script(capsys: pytest.CaptureFixture[str]):
    """Run a script as `start` does; returns exit code, stdout and stderr."""

    def run(name: str, *arguments: object) -> tuple[int, str, str]:
        capsys.readouterr()
        code = start(name, *arguments)
        return code, *capsys.readouterr()

    return run


@pytest.fixture
def succeed(script):
    """Run a script that has to succeed; returns its stdout."""

    def run(name: str, *arguments: object) -> str:
        code, out, err = script(name, *arguments)
        assert code == 0, err
        return out

    return run


@pytest.fixture
def fail(script):
    """Run a script that has to end with exit code 2 and one line of error, which may follow warnings; returns it."""

    def run(name: str, *arguments: object) -> str:
        code, _, err = script(name, *arguments)
        assert code == 2, err
        [line] = [line for line in err.splitlines() if not line.startswith("warning: ")]
        assert line.startswith("error: ")
        return line

    return run


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory, cache: Path):
    """Train a tiny run without pictures, once for all tests that ask for it; returns its folder, to be left as it is.

    changes: values of --set, or further arguments behind them; copy: where a test wants a copy, to do with as it likes.
    """

    @functools.cache
    def train(type: str, variation: str, *changes: str) -> Path:
        folder = tmp_path_factory.mktemp("finished")
        name = "train_classifier.py" if type == "classifier" else "train_ae.py"
        with pytest.MonkeyPatch.context() as patch:
            leave_out_pictures(patch)
            config = write_config(folder, cache, type, variation)
            assert start(name, config, "--out", folder / "run", "--set", "training.seed=1", *changes) == 0
        return folder / "run"

    def run(type: str = "extractor", variation: str = "tae", *changes: str, copy: Path | None = None) -> Path:
        folder = train(type, variation, *changes)
        return shutil.copytree(folder, copy) if copy else folder

    return run


@pytest.fixture
def generator() -> torch.Generator:
    return torch.Generator().manual_seed(0)


def leave_out_pictures(patch: pytest.MonkeyPatch) -> None:
    for function in ("evaluation.sheets.draw_data", "reporting.pictures.reconstruction_sheet"):
        patch.setattr(function, lambda *_: None)


@pytest.fixture
def no_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave out the drawing at the end of a run, which takes longer than tiny runs themselves."""
    leave_out_pictures(monkeypatch)


@pytest.fixture
def figures(monkeypatch: pytest.MonkeyPatch) -> list:
    """The figures that are drawn, which are written all the same."""
    from reporting import style

    drawn, written = [], style._make_printable
    monkeypatch.setattr(style, "_make_printable", lambda figure: drawn.append(figure) or written(figure))
    return drawn


@pytest.fixture
def plain(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave out the drawing of figures, which takes longer than all else of a page; the page of `report` has them."""
    from report_runs import paint

    def draw(path: Path, *_: object) -> list[Path]:
        paint(path.with_suffix(".png"), "white", (20, 20))
        return [path.with_suffix(".pdf"), path.with_suffix(".png")]

    monkeypatch.setattr("reporting.curves.draw_curves", draw)
    monkeypatch.setattr("reporting.confusion.draw_classwise", lambda folder, _: draw(folder / "classes"))


@pytest.fixture
def page_of(succeed, tmp_path: Path, plain: None):
    """Make the page about the runs below tmp_path / "results"; returns its text."""
    def make() -> str:
        succeed("report.py", tmp_path / "results", "--out", tmp_path / "page.html")
        return (tmp_path / "page.html").read_text()

    return make
