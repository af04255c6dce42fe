"""What this machine can do at most: matrix product, convolution and copy, all large, at torch's device and threads.

Other benchmarks divide the operations and bytes that their work cannot do without by these ceilings: the least time
that the work could take here, its floor.
"""

import argparse
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import torch
from torch.nn import functional

# Large enough for full speed, small enough for a second per round: side of the matrices, images that are convolved,
# and bytes of the copy, which are well above any cache.
SIDE = {"cpu": 2048, "cuda": 8192}
IMAGES = {"cpu": 16, "cuda": 512}
COPIED = {"cpu": 2**28, "cuda": 2**30}


@dataclass(frozen=True)
class Ceilings:
    """Measured speed of arithmetic in GFLOP/s and of a copy in GB/s, read and written bytes counted.

    Arithmetic is a matrix product or a convolution, whichever is faster: they come from different libraries, of which
    one may make more of a processor than the other.
    """

    gflops: float
    gbs: float

    def floor(self, flops: float, copied_bytes: float) -> float:
        """Return the least seconds for this many operations and moved bytes: whichever of the two takes longer."""
        return max(flops / self.gflops, copied_bytes / self.gbs) / 1e9


def seconds(call: Callable[[], object], device: torch.device) -> float:
    """Return the wall-clock time of a call, with all that it has started on the device."""
    wait = partial(torch.cuda.synchronize, device) if device.type == "cuda" else lambda: None
    wait()
    start = time.perf_counter()
    call()
    wait()
    return time.perf_counter() - start


def matmul_gflops(device: torch.device, dtype: torch.dtype = torch.float32, rounds: int = 7) -> float:
    """Return the median speed in GFLOP/s (1e9 multiplications and additions a second) of a large matrix product."""
    side = SIDE[device.type]
    left, right = torch.rand(2, side, side, device=device).to(dtype)
    out = torch.empty_like(left)
    return 2 * side**3 / 1e9 / _median(lambda: torch.mm(left, right, out=out), device, rounds)


def convolution_gflops(device: torch.device, dtype: torch.dtype = torch.float32, rounds: int = 7) -> float:
    """Return the median speed in GFLOP/s of a 3x3 convolution, 256 to 256 channels, channels-last."""
    images, size, channels = IMAGES[device.type], 32, 256
    batch = torch.rand(images, channels, size, size, device=device, dtype=dtype).to(memory_format=torch.channels_last)
    weight = torch.rand(channels, channels, 3, 3, device=device, dtype=dtype).to(memory_format=torch.channels_last)
    flops = 2 * images * (size - 2) ** 2 * channels**2 * 9
    with torch.inference_mode():
        return flops / 1e9 / _median(lambda: functional.conv2d(batch, weight), device, rounds)


def copy_gbs(device: torch.device, rounds: int = 7) -> float:
    """Return the median speed in GB/s (1e9 bytes a second) of a large copy, read and written bytes counted."""
    source = torch.ones(COPIED[device.type], dtype=torch.uint8, device=device)
    target = torch.empty_like(source)
    return 2 * source.nbytes / 1e9 / _median(lambda: target.copy_(source), device, rounds)


def measure(device: torch.device, dtype: torch.dtype = torch.float32, rounds: int = 7) -> Ceilings:
    """Return the ceilings of a device, at torch's current number of threads."""
    arithmetic = max(matmul_gflops(device, dtype, rounds), convolution_gflops(device, dtype, rounds))
    return Ceilings(arithmetic, copy_gbs(device, rounds))


def describe(device: torch.device) -> str:
    """Return the device as a line of figures names it: a GPU's name, or the number of threads."""
    return torch.cuda.get_device_name(device) if device.type == "cuda" else f"CPU, {torch.get_num_threads()} threads"


def _median(call: Callable[[], object], device: torch.device, rounds: int) -> float:
    seconds(call, device)
    return statistics.median(seconds(call, device) for _ in range(rounds))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--device", default="cpu", help="cpu, or a GPU as in cuda:0")
    parser.add_argument("--rounds", type=int, default=7)
    arguments = parser.parse_args()
    device = torch.device(arguments.device)
    print(f"{describe(device)}, medians of {arguments.rounds}")
    for dtype in (torch.float32, torch.float64, torch.bfloat16):
        name, speed = str(dtype).removeprefix("torch."), matmul_gflops(device, dtype, arguments.rounds)
        print(f"matrix product, {name:<9} {speed:>10.1f} GFLOP/s")
        if dtype != torch.float64:
            print(f"convolution, {name:<12} {convolution_gflops(device, dtype, arguments.rounds):>10.1f} GFLOP/s")
    print(f"{'copy':<25} {copy_gbs(device, arguments.rounds):>10.1f} GB/s")


if __name__ == "__main__":
    main()
