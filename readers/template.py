"""A reader to copy for a new dataset: rename it, fill it in, add it to READERS in readers/__init__.py."""

from pathlib import Path

import numpy as np

from readers.base import Reader, Size, find_folder
from readers.images import open_cropped, scan
from readers.listing import Listing


class Template(Reader):
    """`<root>/template/{train,test}/<scenery>_<class>.png`, one image per scenery."""

    name = "template"
    classes = ("empty", "taken")
    default_split = "train"
    mirrors = False  # True where a mirrored image is a valid sample, labelled in reverse
    empty = None  # the label of an empty seat, where there is one

    def fill(self, listing: Listing) -> None:
        for split in self.splits():
            for entry in scan(find_folder(self, [self.root / "template" / split]), listing):
                scenery, _, name = Path(entry.path).stem.rpartition("_")
                if name not in self.classes:
                    listing.reject(entry.path, f"class '{name}' in the name; allowed: {', '.join(self.classes)}")
                    continue
                # One label per seat, here one; one file per variant, here one.
                listing.add_files(scenery, (self.classes.index(name),), [entry], split)

    def prepare(self, source: str, size: Size) -> np.ndarray:
        return open_cropped(source, size)
