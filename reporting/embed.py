"""Pictures as data URIs, small enough to travel inside a page."""

import base64
import io
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from errors import UserError
from files import read_bytes
from reporting.style import PAGE_INCHES

# Two pixels per CSS pixel of a figure as wide as a page of paper, which is also the width at which figures are drawn.
MOST_WIDE = int(PAGE_INCHES * 200)
MOST_HIGH = 4000
# Larger files are no pictures of ours; decoding them could take all memory.
MOST_PIXELS, MOST_BYTES = 50_000_000, 200_000_000
QUALITY = 75


@dataclass(frozen=True)
class Embedded:
    """A picture to put into a page: data URI, width and height in pixels."""

    uri: str
    width: int
    height: int


def embed(path: Path) -> Embedded:
    """Shrink a picture to MOST_WIDE x MOST_HIGH pixels at most and encode it as WebP; UserError where it is none."""
    try:
        with Image.open(io.BytesIO(read_bytes(path, MOST_BYTES))) as image:
            if image.width * image.height > MOST_PIXELS:
                raise UserError(f"{path}: {image.width} x {image.height} pixels; allowed: up to {MOST_PIXELS:,}")
            opaque = Image.new("RGB", image.size, "white")
            layer = image.convert("RGBA")
            opaque.paste(layer, mask=layer.getchannel("A"))
    except UserError:
        raise
    except Exception:
        # A damaged picture makes Pillow raise nearly anything.
        raise UserError(f"{path}: not a picture that can be read") from None
    opaque.thumbnail((MOST_WIDE, MOST_HIGH), Image.Resampling.LANCZOS)
    # Plots are smaller without loss, photographs with it.
    smallest = min((_webp(opaque, lossless) for lossless in (True, False)), key=len)
    return Embedded(f"data:image/webp;base64,{base64.b64encode(smallest).decode()}", *opaque.size)


def _webp(image: Image.Image, lossless: bool) -> bytes:
    content = io.BytesIO()
    image.save(content, "WEBP", lossless=lossless, quality=QUALITY, method=4)
    return content.getvalue()
