"""CARLA: images of the RGB camera and of the semantic camera, a folder per town or drive."""

import re
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path

import numpy as np

from readers.base import choose_parts, find_dataset, find_folder
from readers.listing import Listing
from readers.streets import Streets

# Of each folder's frames, in their order: neighbours look alike, so a random split would test on what it trained on.
TRAIN_SHARE = 0.8


class Carla(Streets):
    """`CARLA/<town>/rgb/*` and `CARLA/<town>/seg/*.png` of the same names; factor: town or towns.

    Label maps are the raw ones (the tag in red) or in the colours of CARLA's CityScapesPalette. class_map: by version,
    `carla13` (up to 0.9.9), `carla23` (0.9.10 to 0.9.13) or `carla29` (from 0.9.14 on). The first has no sky: pixels
    without a tag that hang together with the top row, over their edges, count as sky, what else has no tag is ignored;
    so with any table that has a row of that name, see `readers.class_maps.HIDDEN_SKY`.
    split: all frames, the first 80 % of each town (train), or the rest (test).
    """

    name = "carla"
    default_map = "carla13"
    splits_by_place = True
    allowed_splits = ("train", "test")

    def pairs(self) -> Iterator[tuple[Path, Path, str]]:
        self.check_split()
        base = find_dataset(self, "CARLA")
        for town in choose_parts(self, base, "town"):
            yield *(find_folder(self, [base / town / name]) for name in ("rgb", "seg")), ""

    def fill(self, listing: Listing) -> None:
        whole = Listing(dropped=listing.dropped, bad=listing.bad)
        super().fill(whole)
        for _, group in groupby(range(len(whole.sceneries)), lambda i: whole.sceneries[i].rpartition("/")[0]):
            frames = sorted(group, key=lambda i: _by_number(whole.sceneries[i]))
            for place, i in enumerate(frames):
                split = "train" if place < TRAIN_SHARE * len(frames) else "test"
                self.split_of[whole.sceneries[i]] = split
                if self.split in (split, "all"):
                    listing.add(whole.sceneries[i], whole.labels[i], whole.sources[i], [whole.stamps[i]], split)

    def raw_ids(self, pixels: np.ndarray) -> np.ndarray:
        ids, sky = super().raw_ids(pixels), self.class_map.sky
        if sky is None:
            return ids
        from scipy import ndimage

        parts, _ = ndimage.label(ids == 0)
        top = np.unique(parts[0])
        return np.where(np.isin(parts, top[top > 0]), sky, ids).astype(np.uint8)


def _by_number(name: str) -> list[str | int]:
    """Return what sorts names by the numbers in them, which are not always filled up with zeros."""
    return [int(part) if place % 2 else part for place, part in enumerate(re.split("([0-9]+)", name))]
