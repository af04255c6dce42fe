import csv
import io
import math
import statistics

import pytest

from paper.mpi3d import HEADER, Origin, footnote, grid, render, summarise
from paper.published import TABLE_S5
from reporting.formats import FORMATS

AE = Origin("toy", "AE", "BCE", as_published=True)


def row(**changes):
    return {
        "experiment": "mpi3d_ae", "seed": 1, "dataset": "mpi3d", "factor": "real", "split": "all", "classifier": "",
        "checkpoint": "last", "epoch": 100, "metric": "ssim/synthetic", "selection": "last epoch", "value": 0.5,
        "n": 230400,
    } | changes  # fmt: skip


def test_mean_and_deviation_are_those_of_the_statistics_module():
    values = [0.51, 0.62, 0.58]
    (found,) = summarise([(AE, row(seed=seed, value=value)) for seed, value in enumerate(values)])
    assert (found.mean, found.std) == pytest.approx((statistics.mean(values), statistics.stdev(values)))
    assert (found.seeds, found.images, found.published) == (3, 230400, 0.559)
    (line,) = grid([found])
    assert dict(zip(HEADER[:7], line[:7], strict=True))["SSIM ↑"] == f"0.570 ± {statistics.stdev(values):.3f}"
    assert line[7:] == ("0.559", "-", "-", "-", "3", "230400")


def test_metrics_lie_side_by_side_and_comparisons_below_each_other():
    rows = [(AE, row(metric=f"{metric}/{against}", value=base + more))
            for against, base in (("real", 0.1), ("synthetic", 0.4))
            for metric, more in (("l1", 0.0), ("lpips", 0.1), ("ssim", 0.2))]
    lines = grid(summarise(rows))
    assert [line[5:] for line in lines] == [
        ("synthetic", "0.600", "0.559", "0.500", "0.412", "0.400", "1", "230400"),
        ("real", "0.300", "-", "0.200", "-", "0.100", "1", "230400")]


def test_only_models_built_as_published_have_a_published_value():
    for origin in (Origin("toy", "AE", "BCE", False), Origin("toy", "TAE", "BCE", True)):
        (found,) = summarise([(origin, row())])
        assert math.isnan(found.published)


def test_scores_over_different_numbers_of_images_are_not_averaged():
    found = summarise([(AE, row(seed=1, n=100, value=0.2)), (AE, row(seed=2, value=0.4)), (AE, row(seed=3, value=0.6))])
    assert [(each.images, each.seeds, each.mean) for each in found] == [(100, 1, 0.2), (230400, 2, pytest.approx(0.5))]


def test_experiments_of_another_origin_are_not_averaged():
    found = summarise([(AE, row(seed=1)), (Origin("toy", "AE", "SSIM", True), row(seed=2))])
    assert [each.seeds for each in found] == [1, 1]


def test_other_records_are_passed_over():
    others = [row(metric="accuracy"), row(metric="loss/ssim"), row(metric="ssim"), row(metric="psnr/real")]
    assert summarise([(AE, other) for other in others]) == []


@pytest.mark.parametrize("style", FORMATS)
def test_every_format_holds_the_scores(style):
    text = render(summarise([(AE, row(value=0.4321)), (AE, row(seed=2, value=0.4325))]), style)
    assert "0.559" in text
    assert ("0.4323" if style == "csv" else "0.432") in text


def test_csv_has_a_line_per_score_in_full_precision():
    text = render(summarise([(AE, row(value=0.123456789)), (AE, row(metric="l1/real", value=0.5))]), "csv")
    first, second = csv.DictReader(io.StringIO(text))
    assert (first["compared_with"], first["metric"], first["mean"]) == ("synthetic", "ssim", "0.123456789")
    assert (second["compared_with"], second["metric"], second["published"]) == ("real", "l1", "nan")


def test_the_note_says_how_the_oracle_was_chosen_where_there_is_one():
    oracle = row(checkpoint="best", selection="oracle: highest accuracy on mpi3d (real)")
    assert "highest accuracy on mpi3d (real)" in footnote(summarise([(AE, oracle)]))
    assert "racle" not in footnote(summarise([(AE, row())]))


def test_table_s5_favours_the_extractor_as_the_paper_says():
    assert len(TABLE_S5) == 20
    for source in ("toy", "realistic"):
        part = {name: values for name, values in TABLE_S5.items() if name[0] == source}
        assert max(part, key=lambda name: part[name]["ssim"])[1] == "E-AE"
        assert min(part, key=lambda name: part[name]["lpips"])[1] == "E-AE"
