import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from matplotlib.colors import to_rgba
from PIL import Image

from reporting import pictures
from reporting.pictures import contact_sheet, reconstruction_sheet, sample_sheet, verdict_sheet
from reporting.style import new_figure, save, save_figure

PROJECT = Path(__file__).parents[2]


def images(count, channels=1, size=16, kind="uint8"):
    values = np.random.default_rng(0).integers(0, 256, (count, channels, size, size), dtype=np.uint8)
    return values if kind == "uint8" else (values / 255).astype(np.float32)


@pytest.fixture
def drawn(monkeypatch):
    """The figures that were drawn, which are written all the same."""
    figures = []

    def keep(figure, path):
        figures.append(figure)
        save_figure(figure, path)

    monkeypatch.setattr(pictures, "save_figure", keep)
    return figures


def shown(figure):
    """The images of a figure, in reading order."""
    return [image.get_array() for ax in figure.axes for image in ax.get_images()]


def texts(figure):
    written = [ax.get_title() for ax in figure.axes] + [text.get_text() for ax in figure.axes for text in ax.texts]
    return [text for text in written if text]


def expected_view(image):
    return image[0] if len(image) == 1 else np.moveaxis(image, 0, -1)


def assert_png(path):
    with Image.open(path) as image:
        assert image.format == "PNG"
        pixels = np.asarray(image.convert("L"))
    assert min(pixels.shape) > 100
    assert np.ptp(pixels) > 200


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("kind", ["uint8", "float"])
def test_a_contact_sheet_shows_each_variant_in_the_row_of_its_scenery(tmp_path, drawn, channels, kind):
    variants = [images(4, channels, kind=kind) for _ in range(3)]
    contact_sheet(tmp_path / "sheet.png", variants, ["zero", "one", "two"], "glyphs")
    (figure,) = drawn
    assert_png(tmp_path / "sheet.png")
    for found, image in zip(shown(figure), np.concatenate(variants), strict=True):
        np.testing.assert_array_equal(found, expected_view(image))
    assert [text for text in texts(figure) if text in ("zero", "one", "two")] == ["zero", "one", "two"]
    assert [text for text in texts(figure) if text.isdigit()] == ["1", "2", "3", "4"]
    assert "glyphs" in figure.get_suptitle()


def test_a_contact_sheet_leaves_gaps_where_a_scenery_has_fewer_variants(tmp_path, drawn):
    contact_sheet(tmp_path / "sheet.png", [images(1), images(3), images(2)], ["a", "b", "c"], "uneven")
    grid = np.array([len(ax.get_images()) for ax in drawn[0].axes]).reshape(3, 3)
    assert grid.tolist() == [[1, 0, 0], [1, 1, 1], [1, 1, 0]]


def test_a_contact_sheet_of_single_variants_numbers_no_columns(tmp_path, drawn):
    contact_sheet(tmp_path / "sheet.png", [images(1), images(1)], ["a", "b"], "sviro")
    assert texts(drawn[0]) == ["a", "b"]
    assert "variant" not in drawn[0].get_suptitle()


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize(("count", "columns"), [(1, 10), (10, 10), (11, 10), (5, 2)])
def test_a_sample_sheet_shows_every_image_with_its_class(tmp_path, drawn, channels, count, columns):
    values = images(count, channels)
    labels = [f"class {i}" for i in range(count)]
    sample_sheet(tmp_path / "sheet.png", values, labels, "training images", columns)
    (figure,) = drawn
    assert_png(tmp_path / "sheet.png")
    for found, image in zip(shown(figure), values, strict=True):
        np.testing.assert_array_equal(found, expected_view(image))
    used = [ax for ax in figure.axes if ax.get_images()]
    assert [ax.get_title() for ax in used] == labels
    assert texts(figure) == labels
    assert len(figure.axes) == -(-count // columns) * columns


@pytest.mark.parametrize("channels", [1, 3])
def test_a_reconstruction_sheet_shows_inputs_above_their_reconstructions(tmp_path, drawn, channels):
    inputs, outputs = images(6, channels, kind="float")[:3], images(6, channels, kind="float")[3:]
    reconstruction_sheet(tmp_path / "sheet.png", inputs, outputs, ["a", "b", "c"], "epoch 3")
    (figure,) = drawn
    assert_png(tmp_path / "sheet.png")
    for found, image in zip(shown(figure), (*inputs, *outputs), strict=True):
        np.testing.assert_array_equal(found, expected_view(image))
    assert [ax.get_title() for ax in figure.axes] == ["a", "b", "c", "", "", ""]
    assert {"input", "reconstruction"} <= set(texts(figure))
    upper, lower = (ax.get_position().y0 for ax in (figure.axes[0], figure.axes[3]))
    assert upper > lower


@pytest.mark.parametrize(("kind", "top"), [("uint8", 255), ("float", 1)])
def test_grey_values_are_shown_on_the_full_scale_and_not_stretched(tmp_path, drawn, kind, top):
    dim = images(1, kind=kind) // 2 if kind == "uint8" else images(1, kind=kind) / 2
    sample_sheet(tmp_path / "sheet.png", dim, ["dim"], "dim")
    (image,) = drawn[0].axes[0].get_images()
    assert image.get_clim() == (0, top)
    assert image.get_cmap().name == "gray"


def test_a_picture_is_replaced_and_its_folder_is_made(tmp_path):
    path = tmp_path / "new" / "folder" / "sheet.png"
    sample_sheet(path, images(1), ["a"], "one")
    first = path.read_bytes()
    sample_sheet(path, images(3), ["a", "b", "c"], "three")
    assert path.read_bytes() != first
    assert [each.name for each in path.parent.iterdir()] == ["sheet.png"]


def test_figures_have_the_size_in_inches_and_no_global_state(tmp_path):
    import matplotlib.pyplot as plt

    before = plt.get_fignums()
    figure = new_figure(3.5, 2)
    save_figure(figure, tmp_path / "a.png")
    assert plt.get_fignums() == before
    with Image.open(tmp_path / "a.png") as image:
        assert image.size == (700, 400)


def test_reporting_imports_no_torch():
    code = "import reporting.pictures, reporting.tables, sys; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], cwd=PROJECT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_a_verdict_sheet_frames_and_marks_each_column_by_its_verdict(tmp_path, monkeypatch):
    figures = []
    monkeypatch.setattr(pictures, "save", lambda figure, path: figures.append(figure) or save(figure, path))
    values, right = images(24, kind="float").reshape(2, 12, 1, 16, 16), [True, False] * 6
    rows = {"input": (values[0], [f"class {i}" for i in range(12)]), "output": (values[1], [])}
    paths = verdict_sheet(tmp_path / "sheet", rows, [f"guess {i}" for i in range(12)], right, "verdicts")
    assert [path.name for path in paths] == ["sheet.pdf", "sheet.png"]
    assert_png(paths[1])
    grid = np.array(figures[0].axes).reshape(4, 10)
    assert [[ax.get_visible() for ax in row].count(True) for row in grid] == [10, 10, 2, 2]
    for i in range(12):
        for line in (0, 1):
            ax = grid[2 * (i // 10) + line, i % 10]
            np.testing.assert_array_equal(ax.get_images()[0].get_array(), values[line, i, 0])
            colour, dashes, mark = pictures.RIGHT if right[i] else pictures.WRONG
            assert {spine.get_edgecolor() for spine in ax.spines.values()} == {to_rgba(colour)}
            assert {spine.get_linestyle() for spine in ax.spines.values()} == {dashes}
            assert ax.get_title() == (f"class {i}\n{mark} guess {i}" if line == 0 else "")
    assert pictures.RIGHT[0] != pictures.WRONG[0]
    assert pictures.RIGHT[1] != pictures.WRONG[1]
