"""Small experiments that train in seconds, shared by the tests."""

import os
import re
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


@pytest.fixture
def config_file(tmp_path: Path, cache: Path):
    """Write a tiny experiment's TOML file; returns its path."""

    def write(type: str = "extractor", variation: str = "tae", loss: str = "ssim", limit: int = 40) -> Path:
        path = tmp_path / f"tiny_{type}_{variation}.toml"
        text = CONFIG.format(type=type, variation=variation, loss=loss, limit=limit, cache=cache)
        # What a classifier's config does not know.
        path.write_text(re.sub("^(dimension|knn|loss) = .*\n", "", text, flags=re.M) if type == "classifier" else text)
        return path

    return write


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    """Run a script's code as `python NAME ARGUMENTS` would; returns exit code, stdout and stderr."""
    import runpy

    def run(name: str, *arguments: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", [name, *map(str, arguments)])
        code = 0
        capsys.readouterr()
        try:
            runpy.run_path(str(PROJECT / name), run_name="__main__")
        except SystemExit as stop:
            code = int(stop.code or 0)
        out, err = capsys.readouterr()
        return code, out, err

    return run


@pytest.fixture
def generator() -> torch.Generator:
    return torch.Generator().manual_seed(0)


@pytest.fixture
def no_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave out the drawing at the end of a run, which takes longer than tiny runs themselves."""
    for function in ("evaluation.sheets.draw_data", "reporting.pictures.reconstruction_sheet"):
        monkeypatch.setattr(function, lambda *_: None)
