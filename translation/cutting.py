"""From a photo with its objects to files: what is done in a process of its own."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from errors import UserError
from readers.base import BadImage
from readers.images import open_alpha, open_colour
from translation import cut_outs
from translation.cut_outs import Filters, Normal, Rejection
from translation.masks import Instance, read_instances, read_mask

# How dark pictures of what was rejected are outside the mask.
DIMMED = 0.3


@dataclass(frozen=True)
class Photo:
    """A photo to cut out from. name: of its cut-outs; objects: mask file, or file of instances (`.npz`)."""

    name: str
    file: Path
    objects: Path


@dataclass(frozen=True)
class Recipe:
    """How cut-outs are made. normal: of frame ratios, None to leave them; mask_threshold: of 255, in mask files."""

    filters: Filters
    normal: Normal | None
    redraws: int
    size: int
    seed: int
    mask_threshold: int


@dataclass(frozen=True)
class Kept:
    """A row of `cut_outs.csv`. Lengths in the photo's pixels; ratios of the box, as drawn, of the finished image."""

    file: str
    source: str
    label: str
    confidence: float | str
    left: int
    top: int
    width: int
    height: int
    mask_area: int
    ratio_before: float
    ratio_drawn: float | str
    padding: int
    ratio_after: float


@dataclass(frozen=True)
class Rejected:
    """A row of `rejected.csv`. number: which of the photo's objects, from 0 on; empty where there are none."""

    file: str
    number: int | str
    reason: str
    found: str
    allowed: str


def open_photo(photo: Photo, threshold: int) -> tuple[np.ndarray, list[Instance]]:
    """Return a photo, uint8 (H, W, 3), and its objects. Raises BadImage, UserError for a mask of another size."""
    image = np.asarray(open_colour(photo.file))
    height, width, _ = image.shape
    if photo.objects.suffix == ".npz":
        return image, read_instances(photo.objects, (height, width))
    instance = read_mask(photo.objects, threshold)
    if instance.mask.shape != (height, width):
        found = "x".join(map(str, reversed(instance.mask.shape)))
        raise UserError(f"{photo.objects}: mask of {found} pixels; allowed: {width}x{height}, as the photo "
                        f"{photo.file} has")
    return image, [instance]


def cut_photo(photo: Photo, recipe: Recipe, folder: Path) -> list[Kept | Rejected]:
    """Write the cut-outs of a photo into a folder, as RGBA PNGs, and return what became of each object.

    Random numbers follow from the recipe's seed and the cut-out's name alone. Raises as `open_photo`.
    """
    image, instances = open_photo(photo, recipe.mask_threshold)
    if not instances:
        return [Rejected(str(photo.file), "", "nothing found", "0 objects", "1 or more")]
    rows: list[Kept | Rejected] = []
    for number, instance in enumerate(instances):
        name = photo.name if instance.label is None else f"{photo.name}_{number}"
        made = cut_outs.reject(image, instance, recipe.filters) or make(image, instance, recipe, name)
        if isinstance(made, Rejection):
            rows.append(Rejected(str(photo.file), number, made.reason, made.found, made.allowed))
            continue
        pixels, drawn, padding = made
        Image.fromarray(pixels).save(folder / f"{name}.png")
        left, top, right, bottom = instance.box
        rows.append(Kept(f"{name}.png", str(photo.file), instance.label or "",
                         "" if instance.confidence is None else round(instance.confidence, 4), left, top, right - left,
                         bottom - top, int(instance.mask.sum()), cut_outs.frame_ratio(instance.crop), drawn, padding,
                         cut_outs.frame_ratio(pixels[..., 3] > 0)))
    return rows


def make(image: np.ndarray, instance: Instance, recipe: Recipe,
         name: str) -> tuple[np.ndarray, float | str, int] | Rejection:
    """Return a finished cut-out, uint8 (size, size, 4), the ratio that was drawn, and the padding; or why not."""
    generator = np.random.default_rng([recipe.seed, *name.encode(errors="surrogateescape")])
    pixels, drawn, padding = cut_outs.square(cut_outs.cut(image, instance), generator), "", 0
    if recipe.normal is not None:
        chosen = cut_outs.draw_padding(int(instance.crop.sum()), len(pixels), recipe.normal, recipe.redraws, generator)
        if chosen is None:
            return Rejection("frame ratio", f"at most {cut_outs.frame_ratio(pixels[..., 3]):.3f}",
                             f"what was drawn {1 + recipe.redraws} times from the normal distribution of "
                             f"{recipe.normal.mean:.3f} ± {recipe.normal.std:.3f}")
        drawn, padding = chosen
        pixels = np.pad(pixels, ((padding, padding), (padding, padding), (0, 0)))
    finished = cut_outs.finish(pixels, recipe.size)
    if not finished[..., 3].any():
        return Rejection("too thin", f"no pixel left at {recipe.size}x{recipe.size}", "1 or more")
    return finished, drawn, padding


def rendered_ratio(file: Path) -> float:
    """Return the frame ratio of a rendered image with alpha, where that is above 0. Raises BadImage."""
    alpha = open_alpha(file) > 0
    if alpha.all() or not alpha.any():
        raise BadImage(file, f"alpha is {'above 0 everywhere' if alpha.any() else 'empty'}; allowed: an object and "
                             "background around it")
    return cut_outs.frame_ratio(alpha)


def rejected_view(photo: Photo, number: int | str, threshold: int, side: int) -> np.ndarray:
    """Return a picture of a rejected object, uint8 (3, side, side), its surroundings dimmed."""
    image, instances = open_photo(photo, threshold)
    mask = instances[number].mask if number != "" else np.zeros(image.shape[:2], dtype=bool)
    dimmed = np.where(mask[..., None], image, image * DIMMED).astype(np.uint8)
    box = instances[number].box if mask.any() else (0, 0, mask.shape[1], mask.shape[0])
    view = Image.fromarray(dimmed).crop(box)
    view.thumbnail((side, side))
    canvas = Image.new("RGB", (side, side), "white")
    canvas.paste(view, ((side - view.width) // 2, (side - view.height) // 2))
    return np.asarray(canvas).transpose(2, 0, 1)
