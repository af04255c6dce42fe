"""Choosing what the pictures of a dataset show."""

from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from dataset import Scenes
from reporting.pictures import contact_sheet, sample_sheet

MOST_VARIANTS = 10


def pick(scenes: Scenes, count: int) -> Tensor:
    """Choose sceneries for a picture, as many classes as possible, the same ones every time."""
    _, group = np.unique(scenes.labels, axis=0, return_inverse=True)
    rng = np.random.default_rng(0)
    order = rng.permutation(len(scenes))
    group = group.reshape(-1)[order]
    # A scenery's rank within its class: all first ones come before all second ones.
    by_group = np.argsort(group, kind="stable")
    sizes = np.bincount(group)
    rank = np.empty(len(group), dtype=np.int64)
    rank[by_group] = np.arange(len(group)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    # Of more classes than there is room for, some at random rather than the first ones, which look alike.
    turn = rng.permutation(len(sizes))[group]
    chosen = np.lexsort((turn, rank))[:count]
    return torch.from_numpy(order[chosen[np.lexsort((group[chosen], rank[chosen]))]]).to(scenes.device)


def draw_data(scenes: Scenes, folder: Path) -> Path:
    """Write `data_<dataset>.png`, sceneries with their variants or samples with their classes; return its path."""
    path = folder / f"data_{scenes.file_name}.png"
    title = f"{scenes.title}, {scenes.split}: {len(scenes)} sceneries, {len(scenes.rows)} images"
    if int(scenes.count.max()) == 1:
        chosen = pick(scenes, 40)
        images = scenes.pixels(scenes.first[chosen]).cpu().numpy()
        sample_sheet(path, images, [scenes.label_text(i) for i in chosen.tolist()], f"{title}; class above each")
        return path
    chosen = pick(scenes, 10).tolist()
    spans = [(int(scenes.first[i]), int(scenes.count[i])) for i in chosen]
    # Spread over all, as those of several roots stand one after the other.
    images = [scenes.pixels(torch.linspace(first, first + count - 1, min(count, MOST_VARIANTS)).round().long())
              .cpu().numpy() for first, count in spans]
    contact_sheet(path, images, [scenes.label_text(i) for i in chosen], title)
    return path
