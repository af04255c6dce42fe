import csv
import io
import math
import statistics

import pytest
from small_records import row

from paper.mpi3d import HEADER, footnote, grid, render, summarise
from paper.tables import Entry
from reporting.formats import FORMATS

AE = ("toy", "AE", "BCE")


def entry(seed=1, place=AE, departures=(), metric="ssim/synthetic", n=230400, **changes):
    record = row(experiment="mpi3d_ae", seed=seed, dataset="mpi3d", factor="real", classifier="", metric=metric, n=n,
                 **changes)
    return Entry("mpi3d_ae", seed, "s5", place, departures, [record])


def test_mean_and_deviation_are_those_of_the_statistics_module():
    values = [0.51, 0.62, 0.58]
    (found,) = summarise([entry(seed, value=value) for seed, value in enumerate(values)])
    assert (found.mean, found.std) == pytest.approx((statistics.mean(values), statistics.stdev(values)))
    assert (found.seeds, found.images, found.published) == (3, 230400, 0.559)
    (line,) = grid([found])
    assert dict(zip(HEADER[:7], line[:7], strict=True))["SSIM ↑"] == f"0.570 ± {statistics.stdev(values):.3f}"
    assert line[7:] == ("0.559", "-", "-", "-", "3", "230400")


def test_metrics_lie_side_by_side_and_comparisons_below_each_other():
    entries = [entry(metric=f"{metric}/{against}", value=base + more)
               for against, base in (("real", 0.1), ("synthetic", 0.4))
               for metric, more in (("l1", 0.0), ("lpips", 0.1), ("ssim", 0.2))]
    assert [line[5:] for line in grid(summarise(entries))] == [
        ("synthetic", "0.600", "0.559", "0.500", "0.412", "0.400", "1", "230400"),
        ("real", "0.300", "-", "0.200", "-", "0.100", "1", "230400")]


@pytest.mark.parametrize("changes", [{"departures": ("training.epochs = 1 (100)",)}, {"place": ("toy", "TAE", "BCE")}])
def test_only_models_built_as_published_have_a_published_value(changes):
    (found,) = summarise([entry(**changes)])
    assert math.isnan(found.published)


@pytest.mark.parametrize("other", [{"n": 100}, {"place": ("toy", "AE", "SSIM")}, {"departures": ("x",)}])
def test_other_numbers_of_images_and_other_models_are_not_averaged(other):
    found = summarise([entry(1, value=0.2, **other), entry(2, value=0.4), entry(3, value=0.6)])
    assert sorted((each.seeds, each.mean) for each in found) == [(1, 0.2), (2, pytest.approx(0.5))]


def test_other_records_are_passed_over():
    assert summarise([entry(metric=name) for name in ("accuracy", "loss/ssim", "ssim", "psnr/real")]) == []
    assert summarise([entry()._replace(table="s6")]) == []


@pytest.mark.parametrize("style", FORMATS)
def test_every_format_holds_the_scores(style):
    text = render(summarise([entry(value=0.4321), entry(2, value=0.4325)]), style)
    assert "0.559" in text
    assert ("0.4323" if style == "csv" else "0.432") in text


def test_csv_has_a_line_per_score_in_full_precision():
    text = render(summarise([entry(value=0.123456789), entry(metric="l1/real", value=0.5)]), "csv")
    first, second = csv.DictReader(io.StringIO(text))
    assert (first["compared_with"], first["metric"], first["mean"]) == ("synthetic", "ssim", "0.123456789")
    assert (second["compared_with"], second["metric"], second["published"]) == ("real", "l1", "nan")


def test_the_note_says_how_the_oracle_was_chosen_where_there_is_one():
    oracle = entry(checkpoint="best")
    assert "Oracle: weights of the epoch with the highest accuracy on sviro (x5)." in footnote(summarise([oracle]))
    assert "racle" not in footnote(summarise([entry()]))
    source = summarise([entry(checkpoint="best", selection="source: highest SSIM on mpi3d (toy)")])
    assert grid(source)[0][4] == "best on source"
    assert footnote(source).endswith(" Best on source: weights of the epoch with the highest SSIM on mpi3d (toy).")
