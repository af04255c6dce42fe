"""Run folders that are written by hand, and what a page about them says, shared by the tests of reports."""

import html
import json
import re

import numpy as np
from PIL import Image
from small_records import row

from experiment import predictions, records

CONFIG = """
[dataset]
name = "{name}"
factor = {train}
split = "train"
[model]
type = "extractor"
variation = "{variation}"
[training]
epochs = 4
seed = {seed}
[[evaluation.datasets]]
name = "sviro"
factor = "{factor}"
"""
CARS = ("x5", "i3")


def rows(experiment, seed, factor, level):
    common = {"experiment": experiment, "seed": seed, "factor": factor, "n": 40, "epoch": 4}
    other = common | {"classifier": "", "n": 20}
    return [*(row(**other | {"metric": "loss/total", "checkpoint": "epoch", "epoch": epoch, "value": 100.0**-epoch})
              for epoch in (1, 2, 3, 4)),
            *(row(**common | {"checkpoint": "epoch", "epoch": epoch, "value": level * epoch / 4}) for epoch in (2, 4)),
            row(**common, value=level), row(**other, metric="gap/domain_classifier", value=0.9321),
            row(**other, metric="gap/knn_overlap", value=0.33)]


def write(root, experiment, seed, factor, level, done=True, evaluated=True, name="sviro", variation="ae"):
    """Write a run folder as training and evaluation leave it; return it."""
    run = root / experiment / f"{seed}-{factor}"
    (run / "images").mkdir(parents=True)
    train = [car for car in CARS if car != factor] if name == "sviro" else []
    (run / "cfg.toml").write_text(CONFIG.format(name=name, seed=seed, factor=factor, variation=variation, train=train))
    environment = {"experiment": experiment, "started": "2026-03-01T10:00:00+00:00", "device": "cpu", "dirty": False,
                   "commit": "0123456789abcdef", "python": "3.11.7", "packages": {"torch": "2.9.0"},
                   "command": ["train_ae.py", "cfg/sviro_unseen_car.toml", "--seed", str(seed)]}
    (run / "environment.json").write_text(json.dumps(environment))
    if done:
        (run / "done").write_text("2026-03-01T11:00:00+00:00\n")
    if evaluated:
        records.append(run, rows(experiment, seed, factor, level))
        true = np.tile(np.arange(4, dtype=np.uint8)[:, None], (10, 3))
        predicted = true.copy()
        predicted[: round(40 * (1 - level))] = 1
        classes = np.array(["empty", "infant <seat>", "child", "adult"])
        predictions.save(run, predictions.Predictions(experiment, seed, "sviro", factor, "all", "knn", "last",
                                                      predicted, true, classes))
    return run


def paint(path, colour, size=(900, 200)):
    Image.new("RGB", size, colour).save(path)


def finish(root, experiment, seed, config, rows=()):
    """Write the folder of a finished run with a config and records; return it."""
    run = root / experiment / str(seed)
    (run / "images").mkdir(parents=True)
    (run / "cfg.toml").write_text(config.format(seed=seed, root=root))
    command = ["train.py", "--name", experiment, "--seed", str(seed)]
    (run / "environment.json").write_text(json.dumps({"experiment": experiment, "command": command}))
    (run / "done").write_text("2026-03-01T11:00:00+00:00\n")
    records.append(run, [row(**{"experiment": experiment, "seed": seed, "factor": ""} | each) for each in rows])
    return run


def section(text, title):
    return re.search(rf"<h2>{title}</h2>(.*?)</section>", text, re.DOTALL)[1]


def table_lines(text):
    return [[html.unescape(re.sub("<br>", "\n", cell)) for cell in re.findall(r"<td[^>]*>(.*?)</td>", line)]
            for line in re.findall(r"<tr>(.*?)</tr>", text)]
