"""Tables and figures from run folders that are written by hand."""

import csv
import io
import statistics

import numpy as np
import pytest
from small_records import row

from experiment import predictions, records

CONFIG = """
[dataset]
name = "{name}"
{more}
[model]
type = "{type}"
variation = "ae"
extractor = "vgg11"
[training]
epochs = 20
loss = "mse"
seed = {seed}
make_instance_impossible = true
"""


@pytest.fixture
def write(tmp_path):
    """Write a run folder with records; returns its experiment's folder."""

    def write(experiment, seed, rows, name="mnist", type="extractor", more=""):
        run = tmp_path / experiment / f"{seed}-run"
        run.mkdir(parents=True)
        (run / "environment.json").write_text(f'{{"experiment": "{experiment}"}}')
        (run / "cfg.toml").write_text(CONFIG.format(name=name, type=type, seed=seed, more=more))
        own = {"experiment": experiment, "seed": seed, "dataset": "digit_photos", "factor": ""}
        records.append(run, [row(**own | changes) for changes in rows])
        return run.parent

    return write


def test_the_papers_table_places_runs_by_their_config(succeed, write):
    values = [0.61, 0.66, 0.64]
    for seed, value in enumerate(values):
        folder = write("mine", seed, [{"value": 0.1}, {"value": value}])
    write("mine", 9, [{"checkpoint": "epoch", "epoch": 1}])
    small = write("small", 1, [{"value": 0.3}], type="conv", more="limit = 100")
    out = succeed("calculate_mean_and_var_accuracy.py", folder, small, "--table", "s7", "--format", "csv")
    found = {line["experiment"]: line for line in csv.DictReader(io.StringIO(out)) if line["column"] == "kNN"}
    mine = found["mine"]
    percent = [100 * value for value in values]
    assert (mine["row"], mine["published_mean"], mine["last_seeds"], mine["runs"]) == ("II-E-AE", "65.0", "3", "4")
    assert float(mine["last_mean"]) == pytest.approx(statistics.mean(percent))
    assert float(mine["last_std"]) == pytest.approx(statistics.stdev(percent))
    assert float(mine["difference"]) == pytest.approx(statistics.mean(percent) - 65.0)
    assert mine["notes"] == ""
    assert (found["small"]["row"], "dataset.limit = 100 (none)" in found["small"]["notes"]) == ("II-AE", True)


@pytest.mark.parametrize("style", ["terminal", "markdown", "latex"])
def test_all_tables_are_those_that_runs_belong_to(script, write, tmp_path, style):
    folder = write("mine", 1, [{}])
    other = write("elsewhere", 1, [{}], name="glyphs")
    out = tmp_path / "table.txt"
    code, printed, err = script("calculate_mean_and_var_accuracy.py", folder, other, "--table", "all", "--format",
                                style, "--out", out)
    assert (code, printed) == (0, "")
    assert "1 of 2 runs were trained on other data" in err
    text = out.read_text()
    assert ("Table S7: kNN" in text, "Table S6" in text, "Table S5" in text) == (True, False, False)
    assert "elsewhere" not in text


def test_two_experiments_are_compared(succeed, write):
    for name, shift in (("first", 0.1), ("second", 0.0)):
        for seed, value in enumerate((0.5, 0.52, 0.47, 0.55)):
            folder = write(name, seed, [{"value": value + shift * (1 + 0.1 * seed)},
                                        {"value": 0.3, "metric": "agreement/real", "classifier": ""}])
    out = succeed("calculate_mean_and_var_accuracy.py", folder.parent, "--compare", "first", "second")
    assert ("first 11.5 points above second" in out, "agreement" in out) == (True, False)


def test_all_metrics_that_are_recorded_are_tabulated_or_those_asked_for(succeed, write):
    folder = write("mine", 1, [{"metric": name, "classifier": "", "value": 0.4} for name in (
        "miou", "overall_accuracy", "iou/road", "fid", "gap/knn_overlap")])
    out = succeed("calculate_mean_and_var_accuracy.py", folder, "--format", "csv")
    assert {line["metric"]: line["mean"] for line in csv.DictReader(io.StringIO(out))} == {
        "fid": "0.4", "miou": "40.0", "overall_accuracy": "40.0"}
    for name in ("gap/knn_overlap", "iou/road"):
        out = succeed("calculate_mean_and_var_accuracy.py", folder, "--metric", name, "--format", "csv")
        assert [line["metric"] for line in csv.DictReader(io.StringIO(out))] == [name]


@pytest.mark.parametrize(("options", "said"), [
    (["--compare", "mine", "mime"], "did you mean 'mine'"), (["--metric", "acuracy"], "did you mean 'accuracy'"),
    (["--table", "s7", "--pool"], "--pool: the paper's tables"), (["--table", "s6"], "no run belongs to s6"),
    (["--table", "s7", "--metric", "accuracy"], "--metric: the paper's tables"),
    (["--table", "s7", "--rank-by", "x"], "--rank-by: orders the table of all results"),
    (["--rank-by", "x, test"], "--rank-by: test set: 'x, test' is not known")])
def test_what_cannot_be_tabulated_is_one_line(script, write, options, said):
    code, out, err = script("calculate_mean_and_var_accuracy.py", write("mine", 1, [{}]), *options)
    assert (code, out, len(err.strip().splitlines())) == (2, "", 1)
    assert said in err


def test_curves_are_drawn_into_the_folder(script, write, tmp_path):
    for seed in (1, 2):
        folder = write("mine", seed, [{"checkpoint": "epoch", "epoch": epoch, "value": 0.1 * epoch}
                                      for epoch in (1, 2)])
    code, out, err = script("plot_accuracy_over_time.py", folder, "--out", tmp_path / "figures")
    assert code == 0, err
    assert "no loss per epoch recorded" in err
    assert [line.rsplit("/")[-1] for line in out.splitlines()] == ["accuracy.pdf", "accuracy.png"]
    assert len(list((tmp_path / "figures").iterdir())) == 2
    code, _, err = script("plot_accuracy_over_time.py", folder, "--metric", "loss", "--out", tmp_path / "none")
    assert (code, (tmp_path / "none").exists()) == (2, False)
    assert "no loss per epoch recorded; found: accuracy" in err


def test_more_experiments_than_lines_that_differ_are_said(script, write, tmp_path):
    for number in range(29):
        write(f"mine_{number}", 1, [{"checkpoint": "epoch", "epoch": 1}])
    _, _, err = script("plot_accuracy_over_time.py", tmp_path / "mine_*", "--out", tmp_path / "figures")
    assert "29 experiments, and 28 lines" in err
    _, _, err = script("plot_accuracy_over_time.py", tmp_path / "mine_1*", "--out", tmp_path / "figures")
    assert "lines that can be told apart" not in err


def test_classes_are_drawn_and_tabulated(fail, succeed, write, tmp_path):
    folder = write("mine", 1, [{}])
    assert "no predictions kept; run eval_ae.py" in fail("plot_class_accuracy.py", folder, "--out", tmp_path / "none")
    true = np.array([[0], [0], [1], [1]], dtype=np.uint8)
    predictions.save(folder / "1-run", predictions.Predictions(
        "mine", 1, "digit_photos", "", "all", "knn", "last", np.array([[0], [1], [1], [1]], dtype=np.uint8), true,
        np.array(["zero", "one"])))
    table = tmp_path / "table.csv"
    succeed("plot_class_accuracy.py", folder, "--out", tmp_path / "figures", "--format", "csv",
            "--table", table)
    found = {line["true_class"]: line for line in csv.DictReader(table.open())}
    assert {name: float(line["mean"]) for name, line in found.items()} == {"all": 75, "zero": 50, "one": 100}
    assert found["zero"]["taken_for"] == "one, 50.0 %"
    assert len(list((tmp_path / "figures").iterdir())) == 2
    assert "found: knn (last)" in fail("plot_class_accuracy.py", folder, "--classifier", "svm")
