import numpy as np
import pytest
from scipy.integrate import trapezoid

from reporting.frame_ratios import describe, draw_ratios


def area_under(patch):
    x, y = patch.get_xy().T
    return trapezoid(y, x)


def test_densities_are_of_all_ratios_and_legends_say_their_moments(tmp_path, figures):
    generator = np.random.default_rng(0)
    before, after, rendered = (generator.normal(mean, 0.05, 3000) for mean in (2.5, 0.26, 0.25))
    before[0] = np.inf
    written = draw_ratios(tmp_path / "ratios", before, after, rendered, (0.25, 0.05))
    assert [path.name for path in written] == ["ratios.pdf", "ratios.png"]
    [figure] = figures
    for ax, ratios in zip(figure.axes, (before[1:], after), strict=True):
        texts = [text.get_text() for text in ax.get_legend().get_texts()]
        assert f"cut-outs: {ratios.mean():.3f} ± {ratios.std():.3f}, n = {len(ratios)}" in texts
        assert "drawn from: normal distribution, 0.250 ± 0.050" in texts
        assert all(area_under(patch) == pytest.approx(1, abs=0.01) for patch in ax.patches)
        [curve] = ax.lines
        assert trapezoid(curve.get_ydata(), curve.get_xdata()) == pytest.approx(1, abs=0.01)
    assert figure.axes[0].get_xlim()[1] > 2.5 > 0.5 > figure.axes[1].get_xlim()[1]


def test_without_rendered_images_there_is_one_curve_each(tmp_path, figures):
    draw_ratios(tmp_path / "ratios", np.array([1.0, 2.0]), np.array([0.5, 0.6]), np.zeros(0), None)
    assert [len(ax.patches) for ax in figures[0].axes] == [1, 1]
    assert describe(np.array([1.0, 2.0])) == "1.500 ± 0.500, n = 2"
