"""Run folders of networks that nothing was trained of, in the layout of the published weights: as good as finished."""

from pathlib import Path

import torch

from experiment.run import open_run
from segmentation.judge import recogniser
from shape_pose.step import create_network

STREETS = """
[dataset]
name = "camvid"
root = "{root}"
cache = "{cache}"
image_size = [64, 48]
classes = "street11"

[model]
type = "deeplab"
weights = "none"

[training]
epochs = 1
device = "cpu"
"""

SHAPES = """
[dataset]
name = "views"
root = "{root}"
cache = "{cache}"
image_size = 32

[model]
type = "point_cloud"
points = 64
width = 16
grid = 16

[training]
epochs = 1
device = "cpu"
"""


def write_run(folder: Path, text: str, root: Path, cache: Path) -> Path:
    """Write a run folder of a config; returns it."""
    (folder / "checkpoints").mkdir(parents=True)
    (folder / "cfg.toml").write_text(text.format(root=root, cache=cache))
    run = open_run(folder)
    torch.manual_seed(0)
    if run.config.model.type == "deeplab":
        network = recogniser(run, torch.device("cpu")).module
        # Several classes are found.
        network.classifier.classifier[-1].weight.data *= 50
    else:
        network = create_network(run.config.model, run.config.dataset.image_size)
    torch.save(network.state_dict(), folder / "checkpoints" / "last_model.pth")
    return folder
