"""Which image goes with which: positives, negatives and partially impossible targets, drawn for a whole batch at once.

A *view* is a scenery as it is or mirrored; view = scenery * flips + flip. A *pick* is an int64 tensor (2, n): image
index and view. Mirror images are samples like any other: they serve as positives and negatives of the class that their
reversed label names. Drawing costs the same per sample however many sceneries there are.
"""

from typing import Literal

import numpy as np
import torch
from torch import Tensor

from errors import UserError
from readers.labels import label_codes

Impossible = Literal["none", "scene", "instance"]

# Which classes are negatives of which is a table over all pairs of classes.
MOST_CLASSES = 5000


class Pairing:
    """Index from classes to views, built once, and the draws from it.

    first, count: int64 (sceneries,), where a scenery's images lie; labels: (sceneries, seats), an integer per seat;
    mirrors: whether views include mirror images, labelled in reverse; empty: label of an empty seat, or None.
    class_of: int64 (views,), number of the view's class; class_labels: (classes, seats), what those numbers stand for.
    """

    def __init__(self, first: Tensor, count: Tensor, labels: np.ndarray, mirrors: bool, empty: int | None):
        device = first.device
        self.first, self.count, self.flips = first, count, 2 if mirrors else 1
        views = np.stack([labels, labels[:, ::-1]], axis=1) if mirrors else labels[:, None]
        views = views.reshape(-1, labels.shape[1])
        # Packed into one number each, they sort like the labels, and far faster.
        codes = label_codes(views)
        _, where, class_of = np.unique(codes, return_index=True, return_inverse=True)
        self.class_labels = views[where]
        order = np.argsort(class_of, kind="stable")
        size = np.bincount(class_of, minlength=len(self.class_labels))
        start = np.cumsum(size) - size
        rank = np.empty_like(order)
        rank[order] = np.arange(len(order)) - start[class_of[order]]
        symmetric = (self.class_labels == self.class_labels[:, ::-1]).all(axis=1) & mirrors
        self.class_of, self.order, self.rank, self.size, self.start, self.symmetric = (
            torch.from_numpy(array).to(device) for array in (class_of, order, rank, size, start, symmetric))
        self._empty, self._negative_ends = empty, None

    @property
    def negative_ends(self) -> Tensor:
        """Running count of views over the classes that are negatives of a class, int64 (classes, classes)."""
        if self._negative_ends is None:
            differing = (self.class_labels[:, None] != self.class_labels[None]).sum(axis=2)
            allowed = differing == 1
            if self._empty is not None:
                allowed &= ~(self.class_labels == self._empty).all(axis=1)
            ends = torch.from_numpy(allowed).to(self.size.device) * self.size
            self._negative_ends = ends.cumsum(dim=1)
        return self._negative_ends

    def check_triplets(self, title: str) -> None:
        """Raise UserError when there are too many classes, or none has a negative, so that no triplet can be drawn."""
        if len(self.class_labels) > MOST_CLASSES:
            raise UserError(f"model.variation 'tae': {title} has {len(self.class_labels)} classes; allowed with "
                            f"triplets: up to {MOST_CLASSES}")
        if not bool((self.negative_ends[:, -1] > 0).any()):
            raise UserError(f"model.variation 'tae': no label of {title} has a negative, that is another label which "
                            "differs in exactly one seat and is not empty throughout")

    def is_flipped(self, view: Tensor) -> Tensor:
        return view % self.flips == 1

    def anchors(self, sceneries: Tensor, generator: torch.Generator) -> Tensor:
        """Pick each scenery (n,) under a random variant, mirrored with probability one half where labels mirror."""
        return self._any_variant(self._mirrored(sceneries, generator), generator)

    def anchors_at(self, images: Tensor, generator: torch.Generator) -> Tensor:
        """Pick these images (n,), mirrored like `anchors`."""
        sceneries = torch.searchsorted(self.first, images, right=True) - 1
        return torch.stack([images, self._mirrored(sceneries, generator)])

    def positives(self, anchor: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Pick another scenery of the anchor's class; where there is none, another variant of its own, flipped alike.

        Returns the pick (2, n) and whether it is a positive at all (n,): a scenery that is alone in its class and has
        a single variant has none, and gets itself.
        """
        view, alone = self._another_of_class(anchor[1], generator)
        other = self._any_variant(view, generator)
        own = self._other_variant(anchor, anchor[1], generator)
        valid = ~alone | (self.count[anchor[1] // self.flips] > 1)
        return torch.where(alone, own, other), valid

    def negatives(self, anchor: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Pick a scenery whose label differs in exactly one seat and is not empty throughout.

        Returns the pick (2, n) and whether there is such a scenery (n,); where there is none, the anchor itself.
        """
        ends = self.negative_ends[self.class_of[anchor[1]]]
        total = ends[:, -1]
        draw = self._below(total, generator)
        chosen = torch.searchsorted(ends, draw[:, None], right=True).clamp_(max=ends.shape[1] - 1)[:, 0]
        within = draw - (ends.gather(1, chosen[:, None])[:, 0] - self.size[chosen])
        valid = total > 0
        view = self.order[(self.start[chosen] + within).clamp_(0, len(self.order) - 1)]
        return torch.where(valid, self._any_variant(view, generator), anchor), valid

    def targets(self, pick: Tensor, impossible: Impossible, generator: torch.Generator) -> Tensor:
        """Pick what the reconstruction of each pick (2, n) is compared with.

        none: the input itself; scene (I): the same scenery under another variant, flipped alike; instance (II):
        another scenery of the class under another variant, or as for I where the class has no other scenery.
        """
        if impossible == "none":
            return pick
        if impossible == "scene":
            return self._other_variant(pick, pick[1], generator)
        view, _ = self._another_of_class(pick[1], generator)
        return self._other_variant(pick, view, generator)

    def _another_of_class(self, view: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Draw a view of another scenery with the same class, and say where there is none (the view itself, then)."""
        group, rank = self.class_of[view], self.rank[view]
        symmetric = self.symmetric[group]
        # In a symmetric class a scenery's two views stand side by side in `order`; both are skipped.
        own = 1 + symmetric.long()
        own_rank = rank - symmetric * (view % self.flips)
        free = self.size[group] - own
        draw = self._below(free, generator)
        draw = draw + own * (draw >= own_rank)
        alone = free <= 0
        return torch.where(alone, view, self.order[(self.start[group] + draw) % len(self.order)]), alone

    def _mirrored(self, sceneries: Tensor, generator: torch.Generator) -> Tensor:
        """Return a view of each scenery, the mirrored one with probability one half where labels mirror."""
        view = sceneries * self.flips
        return view + self._below(torch.full_like(view, 2), generator) if self.flips == 2 else view

    def _any_variant(self, view: Tensor, generator: torch.Generator) -> Tensor:
        scenery = view // self.flips
        return torch.stack([self.first[scenery] + self._below(self.count[scenery], generator), view])

    def _other_variant(self, pick: Tensor, view: Tensor, generator: torch.Generator) -> Tensor:
        """Pick `view` (n,) under a variant of another number than the pick's, where it has one."""
        scenery = view // self.flips
        count = self.count[scenery]
        variant = pick[0] - self.first[pick[1] // self.flips]
        skip = (count > 1) & (variant < count)
        draw = self._below(count - skip.long(), generator)
        return torch.stack([self.first[scenery] + draw + (skip & (draw >= variant)), view])

    @staticmethod
    def _below(bound: Tensor, generator: torch.Generator) -> Tensor:
        """Draw an integer in [0, bound) for every bound (n,); 0 where the bound is not positive."""
        # Double precision: single precision has too few steps for datasets beyond some ten million views.
        draw = torch.rand(bound.shape, generator=generator, device=bound.device, dtype=torch.float64)
        return (draw * bound.clamp(min=0)).long()
