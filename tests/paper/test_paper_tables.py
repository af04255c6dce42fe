import csv
import io
import math
import re
import statistics
from pathlib import Path
from types import SimpleNamespace

import pytest
from small_records import row

from errors import UserError
from experiment.config import load_config
from paper.published import TABLE_S5, TABLE_S6, TABLE_S7
from paper.tables import TABLES, Entry, difference, lines, marks, place, unplaced
from paper.text import render
from reporting.formats import FORMATS
from reporting.metrics import Metric

CFG = Path(__file__).parent.parent.parent / "cfg"
TICAM, SVIRO, ILLUMINATION = TABLES["s6"].columns
ROW = ("ResNet-50", "II-E-TAE")


def record(**changes):
    return row(**{"experiment": "ours", "dataset": "ticam", "factor": "", "checkpoint": "best", "n": 13356, **changes})


def entry(seed, *records, place=ROW, experiment="ours", departures=(), table="s6"):
    return Entry(experiment, seed, table, place, departures, [record(seed=seed, **changes) for changes in records])


def only(found):
    (line,) = [line for line in found if line.experiment]
    return line


def test_mean_spread_maximum_and_difference_are_those_computed_by_hand():
    values = [0.831, 0.842, 0.826, 0.839]
    line = only(lines(TABLES["s6"], TICAM, [entry(seed, {"value": value}) for seed, value in enumerate(values)]))
    percent = [100 * value for value in values]
    score = line.scores["best"]
    assert (score.mean, score.std, score.best) == pytest.approx(
        (statistics.mean(percent), statistics.stdev(percent), max(percent)))
    assert (score.seeds, line.runs, line.images, line.notes) == (4, 4, (13356,), ())
    assert difference(TABLES["s6"], line) == pytest.approx(statistics.mean(percent) - 83.7)


def test_a_seed_without_a_figure_is_counted_as_missing():
    entries = [entry(1, {"value": 0.5}), entry(2), entry(3, {"value": 0.7}, {"value": 0.9, "checkpoint": "last"})]
    line = only(lines(TABLES["s6"], TICAM, entries))
    assert (line.scores["best"].mean, line.scores["best"].seeds, line.scores["last"].seeds) == (60, 2, 1)
    assert line.runs == 3
    assert "1/2 of 3" in render(["s6"], entries, "markdown")


def test_an_unfinished_run_has_a_line_without_figures():
    entries = [entry(1, {"checkpoint": "epoch", "epoch": 3})]
    line = only(lines(TABLES["s6"], TICAM, entries))
    assert line.scores == {}
    assert math.isnan(difference(TABLES["s6"], line))
    block = render(["s6"], entries, "markdown").split("**")[2]
    (text,) = [text for text in block.splitlines() if "| ours |" in text]
    assert [cell.strip() for cell in text.split("|")[6:-1]] == ["-", "-", "-", "-", "-", "0 of 1", "-"]


def test_values_that_are_no_numbers_are_left_out_and_said():
    line = only(lines(TABLES["s6"], TICAM, [entry(1, {"value": 0.5}), entry(2, {"value": math.nan})]))
    assert (line.scores["best"].mean, line.scores["best"].seeds, line.runs) == (50, 1, 2)
    assert line.notes == ("not a number, left out of TICaM, best: seed 2",)


def test_the_same_evaluation_twice_counts_once_and_two_that_differ_are_refused():
    twice = [entry(1, {"value": 0.5}), entry(1, {"value": 0.5}), entry(2, {"value": 0.7})]
    line = only(lines(TABLES["s6"], TICAM, twice))
    assert (line.scores["best"].mean, line.scores["best"].seeds, line.runs) == (60, 2, 2)
    with pytest.raises(UserError, match="different values for the same cell: ours, seed 1, ticam, all, knn, best"):
        lines(TABLES["s6"], TICAM, [entry(1, {"value": 0.5}), entry(1, {"value": 0.6})])


def test_records_of_other_columns_classifiers_and_splits_stay_out():
    wrong = [{"dataset": "sviro", "split": "train"}, {"classifier": "svm"}, {"split": "train"}, {"factor": "x5"},
             {"metric": "loss/total"}, {"checkpoint": "epoch"}]
    entries = [entry(1, {"value": 0.5}, *({"value": 0.9, **each} for each in wrong))]
    assert only(lines(TABLES["s6"], TICAM, entries)).scores["best"].mean == 50
    assert only(lines(TABLES["s6"], SVIRO, entries)).scores["best"].mean == 90
    assert unplaced(TABLES["s6"], entries) == ["ticam (x5), all, knn", "ticam, all, svm", "ticam, train, knn"]


def test_classifiers_and_autoencoders_share_a_column():
    entries = [entry(1, {"classifier": "network", "value": 0.6}, place=("VGG-11", "Scratch")), entry(1, {})]
    found = {line.row: line for line in lines(TABLES["s6"], TICAM, entries)}
    assert found["VGG-11", "Scratch"].scores["best"].mean == 60
    assert found[ROW].scores["best"].mean == 75


def test_the_papers_rows_keep_their_order_and_ours_without_one_go_below():
    found = lines(TABLES["s6"], TICAM, [entry(1, {}, place=("resnet18", "E-TAE")), entry(1, {})])
    assert [line.row for line in found] == [*TABLE_S6, ("resnet18", "E-TAE")]
    assert math.isnan(found[-1].published.mean)
    assert [line.experiment for line in found].count("ours") == 2


def test_runs_that_depart_differently_are_not_averaged_and_say_so():
    entries = [entry(1, {"value": 0.5}), entry(2, {"value": 0.9}, departures=("dataset.limit = 100 (none)",))]
    found = [line for line in lines(TABLES["s6"], TICAM, entries) if line.experiment]
    assert [(line.scores["best"].mean, line.scores["best"].seeds) for line in found] == [(50, 1), (90, 1)]
    for style in ("terminal", "markdown", "latex"):
        text = " ".join(render(["s6"], entries, style).split())
        assert "ours [1]" in text
        assert "[1] departs from the published runs (theirs in brackets): dataset.limit = 100 (none)" in text


def test_other_test_images_than_the_papers_are_said():
    line = only(lines(TABLES["s6"], TICAM, [entry(1, {"n": 100}), entry(2, {"n": 200})]))
    assert line.images == (100, 200)
    assert line.notes == ("TICaM: not all seeds were tested on the same number of images",
                          "TICaM: published on 13356 test images")


@pytest.mark.parametrize(("values", "expected"), [
    ([(80.0, 1.0), (90.0, 2.0), (85.0, 4.0)], ["", "*", "≈"]),
    ([(80.0, 1.0), (79.98, 1.0)], ["*", "*"]),
    ([(80.0, math.nan), (79.0, math.nan)], ["*", ""]),
    ([(80.0, 5.0), (79.0, math.nan)], ["*", ""]),
    ([(math.nan, math.nan), (79.0, 1.0)], ["", ""]),
    ([(math.nan, math.nan), (79.0, 1.0), (70.0, 1.0)], ["", "*", ""]),
])  # fmt: skip
def test_the_best_is_marked_and_what_overlaps_with_it(values, expected):
    assert marks(values, Metric("", decimals=1)) == expected
    assert marks([(-mean, std) for mean, std in values], Metric("", decimals=1, higher_is_better=False)) == expected


def test_lpips_is_best_where_it_is_lowest():
    lpips = TABLES["s5"].columns[1]
    assert not lpips.shown.higher_is_better
    kind = {"dataset": "mpi3d", "factor": "real", "classifier": "", "metric": "lpips/synthetic", "checkpoint": "last"}
    place = ("toy", "AE", "BCE")
    entries = [entry(seed, {**kind, "value": value}, place=place, table="s5") for seed, value in ((1, 0.3), (2, 0.2))]
    line = only(lines(TABLES["s5"], lpips, entries))
    assert (line.scores["last"].mean, line.scores["last"].best) == pytest.approx((0.25, 0.2))
    assert difference(TABLES["s5"], line) == pytest.approx(0.25 - 0.412)


@pytest.mark.parametrize("style", FORMATS)
def test_every_format_holds_published_figures_and_ours(style):
    text = render(["s6", "s7"], [entry(1, {"value": 0.8}), entry(2, {"value": 0.83})], style)
    assert "83.7" in text
    assert "81.5" in text
    assert ("$-$2.2" if style == "latex" else "-2.2") in text
    assert "II-E-TAE" in text


def test_our_best_weights_are_called_by_what_chose_them():
    ours = [entry(1, {"selection": "source: highest accuracy on sviro_nocar"}, {"dataset": "sviro", "split": "train"})]
    below = render(["s6"], ours, "markdown")
    ticam, sviro = below.split("**Table S6: ")[1:3]
    assert ("best on source: mean ± std" in ticam, "oracle" in ticam) == (True, False)
    assert ("oracle: mean ± std" in sviro, "best on source" in sviro) == (True, False)
    assert "Best on source: weights of the epoch with the best value on data of the kind" in below
    assert "Oracle: weights of the epoch with the best value, chosen on test data (highest accuracy on" in below


def test_csv_has_a_line_per_row_and_column_in_full_precision():
    rows = list(csv.DictReader(io.StringIO(render(["s6"], [entry(1, {"value": 1 / 3})], "csv"))))
    assert len(rows) == 3 * 15
    (ours,) = [row for row in rows if row["experiment"] and row["column"] == "TICaM"]
    assert float(ours["oracle_mean"]) == 100 * (1 / 3)
    assert (ours["published_max"], ours["oracle_seeds"], ours["last_seeds"]) == ("84.5", "1", "0")


def test_latex_blocks_are_whole_tabulars():
    text = render(["s7"], [entry(1, {}, place=("AE",), table="s7")], "latex")
    assert text.count(r"\begin{tabular}") == text.count(r"\end{tabular}") == 3
    outside = re.sub(r"\\begin\{tabular\}.*?\\end\{tabular\}", "", text, flags=re.DOTALL)
    assert all(line.startswith("%") for line in outside.splitlines() if line)


def test_the_published_tables_are_whole():
    assert (len(TABLE_S5), len(TABLE_S6), len(TABLE_S7)) == (20, 15, 8)
    assert sum("sviro_illumination" in values for values in TABLE_S6.values()) == 13
    assert {len(values) for values in TABLE_S7.values()} == {3}
    for values in TABLE_S6.values():
        for name in ("ticam", "sviro"):
            assert values[name].mean < values[name].max < values[name].mean + 3 * values[name].std


def test_a_swapping_autoencoder_stands_beside_its_row_its_floor_and_its_ceiling():
    kinds = {"translated": 0.7, "untranslated": 0.6, "real": 0.9}
    records = [row(experiment="ours", dataset="carla", factor="Town07", split="test", classifier="", checkpoint="last",
                   n=400, metric=f"agreement/{kind}", value=value) for kind, value in kinds.items()]
    config = load_config(CFG / "carla_cityscapes_in5_out1.toml")
    run = SimpleNamespace(config=config, experiment="ours", published=False, translated_by=[""])
    entries = place(run, records)
    # What is no translation is none of those of which one is the best.
    other = SimpleNamespace(config=load_config(CFG / "carla_cityscapes_in0_out1.toml"), experiment="x", published=False,
                            translated_by=[])
    both = [*entries, *place(other, [each | {"value": 0.5} for each in records])]
    assert render(["4.3"], both, "markdown").count("70.0 * | 70.0") == 1
    assert "90.0 *" not in render(["4.3"], both, "markdown")
    found = {line.row: line for line in lines(TABLES["4.3"], TABLES["4.3"].columns[0], entries) if line.experiment}
    assert {row: line.scores["last"].mean for row, line in found.items()} == pytest.approx(
        {("1", "5"): 70, ("untranslated", "-"): 60, ("real images", "-"): 90})
    assert difference(TABLES["4.3"], found["1", "5"]) == pytest.approx(70 - 63.2)
    text = render(["4.3"], entries, "markdown")
    for published in ("53.0", "69.2", "76.1", "25.4"):
        assert published in text
    assert "Measured too" not in text
    # What several towns have is no figure of both.
    towns = place(run, [*records, *(each | {"factor": "Town10", "value": 0.1} for each in records)])
    line = lines(TABLES["4.3"], TABLES["4.3"].columns[0], towns)
    [ours] = [each for each in line if each.row == ("1", "5")]
    assert ours.scores["last"].mean == pytest.approx(70)
    assert ours.notes[-1] == "overall accuracy: tested on several, shown is carla (Town07), not carla (Town10)"
