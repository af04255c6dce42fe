"""How metrics are shown."""

import math

import pytest

from reporting.metrics import families, metric_of, shown, subject


@pytest.mark.parametrize(("name", "label", "arrow", "text"), [
    ("accuracy", "accuracy (%)", "accuracy ↑", "50.0 ± 2.0"), ("loss/total", "loss total", "loss total ↓",
                                                                "0.500 ± 0.020"),
    ("ssim/real", "SSIM real", "SSIM real ↑", "0.500 ± 0.020"), ("lpips", "LPIPS", "LPIPS ↓", "0.500 ± 0.020"),
    ("iou/a b", "IoU a b (%)", "IoU a b ↑", "50.0 ± 2.0"), ("fid", "FID", "FID ↓", "0.5 ± 0.0"),
    ("gap/domain_classifier", "domain classifier (%)", "domain classifier ↓", "50.0 ± 2.0"),
    ("gap/other", "gap/other", "gap/other ↑", "0.500 ± 0.020"), ("new", "new", "new ↑", "0.500 ± 0.020"),
])  # fmt: skip
def test_a_metric_is_found_by_name_or_by_what_its_name_begins_with(name, label, arrow, text):
    metric = metric_of(name)
    assert (metric.label, metric.arrow) == (label, arrow)
    assert metric.text(0.5 * metric.scale, 0.02 * metric.scale) == text


def test_an_unknown_spread_is_not_shown_and_a_value_that_is_no_number_is():
    assert metric_of("accuracy").text(50, math.nan, "+") == "+50.0"
    assert metric_of("accuracy").text(math.nan) == "nan"


@pytest.mark.parametrize(("metric", "classifier", "expected"), [
    ("accuracy", "knn", ("knn", "44.1 %")), ("accuracy", "", ("accuracy", "44.1 %")), ("miou", "", ("mIoU", "44.1 %")),
    ("fid", "", ("FID", "0.4")), ("purity", "knn", ("knn purity", "0.441"))])
def test_a_line_says_what_was_measured_in_its_unit(metric, classifier, expected):
    row = {"metric": metric, "classifier": classifier, "value": 0.441}
    assert (subject(row), shown(row)) == expected


def test_families_begin_with_accuracy_and_end_with_losses():
    assert families(["loss/total", "iou/a", "iou/b", "accuracy", "fid"]) == ["accuracy", "fid", "iou", "loss"]
