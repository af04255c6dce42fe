"""Measure how far the images in one folder are from those in another: Fréchet and kernel distances of deep features.

Beside the distance from A to B stand what it could be at best and at worst: the distance between two halves of B, which
are the same kind of images (floor), and that from images nothing was done to (--untranslated C) to B (ceiling).
Features are EfficientNet-Lite0's; with --inception also those of the network that FID and KID are defined by. Fréchet
distances grow as sets shrink: compare them at like numbers of images only (--limit), and go by the kernel distance
where these are a few hundred.
"""

import argparse
from pathlib import Path

import torch
from torch import Tensor

from errors import UserError, check_range, run_script
from evaluation.image_distance import EfficientNetFeatures, InceptionFeatures, frechet, kernel
from evaluation.image_folder import features_of, find
from reporting.formats import FORMATS
from reporting.metrics import metric_of
from reporting.options import write_or_print
from utils import choose_device

# As many as KID is defined with, where there are as many images.
LARGEST_SUBSET = 1000


def main() -> None:
    arguments = parse()
    check(arguments)
    folders = {"A": arguments.first, "B": arguments.second, "C": arguments.untranslated}
    files = {name: find(Path(folder), arguments.limit, arguments.seed) for name, folder in folders.items() if folder}
    half = len(files["B"]) // 2
    numbers = {name: len(found) for name, found in files.items()} | {"half of B": half}
    subset = subset_size(arguments.subset_size, numbers)
    networks = [EfficientNetFeatures()]
    networks += [InceptionFeatures(Path(arguments.inception))] if arguments.inception else []
    device, size = choose_device("auto"), tuple(arguments.size) if arguments.size else None
    found = {name: features_of(files[name], networks, size, folders[name], device) for name in files}
    features = {name: each.features for name, each in found.items()}
    order = torch.randperm(numbers["B"], generator=torch.Generator().manual_seed(arguments.seed)).to(device)
    features["half of B"], features["rest of B"] = ([each[part] for each in features["B"]]
                                                    for part in (order[:half], order[half:]))
    rows = [("distance", "A", "B"), ("floor", "half of B", "rest of B")]
    rows += [("ceiling", "C", "B")] if arguments.untranslated else []
    lines = []
    for role, first, second in rows:
        values = [cell for i, network in enumerate(networks)
                  for cell in cells(network.names, features[first][i], features[second][i], arguments, subset)]
        lines.append((role, f"{first} - {second}", *(str(len(features[name][0])) for name in (first, second)), *values))
    heads = [metric_of(name).arrow for network in networks for name in network.names]
    about = [f"{name}: {folders[name]}, n = {numbers[name]}, {each.sizes}." for name, each in found.items()]
    note = " ".join([*about, *notes(arguments, networks, subset)])
    write_or_print(FORMATS[arguments.format](("", "images", "n", "n of the other", *heads), lines, 2, note),
                   arguments.out)


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("first", metavar="A", help="folder of images, such as translated ones; folders below count")
    parser.add_argument("second", metavar="B", help="folder of images to compare them with, such as real ones")
    parser.add_argument("--untranslated", metavar="C", help="folder of what A was made of")
    parser.add_argument("--inception", metavar="FILE", help="weights of FID's network, torch-fidelity's file of them")
    parser.add_argument("--limit", type=int, metavar="N", help="use so many images of each folder, drawn at random")
    parser.add_argument("--size", type=int, nargs=2, metavar=("WIDTH", "HEIGHT"),
                        help="resize all images to this first, so that all are equally sharp (default: their own)")
    parser.add_argument("--subsets", type=int, default=100, help="of the kernel distance (default: 100)")
    parser.add_argument("--subset-size", type=int, metavar="N",
                        help="images in each (default: half of the smallest set, 1000 at most)")
    parser.add_argument("--seed", type=int, default=0, help="of halves, subsets and --limit (default: 0)")
    parser.add_argument("--format", choices=FORMATS, default="terminal")
    parser.add_argument("--out", metavar="FILE", help="write the table to a file")
    return parser.parse_args()


def check(arguments: argparse.Namespace) -> None:
    """Refuse options that cannot be, before anything is read."""
    for name, least in (("limit", 4), ("subsets", 2), ("subset_size", 2), ("seed", 0)):
        check_range(f"--{name.replace('_', '-')}", getattr(arguments, name), least)
    for side in arguments.size or ():
        check_range("--size", side, 1)


def subset_size(wanted: int | None, numbers: dict[str, int]) -> int:
    """Return how many images a subset has, the same for all rows; UserError where a set has too few of them."""
    name, smallest = min(numbers.items(), key=lambda item: item[1])
    size = wanted or min(LARGEST_SUBSET, max(smallest // 2, 2))
    if smallest < size:
        raise UserError(f"{name} has {smallest} image(s), too few for subsets of {size}; allowed: " + (
            f"--subset-size 2 to {smallest}" if smallest > 1 else "two images or more in A and C, four in B"))
    return size


def cells(names: tuple[str, str], first: Tensor, second: Tensor, arguments: argparse.Namespace,
          subset: int) -> list[str]:
    """Return both distances as text, the second with its deviation over subsets."""
    values = kernel(first, second, arguments.subsets, subset, arguments.seed)
    scaled = values * metric_of(names[1]).scale
    return [metric_of(names[0]).text(frechet(first, second)),
            metric_of(names[1]).text(scaled.mean().item(), scaled.std().item())]


def notes(arguments: argparse.Namespace, networks: list, subset: int) -> list[str]:
    """Return sentences on how the distances came about."""
    sides = ", ".join(f"{network.side}x{network.side} for {network.about}" for network in networks)
    before = "to {}x{} and then ".format(*arguments.size) if arguments.size else ""
    texts = [f"Images are resized {before}to {sides} (Pillow, bicubic, antialiased, 8 bit).",
             f"Kernel distances: mean ± standard deviation over {arguments.subsets} pairs of subsets of {subset} "
             f"images, seed {arguments.seed}."]
    return texts if arguments.inception else [*texts, f"There is {InceptionFeatures.missing}."]


if __name__ == "__main__":
    run_script(main)
