"""Apply a finished run to new images, without labels: a row per image in a CSV file, and pictures beside it.

Columns: `file`, and of

- autoencoders the class (`class`, or `seat_1`, ... from left to right), `confidence` (of kNN the share of the nearest
  training latents that are of it, of logistic regression its probability, nothing of an SVM), `distance` to the nearest
  training latent (Euclidean), and whose that is: `nearest`, `nearest_class`, `nearest_mirrored`;
- classifiers the class, and `confidence`, its probability;
- segmentation networks `share/<class>`, the part of the image that each class has;
- shape and pose `azimuth` and `elevation` of the camera (degrees) and its quaternion, in the axes of the training data,
  and `mask_iou` of the silhouette where the image has alpha.

`overview.png` shows the first images. Segmentation writes `labels/*.png` (grey values are the numbers of the classes,
in the order of their columns) and `overlays/*.png`, shape and pose `silhouettes/*.png` and `points/*.npy`; the column
`name` says how an image's are called. Images are prepared as the dataset that the run was trained on. What is needed of
the training data is computed once and kept in the run folder (`latents/`, `kept/`).
"""

import argparse
import csv
import math
import os
import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import repeat
from pathlib import Path
from typing import IO

import joblib
import numpy as np
from tqdm import tqdm

from errors import UserError, printable, run_script
from evaluation.image_folder import BATCH, find_all
from evaluation.predictor import Described, Predictor, open_predictor
from files import replacing
from readers.base import BadImage
from readers.parallel import in_threads
from utils import keep_freed_memory

OVERVIEW = "overview.png"


def main() -> None:
    arguments = parse()
    out = Path(arguments.out).resolve()
    check_free(out)
    files = find_all(arguments.images)
    options = {"classifier": arguments.classifier} if arguments.classifier else {}
    predictor = open_predictor(arguments.run, arguments.checkpoint, arguments.prepare_as, arguments.set, **options)
    if predictor.device.type == "cpu":
        keep_freed_memory()
    count = predict(predictor, files, out, arguments.skip_bad)
    left = f", {len(files) - count} left out" if count < len(files) else ""
    print(f"{arguments.out}: {count} images{left}; pictures in {Path(arguments.out).with_suffix('')}")


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", metavar="RUN", help="run folder of an autoencoder, a classifier, segmentation, or shape "
                                                   "and pose")
    parser.add_argument("images", nargs="+", metavar="IMAGES", help="image files, or folders; folders below count")
    parser.add_argument("--out", default="predictions.csv", metavar="CSV",
                        help="table to write (default: %(default)s); pictures go to a folder of its name without .csv")
    parser.add_argument("--checkpoint", choices=("last", "best"), default="last",
                        help="weights of the last epoch (default), or the best ones by the run's evaluation")
    parser.add_argument("--classifier", metavar="NAME",
                        help="of an autoencoder's latents: knn (default), knn_cosine, logistic, svm")
    parser.add_argument("--prepare-as", metavar="DATASET",
                        help="prepare images as this dataset's are, for example ticam, whose cabin is cropped; "
                             "default: dataset.name of the run")
    parser.add_argument("--skip-bad", action="store_true", help="leave out images that cannot be read, and name them")
    parser.add_argument("--set", nargs="+", default=[], action="extend", metavar="SECTION.KEY=VALUE",
                        help="override places, for example --set training.device=cpu dataset.root=data")
    return parser.parse_args()


def check_free(out: Path) -> None:
    """Raise UserError where a table and its folder of pictures cannot be made."""
    if out.suffix != ".csv":
        raise UserError(f"--out {out}: allowed: a name that ends with .csv")
    for path in (out, out.with_suffix("")):
        if os.path.lexists(path):
            raise UserError(f"--out {out}: {path} exists; remove it, or name another file")


def predict(predictor: Predictor, files: list[Path], out: Path, skip_bad: bool) -> int:
    """Write the table of image files and the folder of pictures, both or neither; return how many images there are."""
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=out.parent, prefix=f".{out.stem}-") as temporary:
        folder = Path(temporary) / out.stem
        for name in ("", *predictor.pictures):
            (folder / name).mkdir(parents=True)
        with replacing(out) as unfinished:
            with unfinished.open("w", encoding="utf-8", newline="") as table:
                count, first = write_rows(predictor, files, table, folder, skip_bad)
            run, epoch = predictor.run, "unknown" if predictor.epoch is None else predictor.epoch
            which = f"the first {len(first)} of {count} images" if len(first) < count else f"{count} images"
            predictor.draw(folder / OVERVIEW, first, f"{run.experiment}, seed {run.config.training.seed}, "
                                                     f"{predictor.checkpoint} weights (epoch {epoch}): {which}")
            os.rename(folder, out.with_suffix(""))
    return count


def write_rows(predictor: Predictor, files: list[Path], table: IO[str], folder: Path,
               skip_bad: bool) -> tuple[int, np.ndarray]:
    """Write a row, and pictures, of each image; return how many there are, and the first ones (n, C, H, W)."""
    count, first, taken, writer = 0, [], {}, None
    with tqdm(total=len(files), desc="predicting", unit="image", delay=3, disable=None) as bar:
        for read, images in read_all(predictor, files, skip_bad, bar):
            described = predictor.describe(images)
            names = [free_name(file.stem, taken) if predictor.pictures else "" for file in read]
            if predictor.pictures:
                keep(predictor, described, read, names, folder)
            rows = [{"file": printable(str(file))} | ({"name": name} if name else {}) | each.values
                    for file, name, each in zip(read, names, described, strict=True)]
            if writer is None:
                writer = csv.DictWriter(table, list(rows[0]), lineterminator="\n")
                writer.writeheader()
            writer.writerows({key: as_text(value) for key, value in row.items()} for row in rows)
            first += list(images[: predictor.shown - len(first)])
            count += len(read)
    if not count:
        raise UserError(f"{files[0]}: none of the {len(files)} images can be read")
    return count, np.stack(first)


def read_all(predictor: Predictor, files: list[Path], skip_bad: bool,
             bar: tqdm) -> Iterator[tuple[list[Path], np.ndarray]]:
    """Yield the images uint8 (n, C, H, W) of a batch with their files; what cannot be read is refused, or left out."""
    def read(part: list[Path]) -> list[tuple[Path, np.ndarray | BadImage]]:
        found = []
        for file in part:
            try:
                found.append((file, predictor.read([file])[0]))
            except BadImage as error:
                found.append((file, error))
        return found

    for part in in_threads(read, files, BATCH):
        bad = [error for _, error in part if isinstance(error, BadImage)]
        if bad and not skip_bad:
            raise UserError(f"{bad[0]}; --skip-bad leaves it out")
        for error in bad:
            tqdm.write(f"warning: left out: {error}", file=sys.stderr)
        good = [(file, image) for file, image in part if not isinstance(image, BadImage)]
        if good:
            yield [file for file, _ in good], np.stack([image for _, image in good])
        bar.update(len(part))


def keep(predictor: Predictor, described: list[Described], files: list[Path], names: list[str], folder: Path) -> None:
    """Write the pictures of a batch of images, several at a time."""
    with ThreadPoolExecutor(joblib.cpu_count()) as pool:
        list(pool.map(predictor.keep, described, files, repeat(folder), names))


def free_name(name: str, taken: dict[str, int]) -> str:
    """Return a name for an image's pictures that no other image has, and take it; taken: name -> how often wanted."""
    name = free = printable(name)
    while free in taken:
        taken[name] += 1
        free = f"{name}_{taken[name]}"
    taken[free] = 1
    return free


def as_text(value: str | float) -> str:
    """Return a value as the table has it: six digits, nothing where there is no number (NaN)."""
    if isinstance(value, str):
        return value
    return f"{value:.6g}" if math.isfinite(value) else ""


if __name__ == "__main__":
    run_script(main)
