"""Time and peak memory of preparing a dataset, and of a cold and a warm start, beside a plain baseline.

Datasets are those that lie below --root: downloads, or stand-ins of full size, for example
`python -m standin --dataset sviro_nocar --out standin`. Every measurement has a process of its own, and
memory is that of the process with all its children, shared pages counted in proportion. Plain preparation is what a
script without this framework does: one process, Pillow and torchvision or NumPy, everything in memory; it is measured
on a sample of images, and for MPI3D on the whole file.
"""

import argparse
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from skimage.exposure import equalize_hist
from torchvision.transforms import CenterCrop, Compose, Resize
from tqdm import tqdm

from benchmarks.common import in_child, print_table, write_json
from dataset import Batches, Scenes
from errors import run_script
from experiment.config import EvaluationDataset
from readers import create_reader

SIZES = {"mpi3d": 64}
SIZE = 128
SAMPLE = 200
PAGE_CACHE = Path("/proc/sys/vm/drop_caches")


def main() -> None:
    arguments = parse()
    rows = []
    for wish in arguments.datasets:
        name, _, factor = wish.partition(":")
        section = EvaluationDataset(name=name, factor=factor, root=arguments.root)
        with tempfile.TemporaryDirectory(dir=arguments.cache) as cache:
            rows.append({"dataset": wish, **measure(section, SIZES.get(name, SIZE), cache, arguments.rounds)})
    report(rows)
    write_json(arguments.out, rows)


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("datasets", nargs="+", metavar="DATASET[:FACTOR]", help="for example sviro_nocar mpi3d:toy")
    parser.add_argument("--root", default="standin", help="folder of the datasets (default: standin)")
    parser.add_argument("--cache", metavar="DIR", help="where temporary caches are made (default: the system's place)")
    parser.add_argument("--rounds", type=int, default=5, help="starts of each kind (default: 5)")
    parser.add_argument("--out", metavar="FILE", help="write the figures as JSON")
    return parser.parse_args()


def measure(section: EvaluationDataset, size: int, cache: str, rounds: int) -> dict[str, Any]:
    """Return the figures of one dataset; cold and warm starts alternate with each other."""
    first = in_child(start, section, size, cache)
    plain = in_child(plain_preparation, section, size)
    cold, warm = [], []
    for _ in tqdm(range(rounds), desc="starts", disable=None):
        if drop_page_cache():
            cold.append(in_child(start, section, size, cache))
        warm.append(in_child(start, section, size, cache))
    return {
        "images": first["images"], "prepare_s": first["seconds"], "prepare_gib": first["peak_gib"],
        "plain_s": plain["seconds"] * first["images"] / plain["images"], "plain_gib": plain["peak_gib"],
        "cold_s": statistics.median(each["seconds"] for each in cold) if cold else None,
        "warm_s": statistics.median(each["seconds"] for each in warm),
        "warm_gib": statistics.median(each["peak_gib"] for each in warm),
    }


def start(section: EvaluationDataset, size: int, cache: str) -> dict[str, float]:
    """Open a dataset as training does, up to the first batch of images; prepares it where that has not been done."""
    since = time.perf_counter()
    scenes = Scenes(section, size, cache, torch.device("cpu"))
    next(Batches(scenes, scenes.gather, batch_size=64, seed=1).epoch(1))
    return {"images": len(scenes.images), "seconds": time.perf_counter() - since}


def plain_preparation(section: EvaluationDataset, size: int) -> dict[str, float]:
    """Prepare some images (MPI3D: all) the straightforward way."""
    reader = create_reader(section.name, section.root, section.factor, section.split)
    sources = [source for variants in reader.listing().sources for source in variants]
    since = time.perf_counter()
    if section.name == "mpi3d":
        path = sources[0].rpartition("#")[0]
        large = np.array([int(source.rpartition("#")[2]) for source in sources])
        images = np.load(path)["images"][large].transpose(0, 3, 1, 2).copy()
        return {"images": len(images), "seconds": time.perf_counter() - since}
    scale = Resize(size)
    chosen = np.random.default_rng(0).choice(sources, min(SAMPLE, len(sources)), replace=False)
    for source in tqdm(chosen, desc="plain", disable=None):
        image = Image.open(source)
        if section.name == "ticam":
            equal = Image.fromarray((equalize_hist(np.asarray(image)) * 255).round().astype(np.uint8))
            np.asarray(scale(equal.crop((106, 120, 406, 420))))
        else:
            np.asarray(Compose([CenterCrop(min(image.size)), scale])(image.convert("L")))
    return {"images": len(chosen), "seconds": time.perf_counter() - since}


def drop_page_cache() -> bool:
    """Have the system forget the files it keeps in memory; False where that takes more rights than we have."""
    try:
        PAGE_CACHE.write_text("3")
    except OSError:
        return False
    return True


def report(rows: list[dict[str, Any]]) -> None:
    print_table((("dataset", "dataset", "{}", 1), ("images", "images", "{:,}", 1),
                 ("prepare s", "prepare_s", "{:.1f}", 1), ("plain s", "plain_s", "{:.1f}", 1),
                 ("prepare GiB", "prepare_gib", "{:.2f}", 1), ("plain GiB", "plain_gib", "{:.2f}", 1),
                 ("cold start s", "cold_s", "{:.2f}", 1), ("warm start s", "warm_s", "{:.2f}", 1),
                 ("warm GiB", "warm_gib", "{:.2f}", 1)), rows)


if __name__ == "__main__":
    run_script(main)
