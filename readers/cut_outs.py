"""Cut-outs: single things of photographs, without poses."""

from collections.abc import Iterator
from os import DirEntry
from pathlib import Path

import numpy as np
from PIL import Image

from readers.alpha import AlphaImages, layers_of, squared, unsquared
from readers.base import BadImage, Size, choose_parts, find_folder, is_image, subfolders
from readers.images import open_colour, open_grey, open_rgba, scan
from readers.listing import Listing, stamp
from readers.splits import permuted_splits


class CutOuts(AlphaImages):
    """`<root>/*.png` (or `<root>/cut_outs/*.png`) with alpha; or `<root>/photos/<part>/*` and
    `<root>/masks/<part>/*.png` of the same names, where `factor` selects parts.

    What is not square is put into the middle of one. Splits are a permutation of all, whatever `factor` selects.
    """

    name = "cut_outs"
    splits_by_place = True

    def fill(self, listing: Listing) -> None:
        self.check_split()
        found = list(self._photos(listing) if (self.root / "photos").is_dir() else self._images(listing))
        splits = self.split_of = permuted_splits([name for name, *_ in found])
        for name, entry, stamps in found:
            if self.wants(splits[name]) and (not self.factor or name.partition("/")[0] in self.factor):
                listing.add(name, (), [entry.path], [stamps], splits[name])

    def _images(self, listing: Listing) -> Iterator[tuple[str, DirEntry[str], str]]:
        self.no_factor()
        for entry in scan(find_folder(self, [self.root / "cut_outs", self.root]), listing):
            yield entry.name, entry, stamp(entry)

    def _photos(self, listing: Listing) -> Iterator[tuple[str, DirEntry[str], str]]:
        photos = self.root / "photos"
        chosen = choose_parts(self, photos, "part")
        for part in (path.name for path in subfolders(photos, "part")):
            masks, noted = self.root / "masks" / part, Listing()
            # What is wrong in the others is nothing to this dataset: only their names count, for the splits.
            if part in chosen:
                masks, noted = find_folder(self, [masks]), listing
            left = {path.name for path in masks.glob("*") if is_image(path.name)}
            for entry in scan(photos / part, noted):
                mask = _mask_of(entry.path)
                if not mask.is_file():
                    noted.reject(entry.path, f"no mask; looked for {mask}")
                    continue
                left.discard(mask.name)
                yield f"{part}/{entry.name}", entry, f"{stamp(entry)} {stamp(mask)}"
            for name in sorted(left):
                noted.reject(masks / name, f"mask without a photo in {photos / part}")

    def prepare(self, source: str, size: Size) -> np.ndarray:
        if not self._has_mask(source):
            return layers_of(squared(open_rgba(source)), size, source)
        image, mask = open_colour(source), open_grey(_mask_of(source))
        if image.size != mask.size:
            raise BadImage(_mask_of(source), f"mask of {mask.width}x{mask.height} pixels for an image of "
                                             f"{image.width}x{image.height} ({source})")
        image.putalpha(mask)
        return layers_of(squared(image), size, source)

    def copied(self, picture: Image.Image, source: str) -> Image.Image:
        if not self._has_mask(source):
            return super().copied(picture, source)
        return unsquared(picture, open_colour(source).size)

    def companions(self, sources: list[str]) -> list[Path]:
        return [_mask_of(source) for source in sources if self._has_mask(source)]

    def _has_mask(self, source: str) -> bool:
        """Say whether the alpha of a source is in a file beside it."""
        return Path(source).parent.parent == self.root / "photos"


def _mask_of(photo: str) -> Path:
    path = Path(photo)
    return path.parents[2] / "masks" / path.parent.name / f"{path.stem}.png"
