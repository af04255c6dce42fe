import math
import statistics

import numpy as np
import pytest
from small_records import row

from errors import UserError
from reporting.curves import curves, draw_curves


def record(seed, epoch, value, **changes):
    return row(**{"experiment": "e_ae", "seed": seed, "checkpoint": "epoch", "epoch": epoch, "value": value, **changes})


@pytest.fixture
def drawn(figures, tmp_path):
    """Draw curves; returns the figure."""
    def draw(panels, metric):
        paths = draw_curves(tmp_path / "new" / metric, {metric: panels})
        assert [path.name for path in paths] == [f"{metric}.pdf", f"{metric}.png"]
        return figures[-1]

    return draw


def test_points_are_mean_and_sample_deviation_over_seeds():
    values = {5: [0.2, 0.4, 0.5], 10: [0.5, 0.7, 0.9]}
    panels = curves([record(seed, epoch, value) for epoch, each in values.items() for seed, value in enumerate(each)],
                    "accuracy")
    [(panel, [curve])] = panels.items()
    assert panel == ("kNN", "sviro (x5), all")
    assert curve.epochs.tolist() == [5, 10]
    for i, each in enumerate(values.values()):
        percent = [100 * value for value in each]
        assert (curve.mean[i], curve.std[i]) == pytest.approx((statistics.mean(percent), statistics.stdev(percent)))
    assert curve.seeds.tolist() == [3, 3]


def test_a_seed_that_stopped_early_leaves_a_curve_of_fewer_seeds():
    [[curve]] = curves([record(1, 5, 0.2), record(2, 5, 0.4), record(2, 10, 0.6)], "accuracy").values()
    assert curve.mean.tolist() == pytest.approx([30, 60])
    assert curve.seeds.tolist() == [2, 1]
    assert math.isnan(curve.std[1])


def test_unknown_epochs_values_that_are_no_numbers_and_other_records_are_left_out():
    rows = [record(1, 5, 0.2), record(1, None, 0.9), record(2, 5, math.nan), record(3, 5, 0.9, checkpoint="last"),
            record(1, 5, 3.0, metric="loss/total", classifier="")]
    [[curve]] = curves(rows, "accuracy").values()
    assert (curve.epochs.tolist(), curve.mean.tolist(), curve.seeds.tolist()) == ([5], [20], [1])
    assert curves([record(1, None, 0.9)], "accuracy") == {}


def test_losses_have_a_panel_each_in_their_own_units_and_the_total_goes_first():
    rows = [record(1, epoch, value, metric=f"loss/{name}", classifier="", dataset="mnist", factor="")
            for name, value in (("kl", 3.0), ("reconstruction", 700.0), ("total", 703.0)) for epoch in (1, 2)]
    panels = curves(rows, "loss")
    assert list(panels) == [(name, "mnist, all") for name in ("total", "kl", "reconstruction")]
    assert panels["total", "mnist, all"][0].mean.tolist() == [703, 703]


def test_other_metrics_have_panels_by_what_follows_the_slash_and_a_scale_of_their_own(drawn):
    rows = [record(1, epoch, 0.1, metric=name, classifier="") for name in ("iou/road", "iou/sky", "miou") for epoch in
            (1, 2)]
    assert [what for what, _ in curves(rows, "iou")] == ["road", "sky"]
    assert [what for what, _ in curves(rows, "miou")] == ["mIoU"]
    assert drawn(curves(rows, "iou"), "iou").axes[0].get_ylabel() == "IoU (%)"


def test_pooled_factors_are_one_panel_weighted_by_their_images():
    rows = [record(1, 5, 0.2, factor="x5", n=30), record(1, 5, 0.6, factor="i3", n=10)]
    [(panel, [curve])] = curves(rows, "accuracy", pool=True).items()
    assert panel == ("kNN", "sviro (pooled), all")
    assert curve.mean[0] == pytest.approx(100 * (0.2 * 30 + 0.6 * 10) / 40)
    assert len(curves(rows, "accuracy")) == 2


def test_two_runs_of_a_seed_that_differ_are_refused():
    assert len(curves([record(1, 5, 0.2), record(1, 5, 0.2)], "accuracy")) == 1
    with pytest.raises(UserError, match=r"e_ae, seed 1, sviro \(x5\), all, knn, epoch 5; name the runs to use"):
        curves([record(1, 5, 0.2), record(1, 5, 0.3)], "accuracy")


def test_lines_bands_axes_and_legend_show_the_curves(drawn):
    rows = [record(seed, epoch, 0.1 * seed + 0.01 * epoch, experiment=name, factor=factor)
            for name in ("a", "b") for factor in ("x5", "i3", "i8", "kona") for seed in (1, 2) for epoch in (5, 10)]
    panels = curves(rows, "accuracy")
    figure = drawn(panels, "accuracy")
    assert len(figure.axes) == 4
    for ax, found in zip(figure.axes, panels.values(), strict=True):
        for line, curve in zip(ax.lines, found, strict=True):
            assert np.array_equal(line.get_ydata(), curve.mean)
        assert len(ax.collections) == 2
        heights = ax.collections[0].get_paths()[0].vertices[:, 1]
        assert (heights.min(), heights.max()) == pytest.approx(
            ((found[0].mean - found[0].std).min(), (found[0].mean + found[0].std).max()))
    assert figure.axes[0].get_ylabel() == "accuracy (%)"
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["a (2 seeds)", "b (2 seeds)"]


def test_a_single_epoch_has_its_own_number_on_the_axis_and_no_fractions(drawn):
    figure = drawn(curves([record(1, 3, 0.5)], "accuracy"), "accuracy")
    low, high = figure.axes[0].get_xlim()
    assert [tick for tick in figure.axes[0].get_xticks() if low <= tick <= high] == [3]


def test_the_spread_of_a_single_epoch_is_a_bar(drawn):
    [bars] = drawn(curves([record(seed, 3, value) for seed, value in enumerate((0.4, 0.5, 0.6))], "accuracy"),
                   "accuracy").axes[0].containers
    [[low, high]] = bars.lines[2][0].get_segments()
    assert (low[1], high[1]) == pytest.approx((40, 60))


def test_floors_and_ceilings_have_no_curves():
    kinds = ("translated", "untranslated", "real")
    rows = [record(1, 1, 0.1, metric=f"agreement/{kind}", classifier="") for kind in kinds]
    assert [what for what, _ in curves(rows, "agreement")] == ["translated"]
    # A class of that name is none.
    assert [what for what, _ in curves([record(1, 1, 0.1, metric="iou/floor")], "iou")] == ["floor"]


def test_an_experiment_has_one_colour_in_all_panels(drawn):
    rows = [record(1, epoch, 0.5, experiment=name, factor=factor) for name, factor in
            (("a", "x5"), ("b", "x5"), ("b", "i3")) for epoch in (1, 2)]
    figure = drawn(curves(rows, "accuracy"), "accuracy")
    colours = {ax.get_title(): [line.get_color() for line in ax.lines] for ax in figure.axes}
    alone, both = colours["kNN\nsviro (i3), all"], colours["kNN\nsviro (x5), all"]
    assert alone == both[1:]
    assert both[0] != both[1]


def test_losses_over_a_wide_range_are_logarithmic(drawn):
    def figure(values):
        return drawn(curves([record(1, epoch, value, metric="loss/total") for epoch, value in enumerate(values)],
                            "loss"), "loss")

    assert figure([5000.0, 80.0]).axes[0].get_yscale() == "log"
    assert figure([2.2, 1.5]).axes[0].get_yscale() == "linear"
    assert figure([2.2, 0.0]).axes[0].get_yscale() == "linear"


def test_a_legend_speaks_of_means_and_bands_only_where_there_are_several_seeds(drawn):
    def title(*seeds):
        rows = [record(seed, epoch, 0.1 * seed) for seed in seeds for epoch in (1, 2)]
        return drawn(curves(rows, "accuracy"), "accuracy").legends[0].get_title().get_text()

    assert title(1) == ""
    assert "deviation" in title(1, 2)
