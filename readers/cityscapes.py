"""Cityscapes: photographed streets of German and neighbouring cities, finely annotated."""

from collections.abc import Iterator
from pathlib import Path

from readers.base import choose_parts, find_folder
from readers.streets import Streets

IMAGES, LABELS = "_leftImg8bit", "_gtFine_labelIds"


class Cityscapes(Streets):
    """`leftImg8bit/<split>/<city>/*_leftImg8bit.png` and `gtFine/<split>/<city>/*_gtFine_labelIds.png`; factor: cities.

    Of the label maps those with all ids are read: `labelTrainIds` have lost some. The test split has none of use.
    """

    name = "cityscapes"
    default_map = "cityscapes"
    default_split = "train"

    def pairs(self) -> Iterator[tuple[Path, Path, str]]:
        self.check_split()
        roots = [self.root / "cityscapes", self.root]
        for split in self.splits():
            base = find_folder(self, [root / "leftImg8bit" / split for root in roots])
            for city in choose_parts(self, base, "city"):
                yield base / city, base.parents[1] / "gtFine" / split / city, split

    def label_path(self, image: Path, folder: Path) -> Path:
        return folder / f"{image.stem.removesuffix(IMAGES)}{LABELS}.png"

    def is_label(self, path: Path) -> bool:
        return path.stem.endswith(LABELS)
