"""What makes training fast changes neither its results nor waits for the device."""

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from autoencoder.config import Model, Training
from autoencoder.step import create_step
from dataset import Batches, Scenes
from experiment.config import EvaluationDataset
from frozen.inputs import CachedInputs, LiveInputs, create_inputs
from model import create_autoencoder
from training.command import create_fabric

CPU = torch.device("cpu")
SIZE = 32


def open_scenes(name, cache, limit):
    return Scenes(EvaluationDataset(name=name, root="x", limit=limit), SIZE, str(cache), CPU)


def create(variation, scenes, type="extractor"):
    torch.manual_seed(0)
    options = {"extractor": "small_cnn"} if type == "extractor" else {}
    section = Model(type=type, variation=variation, weights="none", dimension=16, knn=5, **options)
    return create_autoencoder(section, SIZE, scenes.channels)


def create_training(model, variation, scenes, inputs):
    section = Training(epochs=1, loss="ssim", learning_rate=1e-3, batch_size=16, tc_weight=10)
    batches = Batches(scenes, inputs, 16, seed=1, triplet=variation == "tae",
                      impossible="instance" if variation == "tae" else "none", second=variation == "factorvae")
    return create_step(variation, model, section, create_fabric(torch.device("cpu"))), batches


def weights(step):
    return torch.cat([parameter.detach().flatten() for parameter in step.parameters()])


def test_cached_and_live_features_train_alike(tmp_path):
    scenes, curves, ways = open_scenes("glyphs", tmp_path, 80), [], []
    for cached in (True, False):
        model = create("tae", scenes)
        inputs = create_inputs(model, scenes, tmp_path) if cached else LiveInputs(model, scenes)
        assert isinstance(inputs, CachedInputs) == cached
        step, batches = create_training(model, "tae", scenes, inputs)
        start = weights(step)
        model.train()
        curves.append([float(step.update(batch)["total"]) for epoch in range(4) for batch in batches.epoch(epoch)])
        ways.append(weights(step) - start)
    assert len(curves[0]) == 20
    assert curves[0] == pytest.approx(curves[1], rel=1e-3)
    # Losses of a few steps say little; the weights must have gone the same way too.
    assert torch.cosine_similarity(*ways, dim=0) > 0.9


class Waiting(TorchDispatchMode):
    """Notes operations whose result the host has to wait for."""

    NAMES = ("_local_scalar_dense", "nonzero", "masked_select", "_unique2", "is_nonzero", "equal")

    def __init__(self):
        super().__init__()
        self.seen = []

    def __torch_dispatch__(self, function, types, arguments=(), options=None):
        name = function.overloadpacket.__name__
        masks = [item for item in arguments[1] if item is not None and item.dtype == torch.bool] \
            if name.startswith("index") and isinstance(arguments[1], (list, tuple)) else []
        if name in self.NAMES or masks:
            self.seen.append(name)
        return function(*arguments, **(options or {}))


@pytest.mark.parametrize(("type", "variation"), [("conv", "ae"), ("conv", "tae"), ("conv", "vae"),
                                                 ("conv", "factorvae"), ("extractor", "tae")])
def test_nothing_within_an_epoch_waits_for_the_device(type, variation, tmp_path):
    scenes = open_scenes("glyphs", tmp_path, 40)
    model = create(variation, scenes, type)
    inputs = create_inputs(model, scenes, tmp_path)
    step, batches = create_training(model, variation, scenes, inputs)
    # As on a device that holds everything.
    for rows in (scenes.rows, getattr(inputs, "rows", scenes.rows)):
        rows.tensor = rows.take(torch.arange(len(rows)))
    model.train()
    epoch = batches.epoch(1)
    step.update(next(epoch))
    with Waiting() as waiting:
        for batch in epoch:
            step.update(batch)
    assert waiting.seen == []


def test_waiting_is_noticed():
    with Waiting() as waiting:
        values = torch.rand(3)
        values[values > 2]
        values.sum().item()
    assert waiting.seen == ["index", "_local_scalar_dense"]
