"""Image files: found in folders and decoded to 8-bit grey or colour, whatever they are stored as."""

import errno
import os
import warnings
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from errors import UserError, reason
from files import open_regular
from readers.base import BadImage, Size, is_image, width_height
from readers.listing import Listing

# What is decoded, whatever a file's suffix: other decoders of Pillow are little used, and one starts a program.
FORMATS = ("PNG", "JPEG", "BMP", "TIFF", "WEBP", "PPM")
# What is wrong with a scenery's folder without any.
NO_IMAGES = "no images in this scenery folder"
# Split -> its folder of images that the published code has prepared, and their side length.
PREPARED, PREPARED_SIZE = {split: f"pp_{split}_128" for split in ("train", "test")}, 128
# Single-channel modes whose values go beyond 8 bits.
_DEEP_MODES = frozenset({"I", "I;16", "I;16B", "I;16L", "I;16N"})


def scan(folder: Path, listing: Listing) -> list[os.DirEntry[str]]:
    """Return the image files in a folder, sorted by name; the listing notes dead links, pipes, sockets and devices."""
    with os.scandir(folder) as entries:
        named = sorted((entry for entry in entries if is_image(entry.name)), key=lambda entry: entry.name)
    files = []
    for entry in named:
        if entry.is_symlink() and not os.path.exists(entry.path):
            listing.reject(entry.path, "the link leads to no file")
        elif entry.is_file():
            files.append(entry)
        elif not entry.is_dir():
            listing.reject(entry.path, "not a regular file, but a pipe, socket or device")
    return files


def open_deep_grey(path: str | Path) -> np.ndarray:
    """Decode an image file to grey values (H, W) of its own depth, uint8 or uint16. Raises BadImage like open_grey."""
    image = _decode(path)
    return _deep(image, path).astype(np.uint16) if image.mode in _DEEP_MODES else np.asarray(_grey(image, path))


def open_grey(path: str | Path) -> Image.Image:
    """Decode an image file to 8-bit grey (Pillow mode L). Raises BadImage for a file that cannot be decoded."""
    return _grey(_decode(path), path)


def open_colour(path: str | Path) -> Image.Image:
    """Decode an image file to 8-bit colour (Pillow mode RGB). Raises BadImage for one that cannot be decoded."""
    image = _decode(path)
    _check_depth(image, path)
    return _on_black(image).convert("RGB")


def open_labels(path: str | Path) -> np.ndarray:
    """Decode a label map to the numbers in the file, uint8 (H, W), or (H, W, 3) where it is coloured.

    Raises BadImage for a file that cannot be decoded, and for a palette, whose numbers are places in it, 16 bits, etc.
    """
    image = _decode(path)
    if image.mode not in ("L", "RGB", "RGBA"):
        kind = "palette image" if image.mode == "P" else f"image of mode {image.mode}"
        raise BadImage(path, f"label map is a {kind}; allowed: 8-bit grey (ids), or RGB (id in red, or colours)")
    return np.asarray(image)[..., :3] if image.mode != "L" else np.asarray(image)


def open_rgba(path: str | Path, opaque: bool = False) -> Image.Image:
    """Decode an image file to 8-bit colour and alpha (Pillow mode RGBA). Raises BadImage.

    opaque: take one without alpha, too, which is opaque everywhere.
    """
    image = _decode(path)
    if not opaque and not _has_alpha(image):
        raise BadImage(path, f"image of mode {image.mode}; allowed: one with alpha (RGBA)")
    _check_depth(image, path)
    return image.convert("RGBA")


def open_alpha(path: str | Path) -> np.ndarray:
    """Decode how opaque the pixels of an image are, uint8 (H, W). Raises BadImage, also for one without alpha."""
    return np.asarray(open_rgba(path))[..., 3]


def open_mask(path: str | Path) -> np.ndarray:
    """Decode a mask, uint8 (H, W): an image's alpha, or the grey values of one without. Raises BadImage."""
    image = _decode(path)
    return np.asarray(image.convert("RGBA"))[..., 3] if _has_alpha(image) else np.asarray(_grey(image, path))


def centre_crop(image: Image.Image, size: Size) -> Image.Image:
    """Crop to the largest central rectangle of the shape of a size: for a square, one of the shorter side."""
    width, height = width_height(size)
    scale = min(image.width / width, image.height / height)
    inner = round(width * scale), round(height * scale)
    left, top = round((image.width - inner[0]) / 2), round((image.height - inner[1]) / 2)
    return image.crop((left, top, left + inner[0], top + inner[1]))


def to_array(image: Image.Image, size: Size) -> np.ndarray:
    """Resize an image (bilinear, antialiased) to uint8 (channels, height, width), one channel of a grey one."""
    array = np.asarray(image.resize(width_height(size), Image.Resampling.BILINEAR), dtype=np.uint8)
    return array[None] if array.ndim == 2 else array.transpose(2, 0, 1)


def open_cropped(path: str | Path, size: Size) -> np.ndarray:
    """Return the centre of an image file in grey, uint8 (1, height, width). Raises BadImage like `open_grey`."""
    return to_array(centre_crop(open_grey(path), size), size)


def is_prepared(source: str) -> bool:
    """Say whether an image lies in a folder of images that the published code has prepared, or in one within it."""
    return any(folder.name in PREPARED.values() for folder in list(Path(source).parents)[:2])


def open_prepared(source: str, size: Size) -> np.ndarray:
    """Return an image that the published code has prepared, uint8 (1, 128, 128); UserError for another size."""
    if size != PREPARED_SIZE:
        raise UserError(f"dataset.image_size: found {size}; allowed: {PREPARED_SIZE}, the size of images that are "
                        f"prepared already, such as {source}")
    image = open_grey(source)
    if image.size != (PREPARED_SIZE, PREPARED_SIZE):
        raise BadImage(source, f"image of {image.width}x{image.height} pixels among images that are prepared already; "
                               f"expected {PREPARED_SIZE}x{PREPARED_SIZE}")
    return np.asarray(image)[None]


def _decode(path: str | Path) -> Image.Image:
    """Decode an image file. Raises BadImage where that cannot be done, UserError where it could at another time."""
    try:
        with open_regular(path) as file, warnings.catch_warnings():
            # Metadata that are damaged but not needed; and images that are too large before they are decoded.
            warnings.simplefilter("ignore")
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(file, formats=FORMATS) as image:
                image.load()
                # Cameras store how they were held.
                return ImageOps.exif_transpose(image)
    except UserError:
        raise
    except MemoryError:
        raise UserError(f"{path}: image cannot be read: too little memory") from None
    # Decoders raise whatever damaged bytes lead them to: struct.error, KeyError, OverflowError, ...
    except Exception as error:
        # EINVAL: no regular file, or a damaged image that sends its decoder to an offset that cannot be.
        if isinstance(error, OSError) and error.errno not in (None, errno.EINVAL):
            # Gone, forbidden or out of reach at the moment, which says nothing about the image.
            raise UserError(f"{path}: image cannot be reached: {reason(error)}") from None
        raise BadImage(path, f"image cannot be read: {_told(error)}") from None


def _check_depth(image: Image.Image, path: str | Path) -> None:
    if image.mode in (*_DEEP_MODES, "F"):
        raise BadImage(path, f"image of mode {image.mode}; allowed: 8 bits per channel")


def _told(error: Exception) -> str:
    if isinstance(error, UnidentifiedImageError):
        return f"none of the formats {', '.join(FORMATS)}"
    if isinstance(error, Image.DecompressionBombWarning | Image.DecompressionBombError):
        return f"more than {Image.MAX_IMAGE_PIXELS:,} pixels"
    return reason(error)


def _deep(image: Image.Image, path: str | Path) -> np.ndarray:
    """Return the values (H, W) of an image of a deep mode, from 0 to 65535."""
    values = np.asarray(image)
    if values.max() > 65535:
        raise BadImage(path, "image holds values beyond 16 bit; allowed: 8 or 16 bit")
    return values.clip(0)


def _grey(image: Image.Image, path: str | Path) -> Image.Image:
    if image.mode in _DEEP_MODES:
        # Full scale of 16 bits onto full scale of 8: 65535 / 257 = 255.
        # In whole numbers, which take less memory: 257 is odd, so nothing lies halfway.
        return Image.fromarray(((_deep(image, path).astype(np.uint32) + 128) // 257).astype(np.uint8))
    if image.mode == "F":
        raise BadImage(path, "image holds floating-point values; allowed: 8 or 16 bit")
    return _on_black(image).convert("L")


def _has_alpha(image: Image.Image) -> bool:
    return "A" in image.getbands() or "transparency" in image.info


def _on_black(image: Image.Image) -> Image.Image:
    """Lay an image with transparency over black, so that invisible pixels do not show through."""
    if not _has_alpha(image):
        return image
    rgba = image.convert("RGBA")
    return Image.alpha_composite(Image.new("RGBA", rgba.size, (0, 0, 0, 255)), rgba).convert("RGB")
