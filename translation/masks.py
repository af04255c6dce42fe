"""The objects in a photo: of a mask file, or what a network found, kept as plain arrays."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from errors import UserError
from files import read_arrays, write_arrays
from readers.images import open_mask

# What a file of instances holds; `weights` says what found them, `size` is the photo's height and width.
ARRAYS = ("labels", "confidences", "boxes", "pixels", "size", "weights")


@dataclass(frozen=True)
class Instance:
    """An object in a photo.

    mask: bool (H, W), nothing outside the box; box: left, top, right, bottom in pixels, right and bottom exclusive;
    label and confidence in [0, 1]: the network's, None where the mask comes from a file.
    """

    mask: np.ndarray
    box: tuple[int, int, int, int]
    label: str | None = None
    confidence: float | None = None

    @property
    def crop(self) -> np.ndarray:
        """Return the mask in its box, bool (bottom - top, right - left)."""
        left, top, right, bottom = self.box
        return self.mask[top:bottom, left:right]


def bounding_box(mask: np.ndarray) -> tuple[int, int, int, int]:
    """Return the smallest box around a mask's pixels; all 0 for an empty mask."""
    rows, columns = mask.any(1).nonzero()[0], mask.any(0).nonzero()[0]
    if len(rows) == 0:
        return 0, 0, 0, 0
    return int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1


def whole_box(box: Sequence[float], height: int, width: int) -> tuple[int, int, int, int]:
    """Return the box of whole pixels around a predicted one, inside the photo."""
    left, top, right, bottom = box
    return (max(0, math.floor(left)), max(0, math.floor(top)), min(width, math.ceil(right)),
            min(height, math.ceil(bottom)))


def read_mask(path: Path, threshold: int) -> Instance:
    """Return the object of a mask file: pixels of at least `threshold` of 255. Raises BadImage."""
    mask = open_mask(path) >= threshold
    return Instance(mask, bounding_box(mask))


def write_instances(path: Path, instances: list[Instance], size: tuple[int, int], weights: str) -> None:
    """Write a photo's instances, their masks as bits of what is in their boxes."""
    pixels = np.concatenate([np.zeros(0, bool), *(each.crop.ravel() for each in instances)])
    write_arrays(path, {"labels": np.array([each.label for each in instances], dtype=np.str_),
                        "confidences": np.array([each.confidence for each in instances], dtype=np.float32),
                        "boxes": np.array([each.box for each in instances], dtype=np.int32).reshape(-1, 4),
                        "pixels": np.packbits(pixels), "size": np.array(size), "weights": np.array(weights)})


def read_instances(path: Path, size: tuple[int, int], weights: str | None = None) -> list[Instance]:
    """Return the instances of a photo of `size` (height, width), as they were written.

    Raises UserError for a file that is damaged or of another photo, and, where `weights` are given, of other weights.
    """
    try:
        labels, confidences, boxes, pixels, of, found_by = read_arrays(path, ARRAYS).values()
        _check(labels, confidences, boxes, pixels, of)
    except (OSError, ValueError) as error:
        raise UserError(f"{path}: what the network found cannot be read ({error}); remove the file") from None
    if tuple(of) != size:
        raise UserError(f"{path}: is of a photo of {of[1]}x{of[0]} pixels, which has {size[1]}x{size[0]} now; remove "
                        "the file")
    if weights is not None and str(found_by) != weights:
        raise UserError(f"{path}: was found with weights {found_by}; these are {weights}; name another folder")
    found, bits, start = [], np.unpackbits(pixels).astype(bool), 0
    for label, confidence, (left, top, right, bottom) in zip(labels, confidences, boxes.tolist(), strict=True):
        mask = np.zeros(size, dtype=bool)
        end = start + (bottom - top) * (right - left)
        mask[top:bottom, left:right] = bits[start:end].reshape(bottom - top, right - left)
        found.append(Instance(mask, (left, top, right, bottom), str(label), float(confidence)))
        start = end
    return found


def _check(labels: np.ndarray, confidences: np.ndarray, boxes: np.ndarray, pixels: np.ndarray,
           size: np.ndarray) -> None:
    """Raise ValueError for arrays that no photo's instances are written as."""
    if not (size.shape == (2,) and boxes.ndim == 2 and boxes.shape[1] == 4 and {array.dtype.kind for array in (
            size, boxes)} == {"i"} and pixels.dtype == np.uint8 and pixels.ndim == 1
            and labels.shape == confidences.shape == boxes.shape[:1]):
        raise ValueError("arrays of other shapes or types")
    low, high, most = boxes[:, :2].astype(np.int64), boxes[:, 2:].astype(np.int64), size[::-1]
    if (low < 0).any() or (low > high).any() or (high > most).any():
        raise ValueError("boxes beyond the photo")
    if -(-int((high - low).prod(1).sum()) // 8) != len(pixels):
        raise ValueError("masks of another size than their boxes")
