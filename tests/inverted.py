"""Copies of datasets in another look, as a translation would write them, for tests."""

import shutil
from pathlib import Path

import numpy as np
from PIL import Image

from readers import create_reader
from readers.digits import Mnist


def write_inverted(name: str, root: Path, out: Path, split: str | None = None, limit: int | None = None,
                   size: int = 32, **options) -> Path:
    """Write a copy of a dataset, names, maps and alpha as they are, colours inverted; return its root."""
    reader = create_reader(name, root, [], split, **options)
    listing = reader.listing().limited(limit)
    sources = [source for variants in listing.sources for source in variants]
    if isinstance(reader, Mnist):
        images = 255 - np.concatenate([reader.prepare(source, 28) for source in sources])
        reader.write(out, "train", images, np.array(listing.labels)[:, 0])
        return out
    for source in sources:
        drawn = not Path(source).exists()
        pixels = reader.prepare(source, size)[0].copy() if drawn else np.array(Image.open(source))
        colours = pixels[..., :3] if pixels.ndim == 3 else pixels
        colours[:] = 255 - colours
        copy = out / reader.place(source)
        copy.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(copy)
    for file in reader.companions(sources):
        copy = out / file.relative_to(reader.root)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(file, copy)
    for file, text in reader.tables(listing.sceneries, listing.splits).items():
        (out / file).write_text(text)
    return out
