"""CamVid: photographed streets of Cambridge with 11 classes, as SegNet's authors prepared them."""

from collections.abc import Iterator
from pathlib import Path

from readers.base import find_dataset, find_folder
from readers.streets import Streets


class CamVid(Streets):
    """`CamVid/<split>/*.png` and `CamVid/<split>annot/*.png`, or `CamVid/<split>/images/*`, `.../labels/*.png`."""

    name = "camvid"
    default_map = "camvid"
    default_split = "train"

    def pairs(self) -> Iterator[tuple[Path, Path, str]]:
        self.no_factor()
        self.check_split()
        base = find_dataset(self, "CamVid")
        for split in self.splits():
            images = find_folder(self, [base / split / "images", base / split])
            labels = base / f"{split}annot" if images.name == split else base / split / "labels"
            yield images, labels, split
