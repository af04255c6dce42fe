"""Files and names of the stand-ins that show vehicle interiors: the SVIRO family and TICaM."""

import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image

from readers.parallel import in_processes
from standin.cabin import Stage, draw_scenery, expose

# What the readers keep of an image: SVIRO's centre square, TICaM's crop of the cabin.
SVIRO_STAGE = Stage(width=960, height=640, left=160, top=0, side=640)
TICAM_STAGE = Stage(width=512, height=512, left=106, top=120, side=300)
# SVIRO-NoCar's sceneries: 2938 to train, 2981 to test.
NOCAR_TRAIN, NOCAR_ALL = 2938, 5919
# Infrared cameras leave most of their 16 bits unused.
_TICAM_BRIGHTEST = 4000
# How often the raw labels 0 to 6 are drawn: SVIRO, and where there are variants.
_SHARES = ((0.22, 0.18, 0.18, 0.22, 0.12, 0.04, 0.04), (0.25, 0.25, 0.25, 0.25, 0, 0, 0))
# TICaM's codes for what is on a seat, with the raw label that is drawn; convertible seats face both ways.
_CONVERTIBLE_SEATS = ("s01", "s11", "s02", "s12")
_CODES = {code: raw for raw, codes in enumerate((
    ("0",), ("s05", "s15", "s06", "s16", *_CONVERTIBLE_SEATS), ("s03", "s13", "s04", "s14"),
    ("p01", "p04", "p11", "p17"), ("o01", "o02", "o05"))) for code in codes}
_VARIATIONS = ("g00", "g01", "g10", "g11")
# So many sceneries are drawn sooner than processes start.
_FEW = 64
# zlib's run-length strategy: smaller than its lowest level on noisy images, and a third faster.
_RUN_LENGTH = 3


def sviro_family(folder: Path, sceneries: int, gap: float, seed: int, variants: int = 0,
                 factors: list[str] | None = None) -> Iterator[int]:
    """Draw SVIRO: per car and split an image per scenery. With `variants` SVIRO-Illumination: a folder per scenery.

    Without cars it is SVIRO-NoCar. Yields, as all kinds do, how many images were drawn since it last did.
    """
    jobs = []
    for car in factors or [None]:
        train = sceneries // 2 if car else max(1, round(sceneries * NOCAR_TRAIN / NOCAR_ALL))
        for i in range(sceneries):
            rng = _rng(seed, f"{folder.name}/{car}", i)
            split = folder / (car or "standin") / ("train" if i < train else "test")
            raw = rng.choice(7, 3, p=_SHARES[variants > 0]).tolist()
            name = f"{car or 'nocar'}_{split.name}_imageID_{i}_GT_{raw[0]}_{raw[1]}_{raw[2]}"
            paths = [split / name / f"{variant}.png" for variant in range(variants)]
            jobs.append((paths or [split / "grayscale_wholeImage" / f"{name}.png"], SVIRO_STAGE, raw, car, gap, rng))
    yield from in_processes(_draw, jobs, _FEW)


def ticam(folder: Path, sceneries: int, gap: float, seed: int) -> Iterator[int]:
    """Draw TICaM: an image per scenery, in sequences per split; what sits there stands in the name."""
    jobs = []
    for i in range(sceneries):
        rng = _rng(seed, "ticam", i)
        sequence = folder / ("train" if i < sceneries // 2 else "test") / f"cs{1 + i % 6:02}"
        variation, left, right = rng.choice(_VARIATIONS), *rng.choice(list(_CODES), 2)
        raw = [2 if code in _CONVERTIBLE_SEATS and variation == "g00" else _CODES[code] for code in (left, right)]
        name = f"{sequence.name}_standin_{i:05}_{right}_a_b_c_d_e_{left}_f_g_{variation}_h_i"
        jobs.append(([sequence / f"{name}.png"], TICAM_STAGE, (raw[0], 0, raw[1]), sequence.name, gap, rng))
    yield from in_processes(_draw, jobs, _FEW)


def _rng(seed: int, part: str, scenery: int) -> np.random.Generator:
    return np.random.default_rng([seed, zlib.crc32(part.encode()), scenery])


def _draw(paths: list[Path], stage: Stage, raw: tuple[int, int, int], car: str | None, gap: float,
          rng: np.random.Generator) -> int:
    """Draw a scenery once and light it for every path; returns how many."""
    scenery = draw_scenery(stage, raw, car, rng)
    paths[0].parent.mkdir(parents=True, exist_ok=True)
    brightest, kind = (_TICAM_BRIGHTEST, np.uint16) if stage == TICAM_STAGE else (255, np.uint8)
    for path, generator in zip(paths, rng.spawn(len(paths)), strict=True):
        image = Image.fromarray((expose(scenery, gap, generator) * brightest).round().astype(kind))
        image.save(path, compress_level=1, compress_type=_RUN_LENGTH)
    return len(paths)
