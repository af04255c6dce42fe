"""Cost per sample and memory of training an E-TAE from cached features, as the dataset grows.

Images and features are files of the real shape full of zeros, which costs as much to train on as anything else, and
takes no room on the disk. Sizes take turns in one process for the times; each has a process of its own for its peak
memory. With --features resnet50, the size 5919x10 (sceneries x variants) is that of SVIRO-NoCar.
"""

import argparse
import resource
import statistics
import tempfile
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from itertools import count, islice
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import torch
from tqdm import tqdm

from autoencoder.config import Training
from autoencoder.step import AutoencoderStep
from benchmarks.common import describe, print_row, seconds, write_json
from dataset import Batch, Batches, Scenes
from errors import run_script
from frozen.inputs import CachedInputs
from model import ExtractorAE
from readers.rows import Rows
from training.command import create_fabric
from utils import tune

IMAGE, SEATS, CLASSES, DRAWS = 128, 3, 4, 20
DEVICE = torch.device("cpu")


def main() -> None:
    arguments = parse()
    tune(DEVICE)
    sizes = [tuple(map(int, f"{size}x1".split("x")[:2])) for size in arguments.sizes]
    rows = []
    with tempfile.TemporaryDirectory(dir=arguments.cache) as folder:
        alone = [(Path(folder), *size, arguments.features, arguments.batch) for size in sizes]
        trainings = [training(*each) for each in alone]
        times = alternate(trainings, arguments.rounds, arguments.steps)
        for size, each, (batches, _), (draw, step) in zip(sizes, alone, trainings, times, strict=True):
            with ProcessPoolExecutor(1, get_context("spawn")) as process:
                peak = process.submit(peak_memory, *each, 4 * arguments.steps).result()
            rows.append({"sceneries": size[0], "variants": size[1], "draw_us": 1e6 * draw / arguments.batch,
                         "draw_ratio": draw / times[0][0], "step_us": 1e6 * step / arguments.batch,
                         "step_ratio": step / times[0][1], "labels_mib": own_bytes(batches) / 2**20, "peak_gib": peak})
    print_row("sceneries", "variants", "draw, µs per anchor", "against first", "draw and step, µs per anchor",
              "against first", "labels and index, MiB", "peak memory, GiB")
    print_row(*["---:"] * 8)
    for row in rows:
        print_row(*map("{:{}}".format, row.values(), (",", "", ".1f", ".2f", ",.0f", ".2f", ".1f", ".2f")))
    print(describe(DEVICE))
    write_json(arguments.out, rows)


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", nargs="+", default=["1000", "10000", "100000"], metavar="SCENERIES[xVARIANTS]")
    parser.add_argument("--features", default="vgg11", help="extractor whose features are used (default: vgg11)")
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--steps", type=int, default=3, help="per round (default: 3)")
    parser.add_argument("--cache", metavar="DIR", help="where temporary files are made (default: the system's place)")
    parser.add_argument("--out", metavar="FILE", help="write the figures as JSON")
    return parser.parse_args()


def training(folder: Path, sceneries: int, variants: int, extractor: str,
             batch: int) -> tuple[Batches, AutoencoderStep]:
    """Return batches of triplets of a dataset of zeros with random labels, and the step that trains on them."""
    torch.manual_seed(0)
    model = ExtractorAE(IMAGE, 1, 64, "relu", extractor, -3, "none").to(memory_format=torch.channels_last)
    shape = model.extract(torch.zeros(1, 1, IMAGE, IMAGE)).shape[1:]
    images, first = sceneries * variants, np.arange(sceneries) * variants
    labels, names = np.random.default_rng(0).integers(0, CLASSES, (sceneries, SEATS)), list(map(str, range(sceneries)))
    scenes = Scenes.__new__(Scenes)
    scenes.rows = Rows([zeros(folder / f"images-{images}.npy", np.uint8, (images, 1, IMAGE, IMAGE))], DEVICE)
    scenes.first, scenes.count = torch.from_numpy(first), torch.full((sceneries,), variants)
    scenes.labels, scenes.names, scenes.channels, scenes.device = labels, names, 1, DEVICE
    scenes.name, scenes.factor, scenes.mirrors, scenes.empty = "zeros", "", True, 0
    features = zeros(folder / f"features-{images}.npy", np.float16, (2 * images, *shape))
    batches = Batches(scenes, CachedInputs(Rows([features], DEVICE), 2, 1.0), batch, seed=1, triplet=True)
    return batches, AutoencoderStep(model, Training(epochs=1, loss="ssim"), create_fabric(DEVICE))


def zeros(path: Path, dtype: type[np.generic], shape: tuple[int, ...]) -> np.memmap:
    if not path.exists():
        np.lib.format.open_memmap(path, "w+", dtype, shape)
    return np.load(path, mmap_mode="c", allow_pickle=False)


def own_bytes(batches: Batches) -> int:
    """Return the bytes of what grows with the dataset: labels and the index from classes to views."""
    pairing = batches.pairing
    tensors = [pairing.class_of, pairing.order, pairing.rank, pairing.first, pairing.count]
    return sum(tensor.nbytes for tensor in tensors) + batches.scenes.labels.nbytes


def alternate(trainings: list[tuple[Batches, AutoencoderStep]], rounds: int, steps: int) -> list[tuple[float, float]]:
    """Return the median seconds of drawing a batch's indices, and of a whole step with it, for each training."""
    endless = [full(batches) for batches, _ in trainings]
    spent: list[list[tuple[float, float]]] = [[] for _ in trainings]
    for number in tqdm(range(rounds + 1), desc="rounds", disable=None):
        for each, (batches, step), ready in zip(spent, trainings, endless, strict=True):
            generator = torch.Generator().manual_seed(number)
            anchors = torch.randint(len(batches.scenes), (batches.batch_size,), generator=generator)
            draw = seconds(lambda: [batches.choose(anchors, generator) for _ in range(DRAWS)], DEVICE)  # noqa: B023
            taken = seconds(lambda: [step.update(batch) for batch in islice(ready, steps)], DEVICE)  # noqa: B023
            each.append((draw / DRAWS, taken / steps))
    # The first round warms up.
    return [tuple(map(statistics.median, zip(*each[1:], strict=True))) for each in spent]


def full(batches: Batches) -> Iterator[Batch]:
    """Yield the batches that are full, epoch after epoch."""
    for number in count():
        yield from islice(batches.epoch(number), len(batches.scenes) // batches.batch_size)


def peak_memory(folder: Path, sceneries: int, variants: int, extractor: str, batch: int,
                steps: int) -> float:
    """Train in a process that does nothing else; return the most memory that it ever took, in GiB."""
    tune(DEVICE)
    batches, step = training(folder, sceneries, variants, extractor, batch)
    for batch in islice(full(batches), steps):
        step.update(batch)
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


if __name__ == "__main__":
    run_script(main)
