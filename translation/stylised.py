"""Translated copies of datasets: in the layout and with the names of the original, and with its annotations."""

import json
import math
import os
import shutil
from collections import deque
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import torch
from PIL import Image
from torch import Tensor
from tqdm import tqdm

from errors import UserError
from experiment.copies import NOTE
from files import read_object, replacing, write_text
from readers.base import Reader
from readers.digits import Mnist
from readers.prepare import UNREADABLE
from translation.data import Domain
from translation.judge import PIXELS, Translate, to_bytes

PARTIAL = ".partial"
# Images that wait to be written.
WAITING = 256
QUALITY = {"quality": 95, "subsampling": 0}


def write_stylised(domain: Domain, translate: Translate, out: Path, about: dict[str, Any]) -> int:
    """Write a translated copy of a dataset to a new folder; return the number of its images.

    about: what it is made of and with, for `translation.json`. The folder is `<out>.partial` until it is whole; one
    that was left is gone on with. Raises UserError where `out` exists, what was left is of another
    translation, or images are left out without which splits are others.
    """
    if out.exists():
        raise UserError(f"{out}: exists; allowed: a folder that does not")
    tables, lost = domain.reader.tables(domain.names, domain.splits), domain.dropped.get(UNREADABLE)
    if lost and domain.reader.splits_by_place and not tables:
        raise UserError(f"{lost[0]}: cannot be read and is left out, but the splits of {domain.title} follow from the "
                        "place among all, so that those of the copy would be others; remove it first")
    partial = out.with_name(out.name + PARTIAL)
    partial.mkdir(parents=True, exist_ok=True)
    note = partial / NOTE
    if any(partial.iterdir()):
        try:
            left = read_object(note)
        except (OSError, ValueError):
            raise UserError(f"{partial}: exists, but is no translation that was left (no readable {NOTE}); delete it, "
                            "or choose another --out") from None
        differing = [key for key in ("weights", "dataset", "texture") if left.get(key) != about.get(key)]
        if differing:
            raise UserError(f"{partial}: was left by a translation with other {differing[0]}; delete it, or choose "
                            "another --out")
    write_text(note, json.dumps(about, indent=2))
    for name, text in tables.items():
        (partial / name).parent.mkdir(exist_ok=True)
        write_text(partial / name, text)
    for file in domain.reader.companions(domain.sources):
        copy = partial / file.relative_to(domain.reader.root)
        if not copy.exists():
            copy.parent.mkdir(parents=True, exist_ok=True)
            with replacing(copy) as temporary:
                shutil.copyfile(file, temporary)
    (_write_archives if isinstance(domain.reader, Mnist) else _write_files)(domain, translate, partial)
    os.rename(partial, out)
    return len(domain)


@torch.inference_mode()
def translated(domain: Domain, translate: Translate, wanted: Tensor) -> Iterator[tuple[int, np.ndarray]]:
    """Yield images by index (n,), translated: their places and uint8 (c, h, w)."""
    count = max(1, PIXELS // math.prod(domain.rows.shape[-2:]))
    with tqdm(total=len(domain), initial=len(domain) - len(wanted), desc="translating", unit="image",
              disable=None) as bar:
        for index in wanted.split(count):
            images = to_bytes(translate(*domain.take(index), index)).cpu().numpy()
            yield from zip(index.tolist(), images, strict=True)
            bar.update(len(index))


def _write_files(domain: Domain, translate: Translate, folder: Path) -> None:
    """Write a file per image, several at a time, and leave alone those that are there."""
    reader = domain.reader
    paths = [folder / reader.place(source) for source in domain.sources]
    for parent in {path.parent for path in paths}:
        parent.mkdir(parents=True, exist_ok=True)
    wanted = torch.tensor([i for i, path in enumerate(paths) if not path.exists()], dtype=torch.int64)
    waiting: deque = deque()
    with ThreadPoolExecutor(joblib.cpu_count()) as pool:
        for place, image in translated(domain, translate, wanted.to(domain.device)):
            waiting.append(pool.submit(_write, image, reader, domain.sources[place], paths[place]))
            if len(waiting) > WAITING:
                waiting.popleft().result()
        for each in waiting:
            each.result()


def _write(image: np.ndarray, reader: Reader, source: str, path: Path) -> None:
    """Write an image uint8 (c, h, w) as the copy of a source, whole or not at all."""
    picture = reader.copied(Image.fromarray(image[0] if len(image) == 1 else image.transpose(1, 2, 0)), source)
    temporary = path.with_name(f".{path.name}.tmp{path.suffix}")
    picture.save(temporary, **(QUALITY if path.suffix.lower() in (".jpg", ".jpeg") else {}))
    os.replace(temporary, path)


def _write_archives(domain: Domain, translate: Translate, folder: Path) -> None:
    """Write MNIST's files of images and of labels, one of each per split."""
    everything = torch.arange(len(domain), device=domain.device)
    images = np.stack([image[0] for _, image in translated(domain, translate, everything)])
    for split in dict.fromkeys(domain.splits):
        chosen = np.array([each == split for each in domain.splits])
        domain.reader.write(folder, split, images[chosen], domain.labels[chosen, 0])
