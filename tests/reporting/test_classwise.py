import csv
import io
import statistics
from dataclasses import dataclass, replace

import numpy as np
import pytest
from sklearn.metrics import accuracy_score, confusion_matrix, recall_score
from small_records import row

from errors import UserError
from reporting.classwise import collect, render, rows
from reporting.confusion import draw_classwise
from reporting.formats import FORMATS

NAMES = np.array(["empty", "infant seat", "child seat", "adult"])


@dataclass(frozen=True)
class Kept:
    predicted: np.ndarray
    true: np.ndarray
    classes: np.ndarray
    experiment: str = "e_tae"
    seed: int = 1
    dataset: str = "sviro"
    factor: str = "x5"
    split: str = "all"
    classifier: str = "knn"
    checkpoint: str = "last"


def kept(seed=1, seats=3, count=200, classes=NAMES, **changes):
    rng = np.random.default_rng([seed, seats, count])
    true = np.random.default_rng(7).integers(0, len(classes), (count, seats)).astype(np.uint8)
    wrong = rng.integers(0, len(classes), (count, seats)).astype(np.uint8)
    return Kept(np.where(rng.random((count, seats)) < 0.3, wrong, true).astype(np.uint8), true, classes, seed=seed,
                **changes)


def test_counts_and_shares_are_those_of_scikit_learn():
    runs = [kept(seed) for seed in (1, 2, 3)]
    [found] = collect(runs)
    assert found.seats == ("left", "middle", "right")
    for number, run in enumerate(runs):
        for seat in range(3):
            true, predicted = run.true[:, seat], run.predicted[:, seat]
            assert np.array_equal(found.counts[number, seat], confusion_matrix(true, predicted, labels=range(4)))
            assert found.by_seat[number, seat] == pytest.approx(accuracy_score(true, predicted))
            assert found.recall[number, seat] == pytest.approx(recall_score(true, predicted, average=None))
    pooled = confusion_matrix(np.concatenate([run.true[:, 1] for run in runs]),
                              np.concatenate([run.predicted[:, 1] for run in runs]), normalize="true")
    assert found.confusion[1] == pytest.approx(pooled)


def test_the_whole_label_counts_samples_with_every_seat_right():
    run = kept()
    right = [all(a == b for a, b in zip(predicted, true, strict=True))
             for predicted, true in zip(run.predicted.tolist(), run.true.tolist(), strict=True)]
    assert collect([run])[0].whole == pytest.approx([sum(right) / len(right)])


def test_rows_hold_mean_and_deviation_over_seeds():
    runs = [kept(seed) for seed in (1, 2, 3)]
    found = {(row.seat, row.true_class): row for row in rows(collect(runs)[0])}
    assert len(found) == 1 + 3 * 5
    shares = [100 * recall_score(run.true[:, 2], run.predicted[:, 2], average=None)[3] for run in runs]
    adult = found["right", "adult"]
    assert (adult.mean, adult.std) == pytest.approx((statistics.mean(shares), statistics.stdev(shares)))
    assert (adult.seeds, adult.samples) == (3, str((runs[0].true[:, 2] == 3).sum()))


def test_a_class_that_never_occurs_at_a_seat_has_no_row():
    true = np.array([[0, 0, 3], [3, 0, 0]], dtype=np.uint8)
    run = Kept(np.array([[0, 0, 3], [3, 1, 0]], dtype=np.uint8), true, NAMES)
    found = {(row.seat, row.true_class): row for row in rows(collect([run])[0])}
    assert set(found) == {("all", "all"), ("left", "all"), ("left", "empty"), ("left", "adult"), ("middle", "all"),
                          ("middle", "empty"), ("right", "all"), ("right", "empty"), ("right", "adult")}
    assert (found["middle", "empty"].mean, found["middle", "empty"].taken_for) == (50, "infant seat, 50.0 %")
    assert found["all", "all"].mean == 50


def test_single_labels_have_no_seats():
    digits = np.array([str(digit) for digit in range(10)])
    [found] = collect([kept(seats=1, classes=digits)])
    assert found.seats == ("",)
    assert {row.seat for row in rows(found)} == {"-"}
    assert len(rows(found)) == 11
    assert found.whole == pytest.approx(found.by_seat[:, 0])


def test_pooling_puts_the_samples_of_all_factors_together():
    runs = [kept(factor="x5"), kept(factor="i3", count=50)]
    [found] = collect(runs, pool=True)
    assert found.counts.sum() == 3 * 250
    assert "pooled" in found.data
    assert [each.data for each in collect(runs)] == ["sviro (i3), all", "sviro (x5), all"]
    with pytest.raises(UserError, match="seed 2 was evaluated on other factors"):
        collect([*runs, kept(seed=2)], pool=True)


def test_the_same_twice_counts_once_and_two_that_differ_are_refused():
    run = kept()
    assert collect([run, run])[0].counts.shape[0] == 1
    other = replace(run, predicted=run.true)
    with pytest.raises(UserError, match=r"same cell: e_tae, seed 1, sviro \(x5\), all, knn, last"):
        collect([run, other])


def test_other_classes_are_not_counted_together():
    with pytest.raises(UserError, match="other classes of sviro"):
        collect([kept(), kept(seed=2, classes=NAMES[::-1])])


@pytest.mark.parametrize(("selection", "title"), [
    ("source: highest accuracy on sviro (x5)", "best on source"), ("oracle: highest accuracy on ticam", "oracle")])
def test_weights_are_called_by_what_chose_them(selection, title):
    records = [row(checkpoint="best", selection=selection),
               row(checkpoint="best", experiment="other", selection="oracle: lowest FID on ticam")]
    assert [each.weights for each in collect([kept(), kept(checkpoint="best")], records=records)] == [
        "last epoch", title]


@pytest.mark.parametrize("style", FORMATS)
def test_every_format_names_what_a_class_is_taken_for(style):
    text = render(collect([kept(1), kept(2)]), style)
    assert "infant seat" in text
    assert "middle" in text
    if style == "csv":
        assert len(list(csv.DictReader(io.StringIO(text)))) == 16


@pytest.fixture
def drawn(figures, tmp_path):
    """Draw class-wise results; returns the figure."""
    def draw(found):
        paths = draw_classwise(tmp_path, found)
        assert [path.suffix for path in paths] == [".pdf", ".png"]
        assert all(path.stat().st_size > 1000 for path in paths)
        return figures[-1]

    return draw


def test_the_figure_shows_a_matrix_per_seat_and_bars_of_the_means(drawn):
    [found] = collect([kept(1), kept(2)])
    figure = drawn(found)
    assert "a dot per seed" in figure.get_supxlabel()
    matrices = {ax.get_title(): ax.get_images()[0].get_array() for ax in figure.axes if ax.get_images()}
    for seat, name in enumerate(found.seats):
        assert np.asarray(matrices[f"{name} seat"]) == pytest.approx(100 * found.confusion[seat])
    bars = {ax.get_title(): [patch.get_height() for patch in ax.patches] for ax in figure.axes if ax.patches}
    assert bars["by seat, over all classes"] == pytest.approx(
        [100 * found.whole.mean(), *100 * found.by_seat.mean(axis=0)])
    assert bars["by true class"] == pytest.approx(100 * found.recall.mean(axis=0).ravel())
    assert all(ax.get_ylabel() for ax in figure.axes if ax.patches and "by" in ax.get_title())


def test_a_single_label_has_one_matrix(drawn):
    digits = np.array([str(digit) for digit in range(10)])
    figure = drawn(collect([kept(seats=1, classes=digits)])[0])
    assert figure.get_supxlabel() == ""
    assert [ax.get_images()[0].get_array().shape for ax in figure.axes if ax.get_images()] == [(10, 10)]


def test_names_are_safe_for_files(tmp_path):
    [found] = collect([kept(experiment="../a b")])
    assert [path.parent for path in draw_classwise(tmp_path, found)] == [tmp_path] * 2
