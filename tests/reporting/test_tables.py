import csv
import io
import math
import random
import statistics

import pytest
from small_records import row, seeds

from errors import UserError
from reporting.formats import FORMATS
from reporting.metrics import is_judged
from reporting.tables import footnote, grid, group, header, render, summarise


@pytest.mark.parametrize("count", [2, 3, 10])
def test_mean_deviation_and_maximum_are_those_of_the_statistics_module(count):
    values = [random.Random(count).uniform(0.2, 0.95) for _ in range(count)]
    (found,) = summarise(seeds(values))
    percent = [100 * value for value in values]
    expected = (statistics.mean(percent), statistics.stdev(percent), max(percent), count)
    assert found[5:9] == pytest.approx(expected, rel=1e-12)
    assert found.samples == "400"


def test_equal_values_deviate_by_nothing_and_a_single_seed_shows_no_deviation():
    assert grid(summarise(seeds([0.5, 0.5, 0.5])))[0][3] == "50.0 ± 0.0"
    (found,) = summarise(seeds([0.5]))
    assert math.isnan(found.std)
    assert grid([found])[0][3:5] == ("50.0", "50.0")


def test_a_value_that_is_no_number_shows_and_breaks_nothing():
    (found,) = summarise(seeds([0.5, math.nan, 0.7]))
    assert all(math.isnan(value) for value in (found.mean, found.std, found.best))
    assert all("nan" in render([found], style) for style in FORMATS)


def test_only_results_of_last_and_best_weights_are_tabulated():
    others = [row(checkpoint="epoch", epoch=1, value=0.1), row(metric="loss/ssim", value=0.1),
              row(metric="gap/knn_overlap", value=0.1), row(metric="ssim/synthetic", value=0.1)]
    assert summarise(others) == []
    assert [found.mean for found in summarise([row(), *others])] == [75]
    assert [found.mean for found in summarise([row(), *others], wanted=lambda name: name == "gap/knn_overlap")] == [0.1]


@pytest.mark.parametrize("name", ["experiment", "dataset", "factor", "split", "classifier", "checkpoint", "metric"])
def test_what_differs_in_more_than_the_seed_is_never_averaged(name):
    other = "best" if name == "checkpoint" else "overall_accuracy" if name == "metric" else "other"
    found = summarise([row(value=0.2), row(seed=2, value=0.6, **{name: other})])
    assert sorted((each.mean, each.seeds) for each in found) == [(20, 1), (60, 1)]


def test_the_order_of_the_records_does_not_matter():
    records = [row(seed=seed, classifier=name, factor=factor, experiment=experiment, checkpoint=checkpoint,
                   value=random.Random(f"{seed}{name}{factor}").random())
               for seed in (1, 2, 3) for name in ("knn", "svm") for factor in ("x5", "i3") for experiment in "ab"
               for checkpoint in ("last", "best")]
    expected = summarise(records)
    random.Random(0).shuffle(records)
    for one, other in zip(expected, summarise(records), strict=True):
        assert one[:4] == other[:4]
        assert one.mean == pytest.approx(other.mean)


def test_pooled_accuracy_counts_the_right_ones_of_all_factors():
    counts = {1: {"x5": (90, 100), "i3": (10, 40), "tucson": (3, 7)},
              2: {"x5": (50, 100), "i3": (40, 40), "tucson": (0, 7)}}
    records = [row(seed=seed, factor=factor, value=right / total, n=total)
               for seed, cars in counts.items() for factor, (right, total) in cars.items()]
    # The same twice does not weigh twice.
    (found,) = summarise([records[0], *records], pool=True)
    each = [100 * sum(right for right, _ in cars.values()) / 147 for cars in counts.values()]
    assert found[5:9] == pytest.approx((statistics.mean(each), statistics.stdev(each), max(each), 2))
    assert found.samples == "147"
    assert found.dataset == "sviro (pooled), all"
    assert len(summarise(records)) == 3
    with pytest.raises(UserError, match="seed 2 was evaluated on other factors of sviro"):
        summarise(records[:-1], pool=True)


@pytest.mark.parametrize(("tested", "titles"), [
    # The whole dataset, and a part of it: its images would count twice.
    ({"a": {"": 1000, "x5": 100}}, {"sviro, all": "1000", "sviro (x5), all": "100"}),
    ({"a": {"x5, i3": 200, "x5": 100}}, {"sviro (x5, i3), all": "200", "sviro (x5), all": "100"}),
    ({"a": {"": 1000, "x5": 100, "i3": 50}}, {"sviro, all": "1000", "sviro (pooled), all": "150"}),
    ({"a": {"x5, i3": 200, "tesla": 100}}, {"sviro (pooled), all": "300"}),
    ({"a": {"x5": 100}}, {"sviro (x5), all": "100"}),
    ({"a": {"x5": 100, "i3": 50}, "b": {"x5": 100, "tesla": 70}, "c": {"x5": 100}},
     {"sviro (pooled: i3, x5), all": "150", "sviro (pooled: tesla, x5), all": "170", "sviro (x5), all": "100"})])
def test_pooled_is_what_has_no_image_in_common_and_what_it_is_stands_in_its_title(tested, titles):
    records = [row(experiment=name, factor=factor, n=n) for name, sets in tested.items() for factor, n in sets.items()]
    assert {each.dataset: each.samples for each in summarise(records, pool=True)} == titles


def test_numbers_of_test_images_that_differ_between_seeds_are_shown():
    few, many = row(seed=1, n=10), [row(seed=seed, n=400) for seed in (2, 3)]
    assert [each.samples for each in summarise([few, *many])] == ["10-400"]
    (line,) = grid(summarise([*many, row(seed=2, n=10, checkpoint="best")]))
    assert line[-1] == "10/400"


@pytest.mark.parametrize("metric", ["miou", "iou/person", "mean_accuracy", "fid", "kernel/translated",
                                    "agreement_miou/real", "pose_median"])
def test_what_is_no_mean_over_samples_is_not_pooled(metric):
    """The IoU of two towns is not the mean of theirs, nor is a distance or a median."""
    records = [row(factor=town, metric=metric, value=value, n=n)
               for town, value, n in (("Town01", 0.2, 10), ("Town07", 0.6, 30))]
    found = summarise(records, pool=True, wanted=is_judged)
    assert [each.dataset for each in found] == ["sviro (Town01), all", "sviro (Town07), all"]
    assert found == summarise(records, wanted=is_judged)


def test_pooling_keeps_datasets_splits_and_classifiers_apart():
    records = [row(factor=factor, **{name: value}) for factor in ("x5", "i3")
               for name, value in (("dataset", "a"), ("split", "test"), ("classifier", "svm"))]
    assert len(summarise(records, pool=True)) == 3


def test_last_and_oracle_stand_side_by_side_and_a_missing_one_is_a_dash():
    rows = summarise([*seeds([0.5, 0.7]), *seeds([0.8, 0.9], checkpoint="best")])
    assert header(rows) == ("dataset", "classifier", "experiment", "last epoch: mean ± std", "max",
                            "oracle: mean ± std", "max", "seeds", "test images")
    last, best = "60.0 ± 14.1", "85.0 ± 7.1"
    assert grid(rows) == [("sviro (x5), all", "knn", "e_tae", last, "70.0", best, "90.0", "2", "400")]
    assert grid(rows[:1])[0][3:7] == (last, "70.0", "-", "-")
    assert grid(rows[1:])[0][3:7] == ("-", "-", best, "90.0")


def test_different_numbers_of_seeds_are_both_shown():
    assert grid(summarise([*seeds([0.5, 0.7, 0.6]), row(checkpoint="best")]))[0][7] == "1/3"


def test_other_metrics_stand_below_accuracy_in_their_own_units_with_their_own_best():
    common = {"dataset": "cabins", "factor": "", "classifier": ""}
    found = [*seeds([30.0, 20.0], metric="fid", **common), *seeds([0.5, 0.7], metric="iou/person", **common),
             *seeds([0.25, 0.75], metric="miou", **common), *seeds([0.5], **common | {"classifier": "knn"})]
    assert [row.metric for row in summarise(found)] == ["accuracy", "fid", "miou"]
    rows = summarise(found, wanted=is_judged)
    assert [line[1:5] for line in grid(rows)] == [
        ("knn", "e_tae", "50.0", "50.0"), ("FID", "e_tae", "25.0 ± 7.1", "20.0"),
        ("IoU person", "e_tae", "60.0 ± 14.1", "70.0"), ("mIoU", "e_tae", "50.0 ± 35.4", "75.0")]
    assert header(rows)[4] == "max/min"
    assert header(rows[2:])[1:5:3] == ("metric", "max")
    assert footnote(rows).startswith("Accuracy in %, FID, IoU in %, mIoU in %. ±")
    assert "with the best value" in footnote(rows)


def test_floors_and_ceilings_stand_beside_what_they_are_of():
    common = {"dataset": "glyphs", "factor": "", "classifier": "", "experiment": "free"}
    found = [*seeds([0.5, 0.7], metric="agreement/translated", **common), row(metric="fid", value=31.2, **common),
             row(metric="agreement/translated", checkpoint="best", value=0.8, **common),
             *seeds([0.4, 0.4], metric="agreement/untranslated", **common),
             *seeds([0.9, 1.0], metric="agreement/real", **common),
             row(metric="agreement/untranslated", checkpoint="best", value=0.1, **common),
             row(metric="kernel/translated", value=0.02, **common), row(metric="kernel/floor", value=0.001, **common),
             row(metric="kernel/untranslated", value=0.3, **common | {"experiment": "other"})]
    rows = summarise(found)
    assert header(rows)[3:6] == ("floor: untranslated", "ceiling", "last epoch: mean ± std")
    assert [line[1:7] for line in grid(rows)] == [
        ("label agreement", "free", "40.0 ± 0.0", "95.0 ± 7.1 real", "60.0 ± 14.1", "70.0"),
        ("FID", "free", "-", "-", "31.2", "31.2"),
        ("1000 × kernel distance", "free", "-", "1.00 real halves", "20.00", "20.00"),
        # Beside nothing that it is a floor of.
        ("1000 × kernel distance untranslated", "other", "-", "-", "300.00", "300.00")]
    assert footnote(rows).endswith("Floor: untranslated, the rendered images as they are. Ceiling: real, real images; "
                                   "real halves, the distance between two halves of the real images.")


def test_what_has_seen_nothing_is_a_floor_of_what_has():
    found = [row(classifier=name, metric="chamfer", value=value)
             for name, value in (("network", 0.05), ("constant", 0.08), ("untrained", 0.2))]
    rows = summarise([*found, row(classifier="network", metric="chamfer", checkpoint="best", value=0.04)])
    assert [line[1:8] for line in grid(rows)] == [
        ("network 100 × Chamfer distance", "e_tae", "8.00 constant\n20.00 untrained", "5.00", "5.00", "4.00", "4.00")]
    assert [line[1] for line in grid(summarise(found[1:]))] == [
        "constant 100 × Chamfer distance", "untrained 100 × Chamfer distance"]


def test_the_footnote_says_which_deviation_and_what_the_oracle_saw():
    text = footnote(summarise([row(), row(checkpoint="best")]))
    assert "Accuracy in %. ± is the sample standard deviation over seeds (n - 1)" in text
    assert "best test accuracy, chosen on the test data itself (highest accuracy on sviro (x5))." in text
    assert "sviro" not in footnote(summarise([row()]))


def test_weights_that_no_target_chose_are_called_no_oracle():
    own = "source: highest accuracy on glyphs"
    rows = summarise([row(), row(checkpoint="best", selection=own)])
    assert header(rows)[5] == "best on source: mean ± std"
    assert "Best on source: weights of the epoch with the best value on data" in footnote(rows)
    assert "(highest accuracy on glyphs), without labels of a target" in footnote(rows)
    mixed = summarise([row(checkpoint="best"), row(checkpoint="best", selection=own, experiment="other")])
    assert header(mixed)[5] == "oracle or best on source: mean ± std"
    assert "itself (highest accuracy on sviro (x5)). Best on source: " in footnote(mixed)
    assert "(highest accuracy on glyphs), without" in footnote(mixed)


TABLE = [
    *seeds([0.5, 0.7], experiment="e_tae"), row(checkpoint="best", value=0.8),
    *seeds([0.25], experiment="50%_a|b", classifier="svm", factor="", dataset="hand,written"),
    row(experiment=r"a&b_c%d#e$f\g{h}~i^j"), row(experiment="a_very_long_experiment_name_" * 3),
    *(row(experiment=name) for name in ("e[tae]", "a[/b]", ":smile:")),
]  # fmt: skip


def test_markdown_parses_back_to_the_grid():
    rows = summarise(TABLE)
    text, note = render(rows, "markdown").rsplit("\n\n", 1)
    lines = [[cell.strip().replace("\0", "|").replace("\\$", "$") for cell in
              line.replace(r"\|", "\0").split("|")[1:-1]] for line in text.splitlines()]
    assert tuple(lines[0]) == header(rows)
    assert all(set(cell) <= {"-", ":"} and len(cell) >= 3 for cell in lines[1])
    assert [tuple(line) for line in lines[2:]] == grid(rows)
    assert note.strip() == footnote(rows)


def test_csv_parses_back_with_full_precision():
    rows = summarise(TABLE)
    for text, found in zip(csv.DictReader(io.StringIO(render(rows, "csv"))), rows, strict=True):
        for name, value in found._asdict().items():
            assert text[name] == str(value)


def unescaped(text):
    """What LaTeX prints."""
    for written, printed in ((r"$\pm$", "±"), (r"\textbackslash{}", "\0"), (r"\textasciitilde{}", "~"),
                             (r"\textasciicircum{}", "^"), (r"\textbar{}", "|"), *(("\\" + each, each) for each in
                                                                                  "&%_#${}"), ("\0", "\\")):
        text = text.replace(written, printed)
    return text


def test_latex_parses_back_to_the_grid_and_all_below_it_is_a_comment():
    rows = summarise(TABLE)
    text, below = render(rows, "latex").split("\\end{tabular}\n")
    body = text.split(r"\toprule")[1].split(r"\bottomrule")[0].replace(r"\midrule", "").strip().splitlines()
    cells = [tuple(unescaped(cell.replace("\1", r"\&").strip())
                   for cell in line.removesuffix(r"\\").replace(r"\&", "\1").split("&")) for line in body if line]
    assert cells == [header(rows), *grid(rows)]
    assert len(text.splitlines()[0].split("}{")[1].rstrip("}")) == len(header(rows))
    assert below.startswith("% Accuracy in")
    assert len(below.strip().splitlines()) == 1


def test_the_terminal_table_holds_every_cell_whole():
    rows = summarise(TABLE)
    text = render(rows, "terminal")
    for line in grid(rows):
        (printed,) = [printed for printed in text.splitlines() if f" {line[2]} " in printed]
        position = 0
        for cell in line:
            position = printed.index(cell, position) + len(cell)
    assert " ".join(footnote(rows).split()) in " ".join(text.split())


@pytest.mark.parametrize("changes", [{"value": 0.5}, {"epoch": 20}])
@pytest.mark.parametrize("checkpoint", ["last", "best"])
def test_several_values_of_a_seed_in_a_cell_are_refused(checkpoint, changes):
    conflict = [row(checkpoint=checkpoint), row(checkpoint=checkpoint, **changes)]
    with pytest.raises(UserError, match=rf"same cell: e_tae, seed 1, sviro \(x5\), all, knn, {checkpoint}; name the "):
        group([*conflict, row(seed=2, checkpoint=checkpoint)])
    with pytest.raises(UserError, match=r"seed 1, sviro \(x5\), all, knn, .* and 2 more; name the runs to use"):
        group([each | {"seed": seed} for each in conflict for seed in (1, 2, 3)], pool=True)
    with pytest.raises(UserError, match=r"sviro \(x5\), all, mIoU, epoch 4"):
        group([row(checkpoint="epoch", epoch=4, metric="miou", classifier="", value=value) for value in (0.1, 0.2)])


@pytest.mark.parametrize("name", ["experiment", "seed", "dataset", "factor", "split", "classifier", "metric"])
def test_repeated_values_and_those_of_other_cells_are_no_conflict(name):
    other = row(value=0.2, **{name: 7 if name == "seed" else "other"})
    assert len(summarise([row(), row(), other])) == (1 if name == "seed" else 2)
    group([row(), row(checkpoint="best", value=0.9), *(row(checkpoint="epoch", epoch=epoch, value=epoch / 10)
                                                       for epoch in range(5))])
