"""The plain baseline of shape and pose: the published order of things, in torch's own operations.

Every corner of every point is scattered into a grid of its own; the blur is three dense convolutions of one channel;
rays have probabilities by cumulative sums of logarithms; all candidates are followed by gradients.
"""

import torch
from torch import Tensor
from torch.nn import functional as F

from shape_pose.camera import project
from shape_pose.data import Batch
from shape_pose.losses import mask_error, scheduled, student_loss
from shape_pose.renderer import LEAST, kernel
from shape_pose.step import ShapePoseStep


def plain_silhouettes(places: Tensor, scale: Tensor, sigma: float, size: int, taps: int) -> Tensor:
    """Return what `silhouettes` does, with gradients by torch."""
    inside = (places.abs() <= 0.5).all(dim=-1)
    position = (places + 0.5) * (size - 1)
    lower = position.detach().floor().clamp(0, size - 2)
    upper = position - lower
    grids = []
    for corner in torch.cartesian_prod(*[torch.arange(2, device=places.device)] * 3):
        weight = torch.where(corner.bool(), upper, 1 - upper).prod(dim=-1) * inside
        index = (lower.long() + corner).clamp(0, size - 1)
        flat = (index[..., 0] * size + index[..., 1]) * size + index[..., 2]
        grids.append(places.new_zeros(len(places), size**3).scatter_add(1, flat, weight))
    grid = torch.stack(grids).sum(dim=0).clamp(0, 1).view(-1, 1, size, size, size)
    weights = kernel(sigma, taps).to(places)
    for axis in (2, 1, 0):
        shape, padding = [1, 1, 1], [0, 0, 0]
        shape[axis], padding[axis] = taps, taps // 2
        grid = F.conv3d(grid, weights.view(1, 1, *shape), padding=padding)
    occupied = (grid[:, 0] * scale[:, None, None, None]).clamp(0, 1).clamp(LEAST, 1 - LEAST)
    full, clear = torch.log(occupied), torch.log(1 - occupied)
    edge = torch.full_like(full[:, :1], LEAST)
    before = torch.cat([edge, torch.cumsum(clear, dim=1)], dim=1)
    probabilities = torch.exp(torch.cat([full, edge], dim=1) + before)
    return probabilities[:, :-1].sum(dim=1).flip(1)


class PlainShapePoseStep(ShapePoseStep):
    """As `ShapePoseStep`, with all candidates in one graph."""

    def losses(self, batch: Batch) -> dict[str, Tensor]:
        section, model = self.section, self.model
        features = model.encode(batch.images)
        points, scale = model.shape(features)
        points, scale = points[:: batch.views], scale[:: batch.views]
        candidates, student = model.poses(features)
        views, count = candidates.shape[:2]
        keep = scheduled(section.keep, self.iteration, self.iterations)
        chosen = self.subsets_of(views, count, int(points.shape[1] * keep + 1e-6), points).flatten(0, 1)
        shape = (torch.arange(views, device=points.device) // batch.views).repeat_interleave(count)
        cloud = points[shape].gather(1, chosen[..., None].expand(-1, -1, 3))
        places = project(cloud, candidates.flatten(0, 1), self.of_model.focal_length, self.of_model.camera_distance)
        sigma = scheduled(section.sigma, self.iteration, self.iterations)
        found = plain_silhouettes(places, scale[shape], sigma, self.of_model.grid, section.taps)
        errors = mask_error(batch.masks[:, None], found.unflatten(0, (views, count)))
        least, best = errors.min(dim=1)
        teacher = candidates[torch.arange(views, device=best.device), best]
        losses = {"silhouette": least.mean(), "student": student_loss(student, teacher)}
        total = losses["silhouette"] + section.student_weight * losses["student"]
        wins = F.one_hot(best, count).float().mean(dim=0)
        return losses | {f"head_{i + 1}": share for i, share in enumerate(wins)} | {"total": total}
