"""Cut-outs: which objects are fit for one, how large a frame is around them, and what their pixels become.

After "Annotation Invariant Style Transfer", chapter 3 and section 4.1.1.1, with its thresholds as defaults.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image
from scipy import ndimage

from translation.masks import Instance

# Below, an object would be a speck in its frame, whose side grows with one over the ratio's root.
LEAST_RATIO = 0.01
EIGHT_NEIGHBOURS = np.ones((3, 3), dtype=bool)


@dataclass(frozen=True)
class Filters:
    """What an object has to be like.

    classes, confidence: what the network takes it for, and least confidence in that; box_side: least root of the box's
    area, pixels; fill: least part of the box that the mask covers; grey: a photo whose channels differ nowhere by more
    than this, of 255, is grey; components: most parts of the mask, 8-connected; border_width, border_cover: in no strip
    along a border, this part of the side wide, more than this part may be covered; border_of: that of the `box`, or of
    the `photo`.
    """

    classes: tuple[str, ...] = ("car", "truck")
    confidence: float = 0.7
    box_side: float = 128
    fill: float = 0.5
    grey: int = 0
    components: int = 1
    border_width: float = 0.02
    border_cover: float = 1 / 3
    border_of: str = "box"


@dataclass(frozen=True)
class Rejection:
    """Why there is no cut-out of an object: reason, named as its option; what was found and would have been allowed."""

    reason: str
    found: str
    allowed: str


@dataclass(frozen=True)
class Normal:
    """A normal distribution of frame ratios."""

    mean: float
    std: float


def reject(photo: np.ndarray, instance: Instance, filters: Filters) -> Rejection | None:
    """Return why an object of a photo, uint8 (H, W, 3), is unfit, the first reason in the source's order, or None."""
    mask, box = instance.crop, instance.mask if filters.border_of == "photo" else instance.crop
    if not mask.any():
        return Rejection("empty mask", "0 pixels", "1 or more")
    if instance.label is not None and instance.label not in filters.classes:
        return Rejection("class", instance.label, " ".join(filters.classes))
    side, fill = math.sqrt(mask.size), mask.mean()
    if instance.confidence is not None and instance.confidence < filters.confidence:
        return Rejection("confidence", f"{instance.confidence:.3f}", f"{filters.confidence:g} or more")
    if side < filters.box_side:
        return Rejection("box side", f"{side:.1f} px", f"{filters.box_side:g} px or more")
    if fill < filters.fill:
        return Rejection("fill", f"{fill:.3f}", f"{filters.fill:g} or more")
    if (colour := most_colour(photo)) <= filters.grey:
        return Rejection("grey", f"{colour} of 255", f"more than {filters.grey}")
    if (parts := ndimage.label(mask, EIGHT_NEIGHBOURS)[1]) > filters.components:
        return Rejection("components", str(parts), f"{filters.components} or fewer")
    name, cover = max(border_cover(box, filters.border_width).items(), key=lambda item: item[1])
    if cover > filters.border_cover:
        return Rejection("border", f"{cover:.3f} of the {name}", f"{filters.border_cover:.3f} or less")
    return None


def most_colour(photo: np.ndarray) -> int:
    """Return by how much, of 255, the channels of a photo, uint8 (H, W, 3), differ where they differ most."""
    return int((photo.max(2) - photo.min(2)).max())


def border_cover(mask: np.ndarray, width: float) -> dict[str, float]:
    """Return the covered part, in [0, 1], of each strip along the border of a mask (H, W).

    width: of a strip as a part of the side it is taken from, rounded, at least one pixel.
    """
    rows, columns = (max(1, round(width * side)) for side in mask.shape)
    strips = {"top": mask[:rows], "bottom": mask[-rows:], "left": mask[:, :columns], "right": mask[:, -columns:]}
    return {name: float(strip.mean()) for name, strip in strips.items()}


def frame_ratio(mask: np.ndarray) -> float:
    """Return pixels of the object by pixels of the background of a mask (H, W); infinite without background."""
    covered = int(np.count_nonzero(mask))
    return covered / (mask.size - covered) if covered < mask.size else math.inf


def fit(ratios: Sequence[float]) -> Normal:
    """Fit a normal distribution: mean and deviation (n) of the ratios, the most likely ones."""
    return Normal(float(np.mean(ratios)), float(np.std(ratios)))


def frame_padding(area: int, side: int, ratio: float) -> float:
    """Return the pixels to add on each side of a square around an object so that its frame ratio becomes `ratio`.

    From area / (A - area) = ratio and A = (side + 2n)^2; negative where the frame is larger than that already.
    """
    return (math.sqrt(area * (1 + 1 / ratio)) - side) / 2


def draw_padding(area: int, side: int, normal: Normal, redraws: int,
                 generator: np.random.Generator) -> tuple[float, int] | None:
    """Draw a frame ratio and return it with its padding, whole pixels; None where none drawn can be reached.

    Drawn again, up to `redraws` times, are ratios that no frame can have and those that would cut into the square.
    """
    for ratio in generator.normal(normal.mean, normal.std, 1 + redraws):
        if ratio >= LEAST_RATIO and (padding := round(frame_padding(area, side, ratio))) >= 0:
            return float(ratio), padding
    return None


def cut(photo: np.ndarray, instance: Instance) -> np.ndarray:
    """Return what the mask shows of a photo, uint8 (H, W, 3), in its box: uint8 (h, w, 4), zero outside the mask."""
    left, top, right, bottom = instance.box
    alpha = instance.crop[..., None]
    return np.concatenate([photo[top:bottom, left:right] * alpha, np.uint8(255) * alpha], axis=2)


def square(image: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """Pad an image (h, w, 4) with zeros to a square, half on each side, an odd pixel to a random one."""
    height, width, _ = image.shape
    missing = abs(height - width)
    first = missing // 2 + (int(generator.integers(2)) if missing % 2 else 0)
    both = (first, missing - first)
    return np.pad(image, ((0, 0), both, (0, 0)) if width < height else (both, (0, 0), (0, 0)))


def finish(image: np.ndarray, size: int) -> np.ndarray:
    """Resize a square cut-out, uint8 (s, s, 4), with an alpha of 0 and 255 again, and its colours corrected.

    Colours are averaged (bilinear, antialiased) over the object alone, so that no black leaks in over the outline.
    """
    # Pillow multiplies colours by alpha before it resizes and divides them by it afterwards.
    image = np.asarray(Image.fromarray(image).resize((size, size), Image.Resampling.BILINEAR))
    inside = image[..., 3:] >= 128
    return np.concatenate([correct_colours(image[..., :3] * inside, inside, -1), np.uint8(255) * inside], axis=-1)


def correct_colours(images: Any, inside: Any, axis: int) -> Any:
    """Return images, uint8, in which nothing but background is black: (0, 0, 0) inside becomes (1, 1, 1).

    So the outline can be read from the colours alone. To be applied after resizing, which makes new black pixels.
    images: arrays or tensors with the channels along an axis; inside: bool, with one channel.
    """
    return images + (inside & (images == 0).all(axis=axis, keepdims=True))
