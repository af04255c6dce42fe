"""Stand-ins of street scenes with label maps: CARLA's rendered ones, CamVid's and Cityscapes's photographed ones."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from readers.class_maps import load_class_map
from readers.glyphs import blurred, ramp, texture

CAMVID_SPLITS = {"train": 0.6, "val": 0.2, "test": 0.2}


def carla(folder: Path, sceneries: int, factors: list[str], gap: float, seed: int) -> Iterator[int]:
    """Draw CARLA as versions up to 0.9.9 code it: the tag in red, and none for the sky."""
    for number, town in enumerate(factors):
        for i in range(sceneries):
            image, labels = draw_street((160, 80), "carla13", [seed, number, i], gap)
            tags = np.zeros((*labels.shape, 3), np.uint8)
            tags[..., 0] = np.where(labels == 13, 0, labels)
            _save(folder / town / "rgb" / f"standin_{i:05}.png", image)
            _save(folder / town / "seg" / f"standin_{i:05}.png", tags)
            yield 1


def camvid(folder: Path, sceneries: int, gap: float, seed: int) -> Iterator[int]:
    """Draw CamVid as SegNet's authors lay it out."""
    starts = [0, *np.cumsum([round(share * sceneries) for share in CAMVID_SPLITS.values()])[:-1].tolist(), sceneries]
    for split, start, end in zip(CAMVID_SPLITS, starts, starts[1:], strict=False):
        for i in range(start, end):
            image, labels = draw_street((240, 180), "camvid", [seed, i], gap)
            _save(folder / split / f"standin_{i:05}.png", image)
            _save(folder / f"{split}annot" / f"standin_{i:05}.png", labels)
            yield 1


def cityscapes(folder: Path, sceneries: int, gap: float, seed: int) -> Iterator[int]:
    """Draw Cityscapes, train and val, with all ids in the label maps; so many images in all."""
    for i in range(sceneries):
        split, city = ("val", "frankfurt") if i % 3 == 2 else ("train", "aachen")
        image, labels = draw_street((256, 128), "cityscapes", [seed, i], gap)
        name = f"{city}_{i:06}_000019"
        _save(folder / "leftImg8bit" / split / city / f"{name}_leftImg8bit.png", image)
        _save(folder / "gtFine" / split / city / f"{name}_gtFine_labelIds.png", labels)
        yield 1


def _save(path: Path, pixels: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path, compress_level=1)


def draw_street(size: tuple[int, int], class_map: str, seed: list[int], gap: float) -> tuple[np.ndarray, np.ndarray]:
    """Return an image uint8 (H, W, 3) of a size (width, height) and raw ids uint8 (H, W) in the coding of a class map.

    gap: in [0, 1], from flat colours to uneven light, blur and noise.
    """
    rng, (width, height) = np.random.default_rng(seed), size
    mapped = load_class_map(class_map, "street11")
    # Of several raw ids of a class, the first.
    ids = {name: int(np.flatnonzero(mapped.to_class == number)[0]) if (mapped.to_class == number).any() else 0
           for number, name in enumerate(mapped.classes)}
    labels = Image.new("L", size, ids["sky"])
    shades = Image.new("RGB", size, (150, 180, 210))
    horizon, vanishing = round(height * rng.uniform(0.4, 0.5)), round(width * rng.uniform(0.4, 0.6))

    def put(name: str, colour: tuple[int, int, int], *corners: tuple[float, float]) -> None:
        tone = tuple(int(np.clip(value + rng.integers(-20, 21), 0, 255)) for value in colour)
        for picture, fill in ((labels, ids[name]), (shades, tone)):
            ImageDraw.Draw(picture).polygon([(round(x), round(y)) for x, y in corners], fill=fill)

    def block(name: str, colour: tuple[int, int, int], x: float, bottom: float, wide: float, tall: float) -> None:
        put(name, colour, (x, bottom), (x + wide, bottom), (x + wide, bottom - tall), (x, bottom - tall))

    block("vegetation", (70, 110, 60), 0, height, width, height - horizon)
    put("sidewalk", (170, 160, 160), (-0.1 * width, height), (vanishing, horizon), (1.1 * width, height))
    put("road", (95, 95, 100), (0.1 * width, height), (vanishing, horizon), (0.9 * width, height))
    for x in np.arange(0, width, width / 6):
        name, colour = (("building", (150, 110, 90)), ("vegetation", (60, 100, 50)), ("fence", (130, 120, 100)))[
            rng.integers(3)]
        block(name, colour, x, horizon + 2, width / 6, height * (0.1 if name == "fence" else rng.uniform(0.1, 0.35)))
    for name, colour, wide, tall in (("vehicle", (180, 40, 40), 0.14, 0.12), ("pole", (90, 90, 90), 0.012, 0.5),
                                     ("sign", (220, 190, 40), 0.04, 0.06), ("person", (200, 120, 100), 0.03, 0.14),
                                     ("bicyclist", (60, 120, 160), 0.04, 0.13)):
        bottom = horizon + (height - horizon) * (rng.uniform(0.2, 0.6) if name != "sign" else -0.3)
        if ids[name]:
            block(name, colour, rng.uniform(0.05, 0.85) * width, bottom, wide * width, tall * height)
    return _photographed(np.asarray(shades), rng, gap), np.asarray(labels)


def _photographed(image: np.ndarray, rng: np.random.Generator, gap: float) -> np.ndarray:
    """Return an image under uneven light, blurred, with noise and a cast of colour, as far as `gap` says."""
    height, width = image.shape[:2]
    light = 0.85 + 0.15 * texture(rng, width)[:height] + 0.15 * ramp(rng, width)[:height]
    channels = [blurred(image[..., channel] / 255, 0.8 * gap) for channel in range(3)]
    cast = rng.uniform(0.8, 1.2, 3)
    real = np.stack(channels, axis=-1) * light[..., None] * cast + rng.normal(0, 0.03, image.shape)
    return (255 * np.clip((1 - gap) * image / 255 + gap * real, 0, 1)).round().astype(np.uint8)
