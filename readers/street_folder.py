"""The user's own images with label maps, in two folders."""

from collections.abc import Iterator
from pathlib import Path

from errors import UserError
from readers.base import find_folder
from readers.streets import Streets


class StreetFolder(Streets):
    """`<root>/images/*` and `<root>/labels/*.png` of the same names; below train/, val/ and test/ or not.

    class_map: the table of the label maps' ids has to be named.
    """

    name = "street_folder"
    any_content = True

    def __init__(self, root: Path, factor: list[str], split: str | None, skip_bad: bool = False,
                 class_map: str | None = None, classes: str = "street11", order: tuple[str, ...] = ()):
        if class_map is None:
            raise UserError("dataset.class_map: street_folder has none of its own; name one that is there or a .csv "
                            f"file with the columns id, name and {classes}")
        super().__init__(root, factor, split, skip_bad, class_map, classes, order)

    def pairs(self) -> Iterator[tuple[Path, Path, str]]:
        self.no_factor()
        self.check_split()
        root = find_folder(self, [self.root])
        there = [split for split in self.allowed_splits if (root / split).is_dir()]
        if not there and self.split != "all":
            raise UserError(f"dataset.split: {root} has no folders {', '.join(self.allowed_splits)}; allowed: all")
        for split in (there or [""]) if self.split == "all" else [self.split]:
            yield *(find_folder(self, [root / split / name]) for name in ("images", "labels")), split
