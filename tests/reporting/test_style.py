import numpy as np
from PIL import Image

from reporting.style import COLOURS, STYLES, line_style, new_figure, save


def draw():
    figure = new_figure(3.5, 2)
    figure.subplots().plot([1, 2], [3, 4], label="text")
    return figure


def test_a_figure_is_written_as_vector_pdf_and_as_png(tmp_path):
    paths = save(draw(), tmp_path / "new" / "curve")
    assert [path.name for path in paths] == ["curve.pdf", "curve.png"]
    pdf = paths[0].read_bytes()
    assert pdf.startswith(b"%PDF")
    # TrueType fonts, and no picture of the drawing.
    assert b"/CIDFontType2" in pdf or b"/TrueType" in pdf
    assert b"/Type3" not in pdf
    assert b"/Subtype /Image" not in pdf
    with Image.open(paths[1]) as image:
        assert image.size == (700, 400)
    assert sorted(path.name for path in paths[0].parent.iterdir()) == ["curve.pdf", "curve.png"]


def test_suffixes_are_taken_off_and_other_dots_kept(tmp_path):
    assert [path.name for path in save(draw(), tmp_path / "a.png")] == ["a.pdf", "a.png"]
    assert [path.name for path in save(draw(), tmp_path / "lr0.001")] == ["lr0.001.pdf", "lr0.001.png"]


def test_the_same_figure_is_the_same_file(tmp_path):
    first, second = (save(draw(), tmp_path / name) for name in ("a", "b"))
    assert [path.read_bytes() for path in first] == [path.read_bytes() for path in second]


def test_names_that_are_no_text_or_look_like_formulas_are_drawn_as_they_are(tmp_path):
    figure = draw()
    figure.suptitle("bytes \udcff and $\\frac$")
    figure.axes[0].legend(["$\\nothing$ \udc80"])
    assert all(path.stat().st_size for path in save(figure, tmp_path / "names"))
    assert figure.get_suptitle() == "bytes \\udcff and $\\frac$"


def test_the_first_28_lines_differ():
    assert len({tuple(line_style(number).items()) for number in range(STYLES)}) == STYLES == 28


def machado(colours, matrix):
    """Simulate colour blindness: sRGB (n, 3) in [0, 1] through a matrix on linear light."""
    linear = np.where(colours <= 0.04045, colours / 12.92, ((colours + 0.055) / 1.055) ** 2.4)
    return np.clip(linear @ np.array(matrix).T, 0, 1)


def test_colours_stay_apart_for_colour_blind_readers():
    colours = np.array([[int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)] for colour in COLOURS])
    # Machado, Oliveira and Fernandes (2009), severity 1: protanopia, deuteranopia.
    for matrix in ([[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
                   [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]]):
        seen = machado(colours, matrix)
        apart = np.linalg.norm(seen[:, None] - seen[None], axis=-1)
        assert apart[~np.eye(len(seen), dtype=bool)].min() > 0.1
