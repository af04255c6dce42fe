"""The step of shape and pose: all candidates are rendered, only the best of each view learns."""

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from shape_pose.camera import project
from shape_pose.config import Model, Training
from shape_pose.data import Batch
from shape_pose.losses import mask_error, scheduled, student_loss, subsets
from shape_pose.models import PointCloudNet
from shape_pose.renderer import silhouettes
from training.optimising import SingleOptimizerStep

if TYPE_CHECKING:
    from training.fabric import Fabric

# Voxels that are rendered at a time on a CPU, so that they stay near it.
AT_A_TIME = 4 * 64**3


class ShapePoseStep(SingleOptimizerStep):
    """The silhouette of a model's shape, seen from its first view, has to be that of each of its views.

    length: iterations of an epoch. Schedules go over the whole training.
    """

    def __init__(self, model: PointCloudNet, section: Training, of_model: Model, fabric: "Fabric", length: int):
        self.section, self.of_model = section, of_model
        super().__init__(model, section, fabric)
        self.length, self.iterations, self.iteration = length, length * section.epochs, 0

    def parameters(self) -> list[dict]:
        """Return weights, which decay, and biases, which do not."""
        parts = {True: [], False: []}
        for parameter in self.model.parameters():
            parts[parameter.ndim > 1].append(parameter)
        return [{"params": parts[True]}, {"params": parts[False], "weight_decay": 0.0}]

    def begin(self, epoch: int) -> None:
        self.iteration = (epoch - 1) * self.length

    def update(self, batch: Batch) -> dict[str, Tensor]:
        losses = super().update(batch)
        self.iteration += 1
        return losses

    def losses(self, batch: Batch) -> dict[str, Tensor]:
        """Return the loss on silhouettes, the student's, and which part of the views each head is the best for."""
        section, model = self.section, self.model
        features = model.encode(batch.images)
        points, scale = model.shape(features[:: batch.views])
        candidates, student = model.poses(features)
        shape = torch.arange(len(features), device=points.device) // batch.views
        keep = scheduled(section.keep, self.iteration, self.iterations)
        chosen = self.subsets_of(len(features), candidates.shape[1], int(points.shape[1] * keep + 1e-6), points)
        with torch.no_grad():
            best = self.best(points, scale, candidates, batch.masks, shape, chosen)
        every = torch.arange(len(best), device=best.device)
        teacher = candidates[every, best]
        error = mask_error(batch.masks, self.render(points, scale, teacher, shape, chosen[every, best])).mean()
        losses = {"silhouette": error}
        total = error
        if model.student is not None:
            losses["student"] = student_loss(student, teacher)
            total = total + section.student_weight * losses["student"]
        wins = F.one_hot(best, candidates.shape[1]).float().mean(dim=0)
        return losses | {f"head_{i + 1}": share for i, share in enumerate(wins)} | {"total": total}

    def subsets_of(self, views: int, candidates: int, kept: int, points: Tensor) -> Tensor:
        """Draw which points (views, candidates, kept) of a shape are rendered, each time others."""
        found = subsets(views * candidates, points.shape[1], max(kept, 1), points.device)
        return found.view(views, candidates, -1)

    def best(self, points: Tensor, scale: Tensor, candidates: Tensor, masks: Tensor, shape: Tensor,
             chosen: Tensor) -> Tensor:
        """Return the candidate (views,) whose silhouette is closest to each view's mask."""
        if candidates.shape[1] == 1:
            return torch.zeros(len(masks), dtype=torch.int64, device=masks.device)
        count = candidates.shape[1]
        view = torch.arange(len(masks), device=masks.device).repeat_interleave(count)
        poses, chosen = candidates.flatten(0, 1), chosen.flatten(0, 1)
        part = max(1, AT_A_TIME // self.of_model.grid**3) if masks.device.type == "cpu" else len(view)
        errors = [mask_error(masks[which], self.render(points, scale, turned, shape[which], kept))
                  for which, turned, kept in zip(view.split(part), poses.split(part), chosen.split(part), strict=True)]
        return torch.cat(errors).view(-1, count).argmin(dim=1)

    def render(self, points: Tensor, scale: Tensor, poses: Tensor, shape: Tensor, chosen: Tensor) -> Tensor:
        """Return silhouettes (n, grid, grid) of chosen points (n, kept) of shapes by number (n,), from poses (n, 4)."""
        section, of_model = self.section, self.of_model
        sigma = scheduled(section.sigma, self.iteration, self.iterations)
        places = project(points[shape[:, None], chosen], poses, of_model.focal_length, of_model.camera_distance)
        return silhouettes(places, scale[shape], sigma, of_model.grid, section.taps)


def create_network(section: Model, image_size: int) -> nn.Module:
    """Return the network of a config, channels last."""
    return PointCloudNet(section, image_size).to(memory_format=torch.channels_last)
