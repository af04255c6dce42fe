import statistics

from small_records import row, seeds

from reporting.gaps import render


def test_mean_and_deviation_over_seeds_stand_side_by_side():
    values = [0.9, 0.95, 0.91]
    common = {"classifier": "", "dataset": "photos", "factor": ""}
    records = [*seeds(values, metric="gap/domain_classifier", **common),
               *seeds([0.25] * 3, metric="gap/knn_overlap", **common),
               row(value=0.5, metric="gap/domain_classifier", checkpoint="best", **common)]
    mean, std = 100 * statistics.mean(values), 100 * statistics.stdev(values)
    assert [line.strip("| ").split(" | ") for line in render(records, "markdown").splitlines()[2:4]] == [
        ["photos, all", "e_tae", "last epoch", f"{mean:.1f} ± {std:.1f}", "0.25 ± 0.00", "3", "400"],
        ["photos, all", "e_tae", "oracle", "50.0", "-", "1", "400"]]
    assert render([row(metric="gap/other")], "html") == ""
