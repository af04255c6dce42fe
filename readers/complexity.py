"""How complex images are: their Shannon entropy and the entropy of their grey-level co-occurrence matrix."""

from pathlib import Path

import numpy as np
from skimage.feature import graycomatrix
from skimage.measure import shannon_entropy
from tqdm import tqdm

from readers.parallel import in_processes

LEVELS = 256
CHUNK = 64


def entropies(image: np.ndarray) -> tuple[float, float]:
    """Return both entropies of an image, uint8 (H, W), in bits.

    Shannon: of the grey levels, 0 to 8. Co-occurrence: of the pairs of neighbours (distance 1, angle 0, symmetric,
    normed), 0 to 16.
    """
    pairs = graycomatrix(image, distances=[1], angles=[0], levels=LEVELS, symmetric=True, normed=True).ravel()
    pairs = pairs[pairs > 0]
    # Adding zero turns the -0.0 of a constant image into 0.0.
    return float(shannon_entropy(image)) + 0.0, float(-(pairs * np.log2(pairs)).sum()) + 0.0


def mean_entropies(images: np.memmap, title: str) -> tuple[float, float]:
    """Return the means of both entropies over images (n, C, H, W), each the mean of its channels; title: of the bar."""
    jobs = [(Path(images.filename), start) for start in range(0, len(images), CHUNK)]
    chunks = in_processes(_sums, jobs)
    sums = list(tqdm(chunks, total=len(jobs), desc=title, unit="chunk", disable=None))
    shannon, pairs = np.sum(sums, axis=0) / len(images)
    return float(shannon), float(pairs)


def _sums(path: Path, start: int) -> np.ndarray:
    """Return the sums of both entropies over a chunk; every process maps the file for itself."""
    images = np.load(path, mmap_mode="r", allow_pickle=False)[start : start + CHUNK]
    grey = images.mean(axis=1).round().astype(np.uint8)
    return np.sum([entropies(image) for image in grey], axis=0)
