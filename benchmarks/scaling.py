"""Cost per sample and memory of training an E-TAE from cached features, as the dataset grows.

Images and features are files of the real shape full of zeros, which costs as much to train on as anything else, and
takes no room on the disk. Sizes take turns in one process for the times; each has a process of its own for its peak
memory. With --features resnet50, the sizes 5919x10 (sceneries x variants) is that of SVIRO-NoCar.
"""

import argparse
import statistics
import tempfile
from functools import partial
from itertools import count, islice
from pathlib import Path

import numpy as np
import torch
from tqdm import tqdm

from autoencoder.config import Training
from autoencoder.step import AutoencoderStep
from benchmarks.common import describe, in_child, print_table, seconds, write_json
from dataset import Batches, Scenes
from errors import run_script
from frozen.inputs import CachedInputs
from model import ExtractorAE
from readers.prepare import Prepared
from readers.rows import Rows
from training.command import create_fabric
from utils import tune

IMAGE, SEATS, CLASSES, BATCH = 128, 3, 4, 64
DEVICE = torch.device("cpu")


def main() -> None:
    arguments = parse()
    tune(DEVICE)
    sizes = [tuple(map(int, f"{size}x1".split("x")[:2])) for size in arguments.sizes]
    with tempfile.TemporaryDirectory(dir=arguments.cache) as folder:
        trainings = {size: training(folder, *size, arguments.features) for size in sizes}
        times = alternate(trainings, arguments.rounds, arguments.steps)
        held = {size: own_bytes(batches) for size, (batches, _) in trainings.items()}
        peaks = {size: in_child(train_alone, folder, *size, arguments.features, arguments.steps)["peak_gib"]
                 for size in sizes}
    first = times[sizes[0]]
    rows = [{"sceneries": size[0], "variants": size[1], "draw_us": 1e6 * draw / BATCH, "step_us": 1e6 * step / BATCH,
             "draw_ratio": draw / first[0], "step_ratio": step / first[1], "labels_mib": held[size] / 2**20,
             "peak_gib": peaks[size]} for size, (draw, step) in times.items()]
    print_table((("sceneries", "sceneries", "{:,}", 1), ("variants", "variants", "{}", 1),
                 ("draw, µs per anchor", "draw_us", "{:.1f}", 1), ("against first", "draw_ratio", "{:.2f}", 1),
                 ("draw and step, µs per anchor", "step_us", "{:.0f}", 1), ("against first", "step_ratio", "{:.2f}", 1),
                 ("labels and index, MiB", "labels_mib", "{:.1f}", 1), ("peak memory, GiB", "peak_gib", "{:.2f}", 1)),
                rows)
    print(describe(DEVICE))
    write_json(arguments.out, rows)


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", nargs="+", default=["1000", "10000", "100000"], metavar="SCENERIES[xVARIANTS]")
    parser.add_argument("--features", default="vgg11", help="extractor whose features are used (default: vgg11)")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--steps", type=int, default=3, help="per round (default: 3)")
    parser.add_argument("--cache", metavar="DIR", help="where temporary files are made (default: the system's place)")
    parser.add_argument("--out", metavar="FILE", help="write the figures as JSON")
    return parser.parse_args()


def training(folder: str, sceneries: int, variants: int, extractor: str) -> tuple[Batches, AutoencoderStep]:
    """Return batches of triplets of a dataset of zeros, and the step that trains on them."""
    torch.manual_seed(0)
    model = ExtractorAE(IMAGE, 1, 64, "relu", extractor, -3, "none").to(memory_format=torch.channels_last)
    shape = model.extract(torch.zeros(1, 1, IMAGE, IMAGE)).shape[1:]
    images = sceneries * variants
    scenes = empty_scenes(Path(folder), sceneries, variants)
    features = zeros(Path(folder) / f"features-{images}.npy", np.float16, (2 * images, *shape))
    batches = Batches(scenes, CachedInputs(Rows(features, DEVICE), 2, 1.0), BATCH, seed=1, triplet=True)
    return batches, AutoencoderStep(model, Training(epochs=1, loss="ssim"), create_fabric(torch.device("cpu")))


def empty_scenes(folder: Path, sceneries: int, variants: int) -> Scenes:
    """Return a dataset of zeros with random labels."""
    labels = np.random.default_rng(0).integers(0, CLASSES, (sceneries, SEATS))
    count = np.full(sceneries, variants)
    images = zeros(folder / f"images-{sceneries * variants}.npy", np.uint8, (sceneries * variants, 1, IMAGE, IMAGE))
    names = [str(i) for i in range(sceneries)]
    scenes = Scenes.__new__(Scenes)
    scenes._open(Prepared(images, np.cumsum(count) - count, count, labels, names, ["train"] * sceneries, names, "", {}),
                 DEVICE)
    scenes.name, scenes.factor, scenes.mirrors, scenes.empty = "zeros", "", True, 0
    return scenes


def zeros(path: Path, dtype: type[np.generic], shape: tuple[int, ...]) -> np.memmap:
    if not path.exists():
        np.lib.format.open_memmap(path, "w+", dtype, shape)
    return np.load(path, mmap_mode="c", allow_pickle=False)


def own_bytes(batches: Batches) -> int:
    """Return the bytes of what grows with the dataset: labels and the index from classes to views."""
    pairing = batches.pairing
    tensors = [pairing.class_of, pairing.order, pairing.rank, pairing.first, pairing.count]
    return sum(tensor.nbytes for tensor in tensors) + batches.scenes.labels.nbytes


def alternate(trainings: dict, rounds: int, steps: int) -> dict:
    """Return the median seconds of drawing a batch's indices, and of a whole step with it, for each size."""
    spent: dict = {size: ([], []) for size in trainings}
    endless = {size: (batch for number in count() for batch in whole(batches, number))
               for size, (batches, _) in trainings.items()}
    for number in tqdm(range(rounds + 1), desc="rounds", disable=None):
        for size, (batches, step) in trainings.items():
            generator = torch.Generator().manual_seed(number)
            anchors = torch.randint(len(batches.scenes), (BATCH,), generator=generator)
            draw = seconds(lambda: [batches.choose(anchors, generator) for _ in range(20)], DEVICE) / 20  # noqa: B023
            taken = seconds(partial(train, step, endless[size], steps), DEVICE) / steps
            # The first round warms up.
            if number:
                spent[size][0].append(draw)
                spent[size][1].append(taken)
    return {size: tuple(map(statistics.median, both)) for size, both in spent.items()}


def whole(batches: Batches, number: int):
    """Yield the batches of an epoch that are full."""
    return islice(batches.epoch(number), len(batches.scenes) // BATCH)


def train(step: AutoencoderStep, batches, steps: int) -> None:
    for batch in islice(batches, steps):
        step.update(batch)


def train_alone(folder: str, sceneries: int, variants: int, extractor: str, steps: int) -> dict[str, int]:
    """Train some steps in a process that does nothing else."""
    tune(DEVICE)
    batches, step = training(folder, sceneries, variants, extractor)
    train(step, whole(batches, 0), 4 * steps)
    return {"steps": 4 * steps}


if __name__ == "__main__":
    run_script(main)
