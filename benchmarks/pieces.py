"""The pieces of a training step that are ours, each beside the library's: SSIM, the decoder's layers, cold reads.

Forward and backward passes of 64 images of 128x128, or of a triplet batch of that many sceneries; reads are of the rows
of a batch, from a file that the system has just forgotten, announced or touched one after the other. Sides take turns,
figures are medians. Forgetting takes the right to write to the system's drop_caches; without it, reads are left out.
"""

import argparse
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import torch
from pytorch_msssim import ssim as library_ssim
from torch import Tensor, nn

from autoencoder.layers import Upsample
from benchmarks import floor
from benchmarks.common import alternate, print_table, write_json
from benchmarks.preparation import drop_page_cache
from errors import run_script
from evaluation.ssim import ssim
from readers.rows import Rows
from utils import tune

CPU = torch.device("cpu")
# Channels in and out, and side of the input, at 128x128.
LAYERS = ((64, 64, 8), (64, 32, 16), (32, 32, 32), (32, 1, 64))
# Halves of a view's features: ResNet-50 at the paper's cut.
ROW = 1024 * 7 * 7


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--batch", type=int, default=64, help="sceneries; layers and reads see three images of each")
    parser.add_argument("--rows", type=int, default=10000, help="of the file that is read (default: 10000, 1 GB)")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--cache", metavar="DIR", help="where that file is made (default: the system's place)")
    parser.add_argument("--out", metavar="FILE", help="write the figures as JSON")
    arguments = parser.parse_args()
    tune(CPU)
    images, targets = torch.rand(2, arguments.batch, 1, 128, 128)
    images.requires_grad_()
    pieces = {"SSIM": (lambda: passes(ssim(images, targets), images),
                       lambda: passes(library_ssim(images, targets, data_range=1, size_average=False), images))}
    for inputs, outputs, side in LAYERS:
        title = f"decoder layer {inputs} to {outputs}, {side}x{side}"
        pieces[title] = layer(inputs, outputs, side, 3 * arguments.batch)
    rows = [measure(title, sides, arguments.rounds) for title, sides in pieces.items()]
    if drop_page_cache():
        with tempfile.TemporaryDirectory(dir=arguments.cache) as folder:
            sides = reads(Path(folder), arguments.rows, 3 * arguments.batch)
            rows.append(measure("cold read of a batch's features", sides, arguments.rounds))
    print(floor.describe(CPU))
    print_table((("piece", "piece", "{}", 1), ("ours, ms", "ours_s", "{:.1f}", 1e3),
                 ("library, ms", "library_s", "{:.1f}", 1e3), ("ratio", "ratio", "{:.1f}", 1)), rows)
    write_json(arguments.out, rows)


def measure(title: str, sides: tuple[Callable[[], object], Callable[[], object]], rounds: int) -> dict:
    (ours, library), _ = alternate(list(sides), rounds, CPU, torch.float32, title)
    return {"piece": title, "ours_s": ours, "library_s": library, "ratio": library / ours}


def passes(values: Tensor, *inputs: Tensor) -> None:
    """Go back from the sum of what a forward pass has made."""
    torch.autograd.grad(values.sum(), inputs)


def layer(inputs: int, outputs: int, side: int, images: int) -> tuple[Callable[[], None], Callable[[], None]]:
    """Return forward and backward pass of our layer and of the library's, both channels-last, with the same weights."""
    ours = Upsample(inputs, outputs).to(memory_format=torch.channels_last)
    library = nn.ConvTranspose2d(inputs, outputs, 4, stride=2, padding=1).to(memory_format=torch.channels_last)
    library.load_state_dict(ours.state_dict())
    features = torch.rand(images, inputs, side, side).to(memory_format=torch.channels_last).requires_grad_()

    def run(module: nn.Module) -> None:
        passes(module(features), features, *module.parameters())

    return partial(run, ours), partial(run, library)


def reads(folder: Path, count: int, picked: int) -> tuple[Callable[[], None], Callable[[], None]]:
    """Return reads of random rows of a new file: as training reads them, and from the mapped array as it is."""
    path = folder / "readers.rows.npy"
    array = np.lib.format.open_memmap(path, "w+", np.float16, (count, ROW))
    for row in array:
        row[:] = 1
    array.flush()
    announced = Rows(np.load(path, mmap_mode="c", allow_pickle=False), CPU)
    generator = torch.Generator().manual_seed(0)

    def ours() -> None:
        announced.take(torch.randint(count, (picked,), generator=generator))

    def touched() -> None:
        torch.from_numpy(np.load(path, mmap_mode="c", allow_pickle=False))[
            torch.randint(count, (picked,), generator=generator)]

    return forgetting(ours), forgetting(touched)


def forgetting(read: Callable[[], None]) -> Callable[[], None]:
    """Return a read before which the system forgets what it has read; forgetting takes a few milliseconds."""

    def run() -> None:
        drop_page_cache()
        read()

    return run


if __name__ == "__main__":
    run_script(main)
