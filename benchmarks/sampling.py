"""Cost per sample of drawing triplets with impossible targets, at growing numbers of sceneries.

Compares the index arithmetic of `autoencoder/pairing.py` with a plain baseline: a loop over the batch that looks
through all labels for every sample. The two alternate in one run; figures are medians.
"""

import argparse
import statistics
import time
from collections.abc import Callable
from functools import partial

import numpy as np
import torch
from tqdm import tqdm

from autoencoder.pairing import Pairing
from benchmarks.common import write_json

BATCH, VARIANTS, SEATS, CLASSES = 64, 10, 3, 4


class Plain:
    """Draws the same kinds of samples the straightforward way: one at a time, scanning every label."""

    def __init__(self, labels: np.ndarray):
        self.labels = [tuple(label) for label in labels.tolist()]
        self.rng = np.random.default_rng(0)

    def draw(self, sceneries: np.ndarray) -> list[tuple[int, ...]]:
        return [self._one(int(scenery)) for scenery in sceneries]

    def _one(self, scenery: int) -> tuple[int, ...]:
        label = self.labels[scenery] if self.rng.random() < 0.5 else self.labels[scenery][::-1]
        same = [i for i, other in enumerate(self.labels) if other == label and i != scenery] or [scenery]
        near = [i for i, other in enumerate(self.labels)
                if any(other) and sum(a != b for a, b in zip(other, label, strict=True)) == 1]
        picks = (scenery, self._choose(same), self._choose(near), *(self._choose(same) for _ in range(3)))
        return tuple(pick * VARIANTS + int(self.rng.integers(VARIANTS)) for pick in picks)

    def _choose(self, candidates: list[int]) -> int:
        return candidates[self.rng.integers(len(candidates))]


def ours(labels: np.ndarray) -> Callable[[torch.Tensor], None]:
    count = torch.full((len(labels),), VARIANTS)
    pairing = Pairing(torch.arange(len(labels)) * VARIANTS, count, labels, mirrors=True, empty=0)
    generator = torch.Generator().manual_seed(0)

    def draw(sceneries: torch.Tensor) -> None:
        anchor = pairing.anchors(sceneries, generator)
        picks = (anchor, pairing.positives(anchor, generator)[0], pairing.negatives(anchor, generator)[0])
        for pick in picks:
            pairing.targets(pick, "instance", generator)

    return draw


def seconds(call: Callable[[], None], repeats: int) -> float:
    start = time.perf_counter()
    for _ in range(repeats):
        call()
    return (time.perf_counter() - start) / repeats


def measure(sizes: list[int], rounds: int) -> list[dict[str, float]]:
    """Return medians in microseconds per anchor for each number of sceneries; sizes and sides take turns."""
    sides = {}
    for size in sizes:
        labels = np.random.default_rng(size).integers(0, CLASSES, (size, SEATS))
        anchors = torch.randint(size, (BATCH,), generator=torch.Generator().manual_seed(0))
        plain = Plain(labels)
        few = anchors[:4].numpy()
        sides[size] = (ours(labels), anchors, plain, few)
    times: dict[int, tuple[list[float], list[float]]] = {size: ([], []) for size in sizes}
    for _ in tqdm(range(rounds), desc="rounds", disable=None):
        for size, (draw, anchors, plain, few) in sides.items():
            times[size][0].append(seconds(partial(draw, anchors), 50) / BATCH)
            times[size][1].append(seconds(partial(plain.draw, few), 1) / len(few))
    return [{"sceneries": size, "ours_us": 1e6 * statistics.median(fast), "plain_us": 1e6 * statistics.median(slow)}
            for size, (fast, slow) in times.items()]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sizes", nargs="+", type=int, default=[100, 1000, 10000, 100000])
    parser.add_argument("--rounds", type=int, default=11)
    parser.add_argument("--out", metavar="FILE", help="write the figures as JSON")
    arguments = parser.parse_args()
    rows = measure(arguments.sizes, arguments.rounds)
    print(f"microseconds per anchor (positive, negative and three II targets included), batches of {BATCH}, "
          f"{torch.get_num_threads()} threads")
    print(f"{'sceneries':>10} {'autoencoder.pairing.py':>11} {'plain loop':>11} {'ratio':>8} {'vs smallest':>12}")
    for row in rows:
        print(f"{row['sceneries']:>10} {row['ours_us']:>11.2f} {row['plain_us']:>11.1f} "
              f"{row['plain_us'] / row['ours_us']:>7.0f}x {row['ours_us'] / rows[0]['ours_us']:>11.2f}x")
    write_json(arguments.out, rows)


if __name__ == "__main__":
    main()
