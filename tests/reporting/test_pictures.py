import numpy as np
import pytest
from matplotlib.colors import to_rgba
from PIL import Image

from reporting import pictures
from reporting.pictures import contact_sheet, pair_sheet, reconstruction_sheet, sample_sheet, verdict_sheet


def images(count, channels=1, size=16, kind="uint8"):
    values = np.random.default_rng(0).integers(0, 256, (count, channels, size, size), dtype=np.uint8)
    return values if kind == "uint8" else (values / 255).astype(np.float32)


def assert_shown(figure, expected):
    """Compare the images of a figure, in reading order."""
    shown = [image.get_array() for ax in figure.axes for image in ax.get_images()]
    for found, image in zip(shown, expected, strict=True):
        np.testing.assert_array_equal(found, image[0] if len(image) == 1 else np.moveaxis(image, 0, -1))


def texts(figure):
    written = [ax.get_title() for ax in figure.axes] + [text.get_text() for ax in figure.axes for text in ax.texts]
    return [text for text in written if text]


def assert_png(path):
    with Image.open(path) as image:
        assert image.format == "PNG"
        pixels = np.asarray(image.convert("L"))
    assert min(pixels.shape) > 100
    assert np.ptp(pixels) > 200


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("kind", ["uint8", "float"])
def test_a_contact_sheet_shows_each_variant_in_the_row_of_its_scenery(tmp_path, figures, channels, kind):
    variants = [images(4, channels, kind=kind) for _ in range(3)]
    contact_sheet(tmp_path / "sheet.png", variants, ["zero", "one", "two"], "glyphs")
    (figure,) = figures
    assert_png(tmp_path / "sheet.png")
    assert_shown(figure, np.concatenate(variants))
    assert [text for text in texts(figure) if text in ("zero", "one", "two")] == ["zero", "one", "two"]
    assert [text for text in texts(figure) if text.isdigit()] == ["1", "2", "3", "4"]
    assert "glyphs" in figure.get_suptitle()


def test_a_contact_sheet_leaves_gaps_where_a_scenery_has_fewer_variants(tmp_path, figures):
    contact_sheet(tmp_path / "sheet.png", [images(1), images(3), images(2)], ["a", "b", "c"], "uneven")
    grid = np.array([len(ax.get_images()) for ax in figures[0].axes]).reshape(3, 3)
    assert grid.tolist() == [[1, 0, 0], [1, 1, 1], [1, 1, 0]]


def test_a_contact_sheet_of_single_variants_numbers_no_columns(tmp_path, figures):
    contact_sheet(tmp_path / "sheet.png", [images(1), images(1)], ["a", "b"], "sviro")
    assert texts(figures[0]) == ["a", "b"]
    assert "variant" not in figures[0].get_suptitle()


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize(("count", "columns"), [(1, 10), (10, 10), (11, 10), (5, 2)])
def test_a_sample_sheet_shows_every_image_with_its_class(tmp_path, figures, channels, count, columns):
    values = images(count, channels)
    labels = [f"class {i}" for i in range(count)]
    sample_sheet(tmp_path / "sheet.png", values, labels, "training images", columns)
    (figure,) = figures
    assert_png(tmp_path / "sheet.png")
    assert_shown(figure, values)
    used = [ax for ax in figure.axes if ax.get_images()]
    assert [ax.get_title() for ax in used] == labels
    assert texts(figure) == labels
    assert len(figure.axes) == -(-count // columns) * columns


@pytest.mark.parametrize("channels", [1, 3])
def test_a_reconstruction_sheet_shows_inputs_above_their_reconstructions(tmp_path, figures, channels):
    inputs, outputs = images(6, channels, kind="float")[:3], images(6, channels, kind="float")[3:]
    reconstruction_sheet(tmp_path / "sheet.png", inputs, outputs, ["a", "b", "c"], "epoch 3")
    (figure,) = figures
    assert_png(tmp_path / "sheet.png")
    assert_shown(figure, (*inputs, *outputs))
    assert [ax.get_title() for ax in figure.axes] == ["a", "b", "c", "", "", ""]
    assert {"input", "reconstruction"} <= set(texts(figure))
    upper, lower = (ax.get_position().y0 for ax in (figure.axes[0], figure.axes[3]))
    assert upper > lower


@pytest.mark.parametrize(("kind", "top"), [("uint8", 255), ("float", 1)])
def test_grey_values_are_shown_on_the_full_scale_and_not_stretched(tmp_path, figures, kind, top):
    dim = images(1, kind=kind) // 2 if kind == "uint8" else images(1, kind=kind) / 2
    sample_sheet(tmp_path / "sheet.png", dim, ["dim"], "dim")
    (image,) = figures[0].axes[0].get_images()
    assert image.get_clim() == (0, top)
    assert image.get_cmap().name == "gray"


def test_rows_of_pairs_have_names_and_classes(tmp_path, figures):
    values = images(5, kind="float")
    rows = {"anchor": (values[:3], ["a", "b", "c"]), "positive": (values[3:], ["a", "b"])}
    pair_sheet(tmp_path / "new" / "sheet.png", rows, "pairs")
    pair_sheet(tmp_path / "new" / "sheet.png", rows, "pairs")
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["sheet.png"]
    assert_shown(figures[0], values)
    assert texts(figures[0]) == ["a", "b", "c", "a", "b", "anchor", "positive"]


def test_a_verdict_sheet_frames_and_marks_each_column_by_its_verdict(tmp_path, figures):
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
