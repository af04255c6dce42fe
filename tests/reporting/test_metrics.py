"""How metrics are shown."""

import math

import pytest

from reporting.metrics import metric_of


@pytest.mark.parametrize(("name", "label", "arrow", "shown"), [
    ("accuracy", "accuracy (%)", "accuracy ↑", "50.0 ± 2.0"), ("loss/total", "loss", "loss ↓", "0.500 ± 0.020"),
    ("ssim/real", "SSIM", "SSIM ↑", "0.500 ± 0.020"), ("lpips", "LPIPS", "LPIPS ↓", "0.500 ± 0.020"),
    ("gap/domain_classifier", "domain classifier (%)", "domain classifier ↓", "50.0 ± 2.0"),
    ("gap/other", "gap/other", "gap/other ↑", "0.500 ± 0.020"), ("new", "new", "new ↑", "0.500 ± 0.020"),
])  # fmt: skip
def test_a_metric_is_found_by_name_or_by_what_its_name_begins_with(name, label, arrow, shown):
    metric = metric_of(name)
    assert (metric.label, metric.arrow) == (label, arrow)
    assert metric.text(0.5 * metric.scale, 0.02 * metric.scale) == shown


def test_an_unknown_spread_is_not_shown_and_a_value_that_is_no_number_is():
    assert metric_of("accuracy").text(50, math.nan, "+") == "+50.0"
    assert metric_of("accuracy").text(math.nan) == "nan"
