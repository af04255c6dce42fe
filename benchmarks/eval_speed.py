"""Time of an evaluation: embedding images from cached features, then k nearest neighbours; with its floor.

Plain embedding is what a script without this framework does at every evaluation: open each file, scale it, send it
through the whole network, in batches; plain neighbours are scikit-learn's classifier. Files are drawn stand-ins,
features and latents random numbers of the real shape, weights random: none of them changes what the work costs.
Sides alternate, figures are medians. The floor is the time for the operations and bytes that the work cannot do
without, at the speed that this machine reaches in one large matrix product or copy (`benchmarks.floor`).
"""

import argparse
import tempfile
from functools import partial
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from sklearn.neighbors import KNeighborsClassifier
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode
from torchvision.transforms import CenterCrop, Compose, Resize, ToTensor
from tqdm import tqdm

from benchmarks import floor
from benchmarks.common import FLOOR_COLUMNS, alternate, print_table, row, write_json
from errors import run_script
from latent.classify import fit
from latent.extract import embed
from latent.neighbours import NearestNeighbours
from model import ExtractorAE
from rows import Rows
from standin.write import write_standin
from training.features import CachedInputs

SIZE, DIMENSION, CLASSES, BATCH, SCALE = 128, 64, 64, 64, 4.0


def main() -> None:
    arguments = parse()
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    device = torch.device(arguments.device)
    rows = [measure_embedding(arguments, device), measure_neighbours(arguments, device)]
    report(rows, device)
    write_json(arguments.out, {"device": floor.describe(device), "rows": rows})


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=1000,
                        help="images to embed from cached features, each with its mirror image; 12597 is the full "
                             "size of SVIRO-NoCar with TICaM (default: 1000)")
    parser.add_argument("--files", type=int, default=16, help="images that the plain side embeds (default: 16)")
    parser.add_argument("--latents", type=int, default=11838, help="training latents (default: 11838, SVIRO-NoCar)")
    parser.add_argument("--queries", type=int, default=13356, help="test latents (default: 13356, TICaM)")
    parser.add_argument("--neighbours", type=int, default=115)
    parser.add_argument("--extractor", default="vgg11")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, help="of the CPU (default: torch's choice)")
    parser.add_argument("--device", default="cpu", help="cpu, or a GPU as in cuda:0")
    parser.add_argument("--out", metavar="FILE", help="write the figures as JSON")
    return parser.parse_args()


def measure_embedding(arguments: argparse.Namespace, device: torch.device) -> dict:
    """Return seconds per image of embedding from cached features and from files, and the floor of the former."""
    model = ExtractorAE(SIZE, 1, DIMENSION, "relu", arguments.extractor, -3, "none")
    model = model.to(device, memory_format=torch.channels_last).eval()
    shape = model.extract(torch.zeros(1, 1, SIZE, SIZE, device=device)).shape[1:]
    with tempfile.TemporaryDirectory() as folder:
        inputs = random_features(Path(folder), (2 * arguments.images, *shape), device)
        root = write_standin("sviro", folder, sceneries=max(2, arguments.files), factors=["x5"])
        files = sorted(root.rglob("*.png"))[: arguments.files]
        index = torch.arange(arguments.images, device=device).repeat(2)
        flip = torch.arange(len(index), device=device) >= arguments.images
        sides = [partial(embed, model.encode, inputs, index, flip), partial(plain_embed, model, files, device)]
        (ours, plain), ceilings = alternate(sides, arguments.rounds, device, torch.float32, "embedding")
    with FlopCounterMode(display=False) as counter, torch.inference_mode():
        model.encode(torch.zeros(1, *shape, device=device))
    # Features are 16 bit, and read once.
    flops, moved = counter.get_total_flops(), 2 * shape.numel()
    return row("embedding, per image", [ours / len(index), plain / len(files)], flops, moved, ceilings)


def random_features(folder: Path, shape: tuple[int, ...], device: torch.device) -> CachedInputs:
    """Write features of this shape as training caches them, and open them as it does."""
    features = np.lib.format.open_memmap(folder / "features.npy", "w+", np.float16, shape)
    rng = np.random.default_rng(0)
    block = np.abs(rng.normal(0, 50, shape[1:])).astype(np.float16)
    for each in tqdm(features, desc="random features", disable=None):
        each[:] = np.roll(block, int(rng.integers(block.size)))
    features.flush()
    opened = np.load(folder / "features.npy", mmap_mode="c", allow_pickle=False)
    return CachedInputs(Rows(opened, device), 2, SCALE)


@torch.no_grad()
def plain_embed(model: ExtractorAE, files: list[Path], device: torch.device) -> Tensor:
    """Return the latents of image files, each opened and scaled, in batches through the whole network."""
    latents = []
    for start in range(0, len(files), BATCH):
        images = [prepare(Image.open(path).convert("L")) for path in files[start : start + BATCH]]
        latents.append(model.encode(model.extract(torch.stack(images).to(device))).cpu())
    return torch.cat(latents)


def prepare(image: Image.Image) -> Tensor:
    return Compose([CenterCrop(min(image.size)), Resize(SIZE), ToTensor()])(image)


def measure_neighbours(arguments: argparse.Namespace, device: torch.device) -> dict:
    """Return seconds of fitting and predicting: as evaluations do, scikit-learn, and tensors whatever the device."""
    latents, codes = clusters(arguments.latents, seed=1)
    queries, _ = clusters(arguments.queries, seed=2)
    k = arguments.neighbours

    def ours() -> np.ndarray:
        return fit("knn", latents, codes, k, 0, device).predict(queries)

    def plain() -> np.ndarray:
        return KNeighborsClassifier(k).fit(latents, codes).predict(queries)

    def tensors() -> np.ndarray:
        classifier = KNeighborsClassifier(k).fit(latents, codes)
        return NearestNeighbours(classifier, latents, codes, device).predict(queries)

    if not np.array_equal(ours(), plain()) or not np.array_equal(tensors(), plain()):
        raise SystemExit("predictions differ from scikit-learn's")
    times, ceilings = alternate([ours, plain, tensors], arguments.rounds, device, torch.float64, "neighbours")
    flops = 2 * len(latents) * len(queries) * DIMENSION
    title = f"neighbours, {len(latents):,} x {len(queries):,}"
    return {**row(title, times[:2], flops, latents.nbytes + queries.nbytes, ceilings), "tensors_s": times[2]}


def clusters(count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Return latents float32 (count, d) that overlap between classes, and label codes (count,)."""
    rng = np.random.default_rng(seed)
    codes = rng.integers(0, CLASSES, count)
    centres = np.random.default_rng(0).normal(0, 1, (CLASSES, DIMENSION))
    return (centres[codes] + rng.normal(0, 2, (count, DIMENSION))).astype(np.float32), codes


def report(rows: list[dict], device: torch.device) -> None:
    print(floor.describe(device))
    print_table((("work", "work", "{}", 1), ("ours, ms", "ours_s", "{:.2f}", 1e3),
                 ("plain, ms", "plain_s", "{:.2f}", 1e3), ("ratio", "ratio", "{:.1f}", 1), *FLOOR_COLUMNS), rows)
    print(f"neighbours as tensors on this device: {1e3 * rows[1]['tensors_s']:.2f} ms, the same predictions")


if __name__ == "__main__":
    run_script(main)
