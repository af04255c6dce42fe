"""Tabulate how complex the images of datasets are: mean Shannon entropy and mean co-occurrence entropy, in bits."""

import argparse
from pathlib import Path

import numpy as np
from scipy.stats import entropy
from skimage.feature import graycomatrix
from skimage.measure import shannon_entropy
from tqdm import tqdm

from errors import check_range, run_script
from readers import READERS, create_reader
from readers.parallel import in_processes
from readers.prepare import prepare
from reporting.formats import FORMATS
from reporting.options import write_or_print

LEVELS, CHUNK = 256, 64


def main() -> None:
    arguments = parse()
    check_range("--size", arguments.size, 2)
    check_range("--limit", arguments.limit, 1)
    lines = []
    for wish in arguments.datasets:
        name, _, factor = wish.partition(":")
        reader = create_reader(name, arguments.root, factor.split(",") if factor else [], arguments.split)
        prepared = prepare(reader, arguments.size, Path(arguments.cache), arguments.limit)
        shannon, pairs = mean_entropies(prepared.images, reader.channels, reader.title)
        lines.append((wish, reader.split, str(len(prepared.images)), f"{shannon:.3f}", f"{pairs:.3f}"))
    header = ("dataset", "split", "images", "Shannon entropy (bit)", "co-occurrence entropy (bit)")
    write_or_print(FORMATS[arguments.format](header, lines, 2), arguments.out)


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("datasets", nargs="+", metavar="DATASET[:FACTOR,...]",
                        help=f"for example sviro:x5,i3 digit_photos; known: {', '.join(READERS)}")
    parser.add_argument("--root", default="data", help="folder of the downloaded datasets (default: data)")
    parser.add_argument("--cache", default="cache", help="folder for prepared images (default: cache)")
    parser.add_argument("--split", choices=("train", "test", "all"), help="default: the dataset's own")
    parser.add_argument("--size", type=int, default=128, help="pixels of the prepared images (default: 128)")
    parser.add_argument("--limit", type=int, help="use at most so many sceneries")
    parser.add_argument("--format", choices=FORMATS, default="terminal")
    parser.add_argument("--out", metavar="FILE", help="write the table to a file")
    return parser.parse_args()


def entropies(image: np.ndarray) -> tuple[float, float]:
    """Return both entropies of an image, uint8 (H, W), in bits.

    Shannon: of the grey levels, 0 to 8. Co-occurrence: of the pairs of neighbours (distance 1, angle 0, symmetric,
    normed), 0 to 16.
    """
    pairs = graycomatrix(image, distances=[1], angles=[0], levels=LEVELS, symmetric=True, normed=True).ravel()
    # Adding zero turns the -0.0 of a constant image into 0.0.
    return float(shannon_entropy(image)) + 0.0, float(entropy(pairs[pairs > 0], base=2)) + 0.0


def mean_entropies(images: np.memmap, channels: int, title: str) -> tuple[float, float]:
    """Return the means of both entropies over images (n, layers, H, W), each the mean of its first `channels` layers.

    title: of the bar.
    """
    jobs = [(Path(images.filename), start, channels) for start in range(0, len(images), CHUNK)]
    chunks = in_processes(_sums, jobs)
    sums = list(tqdm(chunks, total=len(jobs), desc=title, unit="chunk", disable=None))
    shannon, pairs = np.sum(sums, axis=0) / len(images)
    return float(shannon), float(pairs)


def _sums(path: Path, start: int, channels: int) -> np.ndarray:
    """Return the sums of both entropies over a chunk; every process maps the file for itself."""
    images = np.load(path, mmap_mode="r", allow_pickle=False)[start : start + CHUNK, :channels]
    grey = images.mean(axis=1).round().astype(np.uint8)
    return np.sum([entropies(image) for image in grey], axis=0)


if __name__ == "__main__":
    run_script(main)
