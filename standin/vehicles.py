"""Files and names of the stand-ins that show vehicle interiors: the SVIRO family and TICaM."""

import zlib
from functools import partial
from pathlib import Path

import numpy as np

from standin.cabin import Stage, background, draw_scenery, expose
from standin.store import Job, save

# What the readers keep of an image: SVIRO's centre square, TICaM's crop of the cabin.
SVIRO_STAGE = Stage(width=960, height=640, left=160, top=0, side=640)
TICAM_STAGE = Stage(width=512, height=512, left=106, top=120, side=300)
# SVIRO-NoCar's sceneries: 2938 to train, 2981 to test.
NOCAR_TRAIN, NOCAR_ALL = 2938, 5919
# Infrared cameras leave most of their 16 bits unused.
TICAM_BRIGHTEST = {8: 255, 16: 4000}
# How often the raw labels 0 to 6 are drawn.
_SVIRO_SHARES = (0.22, 0.18, 0.18, 0.22, 0.12, 0.04, 0.04)
_SHARES = (0.25, 0.25, 0.25, 0.25, 0, 0, 0)
_TICAM_SEQUENCES = 6
_NO_SEATS = ("0", "o01", "o02", "o05")
_PEOPLE = ("p01", "p04", "p11", "p17")
_INFANT_SEATS, _CHILD_SEATS = ("s05", "s15", "s06", "s16"), ("s03", "s13", "s04", "s14")
_CONVERTIBLE_SEATS = ("s01", "s11", "s02", "s12")
_VARIATIONS = ("g00", "g01", "g10", "g11")


def sviro(folder: Path, sceneries: int, factors: list[str], gap: float, seed: int) -> list[Job]:
    """Lay out SVIRO: an image per scenery, per car and split."""
    jobs = []
    for car in factors:
        for i, split in enumerate(_splits(folder / car, sceneries, sceneries // 2, "grayscale_wholeImage")):
            rng = _rng(seed, f"sviro/{car}", i)
            name = _name(car, split.parent.name, i, raw := _labels(rng, _SVIRO_SHARES))
            jobs.append(partial(_draw_one, split / f"{name}.png", SVIRO_STAGE, raw, car, gap, rng, 255))
    return jobs


def sviro_illumination(folder: Path, sceneries: int, variants: int, factors: list[str], gap: float,
                       seed: int) -> list[Job]:
    """Lay out SVIRO-Illumination: a folder per scenery with an image per illumination."""
    jobs = []
    for car in factors:
        for i, split in enumerate(_splits(folder / car, sceneries, sceneries // 2)):
            rng = _rng(seed, f"sviro_illumination/{car}", i)
            name = _name(car, split.name, i, raw := _labels(rng, _SHARES))
            jobs.append(partial(_draw_variants, split / name, raw, car, variants, gap, rng))
    return jobs


def sviro_nocar(folder: Path, sceneries: int, variants: int, gap: float, seed: int) -> list[Job]:
    """Lay out SVIRO-NoCar: a folder per scenery with an image per background."""
    jobs = []
    train = min(max(1, round(sceneries * NOCAR_TRAIN / NOCAR_ALL)), sceneries - 1)
    for i, split in enumerate(_splits(folder / "standin", sceneries, train)):
        rng = _rng(seed, "sviro_nocar", i)
        name = _name("nocar", split.name, i, raw := _labels(rng, _SHARES))
        jobs.append(partial(_draw_variants, split / name, raw, None, variants, gap, rng))
    return jobs


def ticam(folder: Path, sceneries: int, gap: float, seed: int, depth: int) -> list[Job]:
    """Lay out TICaM: an image per scenery, in sequences per split; what sits there stands in the name."""
    jobs = []
    for i, split in enumerate(_splits(folder, sceneries, sceneries // 2)):
        rng = _rng(seed, "ticam", i)
        sequence = split / f"cs{1 + i % _TICAM_SEQUENCES:02}"
        sequence.mkdir(exist_ok=True)
        left, right, variation = _ticam_codes(rng)
        raw = (_ticam_raw(left, variation), 0, _ticam_raw(right, variation))
        name = f"{sequence.name}_standin_{i:05}_{right}_a_b_c_d_e_{left}_f_g_{variation}_h_i"
        jobs.append(partial(_draw_one, sequence / f"{name}.png", TICAM_STAGE, raw, sequence.name, gap, rng,
                            TICAM_BRIGHTEST[depth]))
    return jobs


def _splits(folder: Path, sceneries: int, train: int, below: str = "") -> list[Path]:
    """Make the folders of both splits; returns the folder of each scenery, the first `train` in train/."""
    paths = [folder / split / below for split in ("train", "test")]
    for path in paths:
        path.mkdir(parents=True)
    return [paths[0]] * train + [paths[1]] * (sceneries - train)


def _rng(seed: int, part: str, scenery: int) -> np.random.Generator:
    return np.random.default_rng([seed, zlib.crc32(part.encode()), scenery])


def _labels(rng: np.random.Generator, shares: tuple[float, ...]) -> tuple[int, int, int]:
    left, middle, right = rng.choice(len(shares), 3, p=shares).tolist()
    return left, middle, right


def _name(start: str, split: str, scenery: int, raw: tuple[int, int, int]) -> str:
    return f"{start}_{split}_imageID_{scenery}_GT_{raw[0]}_{raw[1]}_{raw[2]}"


def _ticam_codes(rng: np.random.Generator) -> tuple[str, str, str]:
    """Draw the codes of the left and the right seat and the variation that both share."""
    variation = str(rng.choice(_VARIATIONS))
    kinds = (_NO_SEATS, _INFANT_SEATS, _CHILD_SEATS, _PEOPLE, _CONVERTIBLE_SEATS)
    left, right = (str(rng.choice(kinds[rng.choice(5, p=(0.25, 0.17, 0.17, 0.25, 0.16))])) for _ in range(2))
    return left, right, variation


def _ticam_raw(code: str, variation: str) -> int:
    """Return what is drawn for a code, as SVIRO's raw label."""
    if code in _NO_SEATS:
        return 4 if code != "0" else 0
    if code in _PEOPLE:
        return 3
    if code in _CONVERTIBLE_SEATS:
        return 2 if variation == "g00" else 1
    return 1 if code in _INFANT_SEATS else 2


def _draw_one(path: Path, stage: Stage, raw: tuple[int, int, int], car: str, gap: float, rng: np.random.Generator,
              brightest: int) -> int:
    layers = draw_scenery(stage, raw, car, rng)
    save(expose(layers, background(stage, rng), gap, rng), path, brightest)
    return 1


def _draw_variants(folder: Path, raw: tuple[int, int, int], car: str | None, variants: int, gap: float,
                   rng: np.random.Generator) -> int:
    """Draw a scenery once and light it `variants` times; in a car the background stays, else it changes too."""
    layers, outside = draw_scenery(SVIRO_STAGE, raw, car, rng), background(SVIRO_STAGE, rng)
    folder.mkdir()
    for variant, generator in enumerate(rng.spawn(variants)):
        outside = outside if car else background(SVIRO_STAGE, generator)
        save(expose(layers, outside, gap, generator), folder / f"{variant}.png")
    return variants
