"""The network's sizes, the step of shape and pose, its batches."""

import numpy as np
import pytest
import torch
from refusals import refused
from shape_views import write_views
from torch.nn import functional as F

from shape_pose.config import ShapePoseConfig
from shape_pose.data import Batch, ViewBatches, open_training, resampled
from shape_pose.losses import mask_error, student_loss
from shape_pose.step import ShapePoseStep, create_network
from training.command import create_fabric

CPU = torch.device("cpu")


def configured(root="", cache="", **changes):
    model = {"points": 60, "width": 16, "grid": 16} | changes.pop("model", {})
    training = {"epochs": 2, "batch_size": 2, "views_per_model": 3, "taps": 7, "keep": [0.5, 1.0],
                "sigma": [1.5, 0.3]} | changes
    return ShapePoseConfig.model_validate({
        "dataset": {"name": "views", "root": str(root), "cache": str(cache), "image_size": 32},
        "model": {"type": "point_cloud"} | model, "training": training})


def create(config, seed=0):
    torch.manual_seed(seed)
    model = create_network(config.model, config.dataset.image_size)
    return ShapePoseStep(model, config.training, config.model, create_fabric(CPU), 5)


def batch(views=6):
    generator = torch.Generator().manual_seed(1)
    images = torch.rand(views, 3, 32, 32, generator=generator)
    return Batch(images, (torch.rand(views, 16, 16, generator=generator) > 0.7).float(), 3)


def test_the_published_network_has_as_many_weights():
    config = ShapePoseConfig.model_validate({"dataset": {"name": "views"}, "model": {"type": "point_cloud"},
                                             "training": {"epochs": 1}})
    with torch.device("meta"):
        model = create_network(config.model, config.dataset.image_size)
    assert sum(parameter.numel() for parameter in model.parameters()) == 33_292_309
    assert model.encoder[-2].in_features == 4096
    assert len([layer for layer in model.encoder if isinstance(layer, torch.nn.Conv2d)]) == 9


def test_convolutions_pad_as_tensorflow_does():
    model = create(configured()).model
    first, image = model.encoder[0], torch.rand(1, 3, 32, 32)
    # TensorFlow, SAME: total = (out - 1) * stride + kernel - in, of which the smaller half goes before.
    padded = torch.zeros(1, 3, 35, 35)
    padded[:, :, 1:33, 1:33] = image
    wanted = F.leaky_relu(F.conv2d(padded, first.weight, first.bias, stride=2), 0.2)
    assert torch.allclose(first(image), wanted, atol=1e-6)
    assert model.encoder[1].around == (0, 1, 0, 1)
    assert model.encoder[2].around == (1, 1, 1, 1)


def test_weights_begin_as_published():
    model = create(configured(model={"width": 512, "points": 300})).model
    weight = model.shape_feature.weight
    assert weight.std().item() == pytest.approx(1.003 * (2 / 512) ** 0.5, rel=0.02)
    assert weight.abs().max() <= 2 * (2.6 / 512) ** 0.5
    assert model.points.weight.abs().max() <= 0.05
    assert model.points.weight.std().item() == pytest.approx(0.022, rel=0.02)
    assert not any(parameter.any() for name, parameter in model.named_parameters() if name.endswith("bias"))


def through_all(step, given, chosen):
    """Return losses with gradients through all candidates, of which a minimum is taken, view by view."""
    points, scale = step.model.shape(step.model.encode(given.images)[:: given.views])
    candidates, student = step.model.poses(step.model.encode(given.images))
    errors = []
    for view in range(len(given.images)):
        model = torch.full((candidates.shape[1],), view // given.views)
        found = step.render(points, scale, candidates[view], model, chosen[view])
        errors.append(mask_error(given.masks[view], found))
    errors = torch.stack(errors)
    best = errors.argmin(dim=1)
    total = errors.min(dim=1).values.mean()
    return total + 20 * student_loss(student, candidates[torch.arange(len(best)), best]), errors, candidates


def test_only_the_best_candidate_learns_and_as_if_all_had_been_followed(monkeypatch):
    step, given = create(configured()), batch()
    chosen = step.subsets_of(6, 4, 30, torch.zeros(2, 60))
    monkeypatch.setattr(step, "subsets_of", lambda *_: chosen)
    total = step.losses(given)["total"]
    ours = torch.autograd.grad(total, list(step.model.parameters()))
    wanted, errors, candidates = through_all(step, given, chosen)
    theirs = torch.autograd.grad(wanted, [*step.model.parameters(), candidates])
    assert torch.allclose(total, wanted, rtol=1e-5)
    for one, other in zip(ours, theirs, strict=False):
        assert torch.allclose(one, other, rtol=1e-3, atol=1e-5 * float(other.abs().max() + 1))
    lost = errors != errors.min(dim=1, keepdim=True).values
    assert not theirs[-1][lost].any()
    assert step.losses(given)["silhouette"] <= errors.mean(dim=0).min() + 1e-4


def test_equal_candidates_are_as_good_as_one(monkeypatch):
    step, given = create(configured(keep=[1.0, 1.0])), batch()
    for head in step.model.heads[1:]:
        head.load_state_dict(step.model.heads[0].state_dict())
    several = step.losses(given)["silhouette"]
    step.model.heads = step.model.heads[:1]
    assert torch.allclose(several, step.losses(given)["silhouette"])


def test_one_candidate_is_its_own_student():
    step = create(configured(model={"candidates": 1}))
    losses = step.update(batch())
    assert set(losses) == {"silhouette", "head_1", "total"}
    assert [type(head) for head in step.model.heads] == [torch.nn.Linear]


def test_weights_decay_and_biases_do_not():
    step = create(configured())
    weights, biases = step.optimizer.param_groups
    assert (weights["weight_decay"], biases["weight_decay"]) == (1e-3, 0.0)
    assert all(parameter.ndim > 1 for parameter in weights["params"])
    assert len(weights["params"]) + len(biases["params"]) == len(list(step.model.parameters()))


def test_it_learns_to_show_the_masks_and_schedules_go_on():
    step = create(configured(learning_rate=3e-3, epochs=30))
    # The silhouette of a box in the middle, from everywhere.
    given = batch()
    given.masks[:] = 0
    given.masks[:, 5:11, 4:12] = 1
    step.begin(3)
    assert step.iteration == 10
    first, *_, last = [float(step.update(given)["silhouette"]) for _ in range(40)]
    assert step.iteration == 50
    assert last < 0.6 * first


def test_batches_hold_views_of_a_model_side_by_side_and_follow_from_the_seed(tmp_path):
    config = configured(write_views(tmp_path / "data", views=5), tmp_path / "cache")
    shapes = open_training(config.dataset, config.model, CPU)
    batches = ViewBatches(shapes, config.training, 16)
    assert (len(shapes), len(batches)) == (7, 3)
    seen, every = [], shapes.take(torch.arange(35))[0]
    for epoch in (1, 1):
        found = list(batches.epoch(epoch))
        places = [[int((every - image).abs().flatten(1).sum(dim=1).argmin()) for image in each.images]
                  for each in found]
        for place in places:
            assert len(set(place)) == 6
            assert len({i // 5 for i in place[:3]}) == len({i // 5 for i in place[3:]}) == 1
        seen.append(places)
    assert seen[0] == seen[1]
    models = [place[k] // 5 for place in seen[0] for k in (0, 3)]
    assert len(set(models)) == 6


def test_images_are_on_white_and_masks_are_alpha(tmp_path):
    config = configured(write_views(tmp_path / "data"), tmp_path / "cache")
    shapes = open_training(config.dataset, config.model, CPU)
    images, masks = shapes.take(torch.tensor([0, 4]))
    assert (images.permute(0, 2, 3, 1)[masks == 0] == 1).all()
    colours = shapes.rows.take(torch.tensor([0, 4]))[:, :3].permute(0, 2, 3, 1)[masks == 1] / 255
    assert torch.allclose(images.permute(0, 2, 3, 1)[masks == 1], colours)
    assert np.allclose(np.linalg.norm(shapes.poses, axis=1), 1)


def test_masks_are_subsampled_as_published_or_averaged():
    masks = torch.arange(32.).view(2, 4, 4)
    assert resampled(masks, 2, "published")[0].tolist() == [[0, 2], [8, 10]]
    assert resampled(masks, 2, "area")[0].tolist() == [[2.5, 4.5], [10.5, 12.5]]
    assert torch.equal(resampled(masks, 4, "published"), masks)


def test_too_few_views_and_other_cameras_are_refused(tmp_path):
    root = write_views(tmp_path / "data", views=3)
    config = configured(root, tmp_path / "cache", views_per_model=4)
    shapes = open_training(config.dataset, config.model, CPU)
    message = refused(ViewBatches, shapes, config.training, 16)
    assert "training.views_per_model: found 4; allowed: up to 3, the views of box_" in message
    config = configured(root, tmp_path / "cache", model={"focal_length": 1.93})
    assert "model.focal_length: found 1.93; allowed: 1.875, that of views data" in refused(
        open_training, config.dataset, config.model, CPU)
    config = configured(root, tmp_path / "cache", model={"camera_distance": 2.5})
    assert "model.camera_distance: found 2.5; allowed: 2" in refused(open_training, config.dataset, config.model, CPU)
