"""What a run writes down of metrics other than accuracy; of accuracies, tests/test_scripts.py looks at whole runs."""

from types import SimpleNamespace

import pytest

from experiment import records
from training.journal import Journal, score, selection

SOURCE = {"dataset": "cabins", "factor": "", "split": "train", "n": 8}


@pytest.mark.parametrize(("metric", "values", "text", "on_source", "oracle"), [
    ("miou", (0.5, 0.25), "mIoU on photos (x5), train 50.0 %", False, "oracle: highest mIoU on photos (x5), train"),
    ("miou", (0.5, 0.25), "mIoU on photos (x5), train 50.0 %", True, "source: highest mIoU on photos (x5), train"),
    ("fid", (20.0, 30.0), "FID on photos (x5), train 20.0", False, "oracle: lowest FID on photos (x5), train")])
def test_the_first_metric_chooses_in_its_own_direction_and_all_are_kept(tmp_path, metric, values, text, on_source,
                                                                        oracle):
    training = SimpleNamespace(seed=1, epochs=2)
    run = SimpleNamespace(folder=tmp_path, logs=tmp_path / "logs", experiment="e", published=False,
                          config=SimpleNamespace(training=training, chosen_on_source=on_source))
    run.logs.mkdir()
    journal, scores = Journal(run, SOURCE, 0), []
    for epoch, value in enumerate(values, 1):
        rows = [SOURCE | {"dataset": "photos", "factor": "x5", "classifier": "", "metric": name, "value": each}
                for name, each in ((metric, value), ("iou/seat", 0.1 * epoch))]
        journal.epoch(epoch, {"total": 1.0}, rows)
        scores.append(score(rows[0]))
    journal.close(last_epoch=2, best_epoch=1)
    assert scores[0] > scores[1]
    assert text in (run.logs / "training.log").read_text()
    kept = [(row["checkpoint"], row["metric"], row["value"], row["selection"]) for row in records.read(tmp_path)
            if row["checkpoint"] != "epoch"]
    assert kept == [("last", metric, values[1], "last epoch"), ("last", "iou/seat", 0.2, "last epoch"),
                    ("best", metric, values[0], oracle), ("best", "iou/seat", 0.1, oracle)]
    assert [selection(run, name) for name in ("last", "best")] == ["last epoch", oracle]
