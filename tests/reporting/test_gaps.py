"""The table of domain gaps."""

import statistics

from reporting.gaps import render


def row(seed, metric, value, **changes):
    return {"experiment": "e", "seed": seed, "dataset": "photos", "factor": "", "split": "all", "classifier": "",
            "checkpoint": "last", "epoch": 3, "metric": f"gap/{metric}", "selection": "last epoch", "value": value,
            "n": 593} | changes  # fmt: skip


def cells(records):
    return [line.strip("| ").split(" | ") for line in render(records, "markdown").splitlines()[2:] if "|" in line]


def test_mean_and_deviation_over_seeds():
    values = [0.9, 0.95, 0.91]
    rows = [row(seed, "domain_classifier", value) for seed, value in enumerate(values)]
    rows += [row(0, "knn_overlap", 0.25), row(0, "domain_classifier", 0.5, checkpoint="best")]
    mean, std = 100 * statistics.mean(values), 100 * statistics.stdev(values)
    assert cells(rows) == [
        ["photos, all", "e", "last epoch", f"{mean:.1f} ± {std:.1f}", "0.25", "3", "593"],
        ["photos, all", "e", "oracle", "50.0", "-", "1", "593"],
    ]


def test_nothing_recorded_gives_nothing():
    assert render([row(1, "other", 0.5)], "html") == ""
