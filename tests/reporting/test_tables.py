import csv
import io
import math
import random
import statistics

import pytest

from errors import UserError
from reporting.formats import FORMATS
from reporting.tables import HEADER, check_unique, duplicates, footnote, grid, render, summarise


def row(**changes):
    return {
        "experiment": "e_tae", "seed": 1, "dataset": "sviro", "factor": "x5", "split": "all", "classifier": "knn",
        "checkpoint": "last", "epoch": 30, "metric": "accuracy", "selection": "last epoch", "value": 0.75, "n": 400,
    } | changes  # fmt: skip


def best(**changes):
    return row(**{"checkpoint": "best", "selection": "oracle: highest accuracy on sviro (x5)", **changes})


def seeds(values, **changes):
    return [row(seed=seed, value=value, **changes) for seed, value in enumerate(values, 1)]


@pytest.mark.parametrize("count", [2, 3, 10])
def test_mean_deviation_and_maximum_are_those_of_the_statistics_module(count):
    values = [random.Random(count).uniform(0.2, 0.95) for _ in range(count)]
    (found,) = summarise(seeds(values))
    percent = [100 * value for value in values]
    assert found.mean == pytest.approx(statistics.mean(percent), rel=1e-12)
    assert found.std == pytest.approx(statistics.stdev(percent), rel=1e-12)
    assert found.best == pytest.approx(max(percent), rel=1e-12)
    assert (found.seeds, found.samples) == (count, 400)


def test_equal_values_deviate_by_nothing():
    (found,) = summarise(seeds([0.5, 0.5, 0.5]))
    assert found.std == 0
    assert grid([found])[0][3] == "50.0 ± 0.0"


def test_a_single_seed_shows_no_deviation():
    (found,) = summarise(seeds([0.5]))
    assert math.isnan(found.std)
    assert grid([found])[0][3:5] == ("50.0", "50.0")
    for style in FORMATS:
        body = [line for line in render([found], style).splitlines() if "e_tae" in line or r"e\_tae" in line]
        assert len(body) == 1
        assert "±" not in body[0]
        assert "pm" not in body[0]


def test_a_value_that_is_no_number_shows_and_breaks_nothing():
    (found,) = summarise(seeds([0.5, math.nan, 0.7]))
    assert all(math.isnan(value) for value in (found.mean, found.std, found.best))
    for style in FORMATS:
        assert "nan" in render([found], style)


def test_cells_are_rounded_to_one_decimal():
    (line,) = grid(summarise(seeds([0.83749, 0.9])))
    assert line[3] == f"86.9 ± {statistics.stdev([83.749, 90]):.1f}"
    assert line[4] == "90.0"


def test_only_accuracies_of_last_and_best_weights_are_tabulated():
    assert summarise([row(checkpoint="epoch"), row(metric="loss/ssim", value=0.1)]) == []
    (found,) = summarise([row(), row(checkpoint="epoch", epoch=1, value=0.1), row(metric="loss/ssim", value=0.1)])
    assert found.mean == 75


@pytest.mark.parametrize("name", ["experiment", "dataset", "factor", "split", "classifier", "checkpoint"])
def test_what_differs_in_more_than_the_seed_is_never_averaged(name):
    other = "best" if name == "checkpoint" else "other"
    found = summarise([row(value=0.2), row(seed=2, value=0.6, **{name: other})])
    assert sorted(each.mean for each in found) == pytest.approx([20, 60])
    assert [each.seeds for each in found] == [1, 1]


def test_the_order_of_the_records_does_not_matter():
    records = [row(seed=seed, classifier=name, factor=factor, experiment=experiment, checkpoint=checkpoint,
                   value=random.Random(f"{seed}{name}{factor}").random())
               for seed in (1, 2, 3) for name in ("knn", "svm") for factor in ("x5", "i3") for experiment in "ab"
               for checkpoint in ("last", "best")]
    expected = summarise(records)
    shuffled = records.copy()
    random.Random(0).shuffle(shuffled)
    for one, other in zip(expected, summarise(shuffled), strict=True):
        assert (one.experiment, one.dataset, one.classifier, one.checkpoint) == (
            other.experiment, other.dataset, other.classifier, other.checkpoint)  # fmt: skip
        assert one.mean == pytest.approx(other.mean)


def test_the_factor_and_split_stand_with_the_dataset():
    titles = {each.dataset for each in summarise([row(), row(factor=""), row(factor="", split="test")])}
    assert titles == {"sviro (x5), all", "sviro, all", "sviro, test"}


def pooled_by_hand(right_of_total):
    return 100 * sum(right for right, _ in right_of_total) / sum(total for _, total in right_of_total)


def test_pooled_accuracy_counts_the_right_ones_of_all_factors():
    counts = {1: {"x5": (90, 100), "i3": (10, 40), "tucson": (3, 7)},
              2: {"x5": (50, 100), "i3": (40, 40), "tucson": (0, 7)}}
    records = [row(seed=seed, factor=factor, value=right / total, n=total)
               for seed, cars in counts.items() for factor, (right, total) in cars.items()]
    (found,) = summarise(records, pool=True)
    each = [pooled_by_hand(cars.values()) for cars in counts.values()]
    assert found.mean == pytest.approx(statistics.mean(each))
    assert found.std == pytest.approx(statistics.stdev(each))
    assert found.best == pytest.approx(max(each))
    assert (found.seeds, found.samples) == (2, 147)
    assert "pooled" in found.dataset
    assert "x5" not in found.dataset


def test_pooling_keeps_datasets_splits_and_classifiers_apart():
    records = [row(factor=factor, **{name: value}) for factor in ("x5", "i3")
               for name, value in (("dataset", "a"), ("split", "test"), ("classifier", "svm"))]
    assert len(summarise(records, pool=True)) == 3


def test_without_pooling_every_factor_has_its_row():
    found = summarise([row(factor="x5", value=0.2), row(factor="i3", value=0.8)])
    assert {each.dataset: each.mean for each in found} == {"sviro (x5), all": 20, "sviro (i3), all": 80}


def test_the_same_value_twice_does_not_count_its_images_twice():
    (found,) = summarise([row(), row()])
    assert (found.mean, found.seeds, found.samples) == (75, 1, 400)


def test_the_same_value_twice_does_not_weigh_twice_when_pooled():
    records = [row(factor="x5", value=0.9, n=100), row(factor="i3", value=0.1, n=100)]
    (found,) = summarise([records[0], *records], pool=True)
    assert found.mean == pytest.approx(50)


def test_last_and_oracle_stand_side_by_side_in_their_own_columns():
    (line,) = grid(summarise([*seeds([0.5, 0.7]), best(value=0.8), best(seed=2, value=0.9)]))
    cells = dict(zip(HEADER, line, strict=True)) | {"last max": line[4], "oracle max": line[6]}
    assert cells["last epoch: mean ± std"] == f"60.0 ± {statistics.stdev([50, 70]):.1f}"
    assert cells["oracle: mean ± std"] == f"85.0 ± {statistics.stdev([80, 90]):.1f}"
    assert (cells["last max"], cells["oracle max"]) == ("70.0", "90.0")
    assert (cells["seeds"], cells["test images"]) == ("2", "400")


def test_a_missing_cell_is_a_dash():
    (line,) = grid(summarise(seeds([0.5, 0.7])))
    assert line[5:7] == ("-", "-")
    (line,) = grid(summarise([best(value=0.5)]))
    assert line[3:5] == ("-", "-")
    assert line[5:7] == ("50.0", "50.0")


def test_different_numbers_of_seeds_are_both_shown():
    (line,) = grid(summarise([*seeds([0.5, 0.7, 0.6]), best()]))
    assert line[7] in ("3/1", "1/3")


def test_the_footnote_says_which_deviation_and_what_the_oracle_saw():
    text = footnote(summarise([row(), best()]))
    assert "n - 1" in text
    assert "sviro (x5)" in text
    assert "sviro" not in footnote(summarise([row()]))


TABLE = [
    *seeds([0.5, 0.7], experiment="e_tae"), best(experiment="e_tae", value=0.8),
    *seeds([0.25], experiment="50%_a|b", classifier="svm", factor="", dataset="hand,written"),
]  # fmt: skip


def test_markdown_parses_back_to_the_grid():
    rows = summarise(TABLE)
    lines = render(rows, "markdown").split("\n\n")[0].splitlines()
    placeholder = "\0"
    cells = [[cell.strip().replace(placeholder, "|") for cell in line.replace(r"\|", placeholder).split("|")[1:-1]]
             for line in lines]
    assert tuple(cells[0]) == HEADER
    assert all(set(cell) <= {"-", ":"} and len(cell) >= 3 for cell in cells[1])
    assert [tuple(line) for line in cells[2:]] == grid(rows)
    assert {len(line) for line in cells} == {len(HEADER)}
    assert footnote(rows) in render(rows, "markdown")


def test_csv_parses_back_with_full_precision():
    rows = summarise(TABLE)
    parsed = list(csv.DictReader(io.StringIO(render(rows, "csv"))))
    assert len(parsed) == len(rows) == 3
    for text, found in zip(parsed, rows, strict=True):
        for name in ("experiment", "dataset", "classifier", "checkpoint", "selection"):
            assert text[name] == getattr(found, name)
        for name in ("mean", "best", "seeds", "samples"):
            assert float(text[name]) == getattr(found, name)
        assert float(text["std"]) == found.std or (math.isnan(float(text["std"])) and found.seeds == 1)


def unescaped(text):
    """What LaTeX prints."""
    text = text.replace(r"$\pm$", "±").replace(r"\textbackslash{}", "\0").replace(r"\textasciitilde{}", "~")
    text = text.replace(r"\textasciicircum{}", "^").replace(r"\textbar{}", "|")
    for character in "&%_#${}":
        text = text.replace("\\" + character, character)
    return text.replace("\0", "\\")


def latex_cells(text):
    mark = "\1"
    body = text.split(r"\toprule")[1].split(r"\bottomrule")[0].replace(r"\midrule", "")
    lines = [line.removesuffix(r"\\") for line in body.strip().splitlines() if line.strip()]
    return [[unescaped(cell.replace(mark, r"\&").strip()) for cell in line.replace(r"\&", mark).split("&")]
            for line in lines]


def test_latex_parses_back_to_the_grid():
    rows = summarise([*TABLE, row(experiment=r"a&b_c%d#e$f\g")])
    text = render(rows, "latex")
    cells = latex_cells(text)
    assert tuple(cells[0]) == HEADER
    assert [tuple(line) for line in cells[1:]] == grid(rows)
    columns = text.splitlines()[0].split("}{")[1].removesuffix("}").replace(" ", "")
    assert len(columns) == len(HEADER)


@pytest.mark.parametrize("character", ["_", "%", "&", "#", "$"])
def test_latex_escapes_what_would_break_it(character):
    body = render(summarise([row(experiment=f"a{character}b")]), "latex").split(r"\midrule")[1]
    assert f"a\\{character}b" in body
    assert f"a{character}b" not in body


@pytest.mark.parametrize("character", ["{", "}", "~", "^"])
def test_latex_never_takes_braces_tildes_and_carets_for_markup(character):
    body = render(summarise([row(experiment=f"a{character}b")]), "latex").split(r"\midrule")[1]
    assert f"a{character}b" not in body


def test_every_line_after_a_latex_tabular_is_a_comment():
    after = render(summarise(TABLE), "latex").split(r"\end{tabular}")[1].strip().splitlines()
    assert after
    assert all(line.startswith("%") for line in after)


def test_the_terminal_table_holds_every_cell_whole():
    rows = summarise([*TABLE, row(experiment="a_very_long_experiment_name_" * 3)])
    text = render(rows, "terminal")
    for line in grid(rows):
        (printed,) = [printed for printed in text.splitlines() if line[2] in printed and line[0] in printed]
        position = 0
        for cell in line:
            position = printed.index(cell, position) + len(cell)
    assert " ".join(footnote(rows).split()) in " ".join(text.split())


@pytest.mark.parametrize("name", ["e[tae]", "a[/b]", ":smile:"])
def test_the_terminal_table_prints_names_as_they_are(name):
    assert name in render(summarise([row(experiment=name)]), "terminal")


@pytest.mark.parametrize("changes", [{"value": 0.5}, {"epoch": 20}])
@pytest.mark.parametrize("checkpoint", ["last", "best"])
def test_two_values_of_one_seed_in_one_cell_are_reported(checkpoint, changes):
    records = [row(checkpoint=checkpoint), row(checkpoint=checkpoint, **changes), row(seed=2, checkpoint=checkpoint)]
    (text,) = duplicates(records)
    for piece in ("e_tae", "seed 1", "sviro", "x5", "knn", checkpoint):
        assert piece in text


@pytest.mark.parametrize("name", ["experiment", "seed", "dataset", "factor", "split", "classifier"])
def test_values_of_different_cells_are_no_conflict(name):
    assert duplicates([row(value=0.1), row(value=0.2, **{name: 7 if name == "seed" else "other"})]) == []


def test_repeated_and_other_records_are_no_conflict():
    assert duplicates([row(), row(), row(checkpoint="best", value=0.9)]) == []
    assert duplicates([row(checkpoint="epoch", epoch=epoch, value=epoch / 10) for epoch in range(5)]) == []
    assert duplicates([row(metric="loss/ssim", value=value) for value in (0.1, 0.2)]) == []


def test_every_conflict_is_reported():
    records = [row(seed=seed, classifier=name, value=value) for seed in (1, 2) for name in ("knn", "svm")
               for value in (0.1, 0.2)]
    assert len(set(duplicates(records))) == 4


def test_a_refusal_names_the_first_conflict_and_the_number_of_others():
    records = [row(seed=seed, factor="", value=value) for seed in (1, 2, 3) for value in (0.1, 0.2)]
    with pytest.raises(UserError, match=r"e_tae, seed 1, sviro, all, knn, last and 2 more; name the runs to use"):
        check_unique(records)
    check_unique(records[::2])
