"""Images of single things: colours on black, and how much of a pixel the thing covers as a map beside them."""

from pathlib import Path

import numpy as np
from PIL import Image

from readers.base import BadImage, Reader, Size, width_height
from readers.images import open_rgba
from readers.splits import SPLITS


class AlphaImages(Reader):
    """Base of readers with an image in colour and a map `alpha`, from 0 (nothing of the thing) to 255.

    Colours are as in the file, not multiplied by alpha; black where alpha is 0.
    """

    channels = 3
    maps = ("alpha",)
    classes = ()
    allowed_splits = SPLITS
    any_content = True

    def prepare_file(self, path: str | Path, size: Size) -> np.ndarray:
        """Return an image file and its alpha; what is not square is put into the middle of one.

        One without alpha is opaque everywhere, on white where it is not square.
        """
        image = open_rgba(path, opaque=True)
        opaque = image.getextrema()[3][0] == 255
        return layers_of(squared(image, "white" if opaque else (0, 0, 0, 0)), size, path)

    def copied(self, picture: Image.Image, source: str) -> Image.Image:
        original = open_rgba(source)
        picture = unsquared(picture, original.size)
        picture.putalpha(original.getchannel("A"))
        return picture

    def wants(self, split: str | None) -> bool:
        """Say whether something of a split is asked for; None: what is in no split."""
        return split is not None and self.split in (split, "all")


def layers_of(image: Image.Image, size: Size, source: str | Path) -> np.ndarray:
    """Return an image RGBA as uint8 (4, height, width): resized by areas, black where alpha is 0.

    Raises BadImage for one without anything to see.
    """
    if not image.getextrema()[3][1]:
        raise BadImage(source, "the mask is empty, so there is nothing to see; expected alpha above 0 somewhere")
    width, height = width_height(size)
    smaller = width <= image.width and height <= image.height
    # Pillow multiplies by alpha before and divides after, so that no colour comes from where nothing is seen; neither
    # filter overshoots, so that nothing is seen where nothing was.
    image = image.resize((width, height), Image.Resampling.BOX if smaller else Image.Resampling.BILINEAR)
    layers = np.asarray(image).transpose(2, 0, 1).copy()
    layers[:3, layers[3] == 0] = 0
    return layers


def squared(image: Image.Image, around: str | tuple[int, ...] = (0, 0, 0, 0)) -> Image.Image:
    """Return an image RGBA in the middle of a square, by default with nothing around it."""
    side = max(image.size)
    square = Image.new("RGBA", (side, side), around)
    square.paste(image, ((side - image.width) // 2, (side - image.height) // 2))
    return square


def unsquared(square: Image.Image, size: tuple[int, int]) -> Image.Image:
    """Return the image of a width and height that `squared` has put into a square, which may have been resized since.
    """
    (width, height), side = size, max(size)
    left, top = (side - width) // 2, (side - height) // 2
    return square.resize((side, side), Image.Resampling.LANCZOS).crop((left, top, left + width, top + height))
