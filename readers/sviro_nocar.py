"""SVIRO-NoCar: people and child seats rendered without a car, every scenery before ten backgrounds."""

from pathlib import Path

import numpy as np

from errors import UserError
from readers.base import Reader, Size, find_folder
from readers.images import PREPARED, is_prepared, open_cropped, open_prepared
from readers.listing import Listing
from readers.sviro import SEATS
from readers.sviro_illumination import add_sceneries

_FOLDERS = {split: (split, prepared) for split, prepared in PREPARED.items()}


class SviroNoCar(Reader):
    """`SVIRO-NoCar/<one folder>/{train,test}/<..._GT_<l>_<m>_<r>>/<variant>.png`; both splits unless told otherwise."""

    name = "sviro_nocar"
    mirrors = True
    empty = 0
    classes = SEATS

    def fill(self, listing: Listing) -> None:
        self.no_factor()
        base = self._base()
        for split in self.splits():
            add_sceneries(listing, find_folder(self, [base / name for name in _FOLDERS[split]]), split)

    def prepare(self, source: str, size: Size) -> np.ndarray:
        return open_prepared(source, size) if is_prepared(source) else open_cropped(source, size)

    def _base(self) -> Path:
        """Return the folder that holds the splits: the dataset's own, or the single one in it, whatever its name."""
        names = ("SVIRO-NoCar", "SEATS_AND_PEOPLE_NOCAR", "seats_and_people_nocar", "")
        outer = find_folder(self, [self.root / name for name in names])
        inner = sorted(path for path in outer.iterdir() if path.is_dir() and not path.name.startswith("."))
        wanted = {name for names in _FOLDERS.values() for name in names}
        if any(path.name in wanted for path in inner):
            return outer
        if len(inner) != 1:
            raise UserError(f"dataset.root: no {self.name} at {outer}; looked for one folder that holds train and test "
                            f"(or pp_train_128 and pp_test_128), found {len(inner)} folders")
        return inner[0]
