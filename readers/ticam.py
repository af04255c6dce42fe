"""TICaM: real infrared images of a vehicle interior, two front seats."""

from pathlib import Path

import numpy as np

from readers.base import BadImage, find_dataset, find_folder, subfolders
from readers.images import PREPARED, is_prepared, open_deep_grey, open_prepared, scan
from readers.listing import Listing
from readers.sviro import Seats

# Parts of a file name, split at underscores.
_PARTS, _RIGHT, _LEFT, _VARIATION = 15, 3, -6, -3
_INFANT_SEATS = ("s05", "s15", "s06", "s16")
_CHILD_SEATS = ("s03", "s13", "s04", "s14")
_CONVERTIBLE_SEATS = ("s01", "s11", "s02", "s12")
_TOP, _LEFT_EDGE, _SIDE = 120, 106, 300


class Ticam(Seats):
    """`TICaM/{train,test}/<cs0X>/*.png`, 8 or 16 bit; the mirror images count as test samples too.

    Or images that the published code has prepared, in `TICaM/pp_{train,test}_128/`, with or without folders in it.
    """

    name = "ticam"
    square = True
    no_copy = "is equalised and cut out of larger images as it is read"
    version = 2
    mirrors_in_test = True

    def fill(self, listing: Listing) -> None:
        self.no_factor()
        base = find_dataset(self, "TICaM")
        for split in self.splits():
            folder = find_folder(self, [base / split, base / PREPARED[split]])
            flat = folder.name != split and scan(folder, listing)
            for sequence in [folder] if flat else subfolders(folder, "recording, for example cs01"):
                for entry in scan(sequence, listing):
                    name = Path(entry.path).stem
                    try:
                        label = ticam_label(name)
                    except ValueError as error:
                        listing.reject(entry.path, str(error))
                        continue
                    listing.add_files(f"{split}/{sequence.name}/{name}", label, [entry], split)

    def prepare(self, source: str, size: int) -> np.ndarray:
        """Equalise the whole image's histogram, crop the cabin (300x300), resize, as the published runs did.

        The resize works on floating-point values, without antialiasing, and the result is truncated.
        """
        if is_prepared(source):
            return open_prepared(source, size)
        from skimage.exposure import equalize_hist
        from skimage.transform import resize

        image = open_deep_grey(source)
        if image.shape[0] < _TOP + _SIDE or image.shape[1] < _LEFT_EDGE + _SIDE:
            raise BadImage(source, f"image of {image.shape[1]}x{image.shape[0]} pixels; expected 512x512, "
                                   f"at least {_LEFT_EDGE + _SIDE}x{_TOP + _SIDE}")
        cabin = equalize_hist(image)[_TOP : _TOP + _SIDE, _LEFT_EDGE : _LEFT_EDGE + _SIDE]
        return (resize(cabin, (size, size), order=1, mode="edge", anti_aliasing=False) * 255).astype(np.uint8)[None]


def ticam_label(name: str) -> tuple[int, int, int]:
    """Read the label (left, middle, right) off a file name without suffix; ValueError when that cannot be done."""
    parts = name.split("_")
    if len(parts) != _PARTS:
        raise ValueError(f"{len(parts)} parts between underscores in the name; expected {_PARTS}")
    return _seat(parts[_LEFT], parts[_VARIATION]), 0, _seat(parts[_RIGHT], parts[_VARIATION])


def _seat(code: str, variation: str) -> int:
    if code == "0" or "o" in code:
        return 0
    if "p" in code:
        return 3
    if code in _INFANT_SEATS:
        return 1
    if code in _CHILD_SEATS:
        return 2
    if code in _CONVERTIBLE_SEATS and variation in ("g00", "g01", "g10", "g11"):
        return 2 if variation == "g00" else 1
    raise ValueError(f"seat '{code}' with variation '{variation}' in the name is not known")
