"""Table 6.2: which run and test set belong into which row, and its figures beside the published ones."""

from pathlib import Path
from types import SimpleNamespace

import pytest

from experiment.config import load_config
from experiment.records import record
from paper.placement import departures, look_of
from paper.published import TABLE_6_2
from paper.tables import TABLES, lines, place, unplaced
from paper.text import render

CFG = Path(__file__).parent.parent.parent / "cfg" / "cars_shape_pose.toml"


@pytest.mark.parametrize(("folder", "look"), [("cars", "Original"), ("cars_stylised_2", "Stylized 2"),
                                              ("Stylized_3", "Stylized 3"), ("stylised", "Original")])
def test_looks_go_by_the_end_of_a_folders_name(folder, look):
    assert look_of(folder) == look


def run_of(root, seed, values):
    config = load_config(CFG, [f"dataset.root={root}"], seed=seed)
    rows = [record(experiment="e", seed=seed, dataset=f"views {dataset}", factor="", split="test",
                   classifier=classifier, checkpoint="last", epoch=1, metric=metric, selection="last", value=value,
                   n=125)
            for dataset, metric, classifier, value in values]
    return SimpleNamespace(config=config, experiment="e", published=False), rows


def test_every_test_set_of_a_run_is_a_row_and_floors_are_none():
    run, rows = run_of("data/cars_stylised_2", 1, [
        ("cars", "chamfer", "network", 0.03), ("cars_stylised_2", "chamfer", "network", 0.02),
        ("cars_stylised_2", "chamfer", "constant", 0.5), ("cars_stylised_2", "mask_xor", "network", 0.4)])
    entries = place(run, rows)
    assert [entry.row for entry in entries] == [("Stylized 2", "Original"), ("Stylized 2", "Stylized 2")]
    table = TABLES["6.2"]
    chamfer = next(column for column in table.columns if column.metric == "chamfer")
    found = {line.row: line for line in lines(table, chamfer, entries)}
    assert len(found) == len(TABLE_6_2) == 9
    assert found["Stylized 2", "Stylized 2"].scores["last"].mean == pytest.approx(2.0)
    assert found["Stylized 2", "Stylized 2"].published.mean == 2.92
    assert not found["Original", "Original"].scores
    assert "dataset.image_size = 64 (128)" in found["Stylized 2", "Original"].notes[0]
    text = render(["6.2"], entries, "markdown")
    assert "Stylized 2" in text
    assert "training.keep" not in text
    assert unplaced(table, entries)
    joined, rows = run_of('["data/cars", "data/cars_stylised_2"]', 1, [("cars", "chamfer", "network", 0.03)])
    [entry] = place(joined, rows)
    assert entry.row == ("Original + Stylized 2", "Original")
    assert "dataset.root = data/cars + data/cars_stylised_2 (one root)" in entry.departures


def test_distances_add_up_but_for_rounding_and_the_published_config_departs_in_nothing():
    assert all(abs(row["precision"] + row["coverage"] - row["chamfer"]) < 0.011 for row in TABLE_6_2.values())
    config = load_config(CFG, ["dataset.image_size=128", "model.points=8000", "model.width=1024", "model.grid=64",
                               "training.iterations=600000", "training.learning_rate=1e-4", "training.sigma=[3.0, 0.2]",
                               "training.taps=21"])
    assert departures(config) == []
