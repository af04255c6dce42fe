"""Copies of datasets by a translation that changes nothing: they are read as the originals are."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from refusals import refused
from small_views import write_shapenet

from readers import create_reader
from readers.prepare import prepare
from standin import write_standin
from translation.config import Target
from translation.data import Domain
from translation.stylised import write_stylised

CPU, RNG = torch.device("cpu"), np.random.default_rng(0)
# Of the EXIF tag that says how a camera was held: turned by a quarter.
ORIENTATION, QUARTER = 0x112, 6


def save_turned(image: Image.Image, path: Path) -> None:
    """Write an image as a camera does that was held upright: the pixels lie, and a tag says so."""
    exif = Image.Exif()
    exif[ORIENTATION] = QUARTER
    image.transpose(Image.Transpose.ROTATE_90).save(path, exif=exif)


def write_cut_outs(root: Path, kind: str) -> None:
    """Write cut-outs of 20x12 pixels whose halves have different colours."""
    for number in range(3):
        pixels = np.zeros((12, 20, 4), np.uint8)
        pixels[2:11, 3:10], pixels[2:11, 10:18] = (200, 60 * number + 1, 7, 255), (9, 120, 250, 255)
        image = Image.fromarray(pixels)
        if kind == "photos":
            for name, part in (("photos", image.convert("RGB")), ("masks", image.getchannel("A"))):
                (root / name / "kerb").mkdir(parents=True, exist_ok=True)
                part.save(root / name / "kerb" / f"{number}.png")
        else:
            root.mkdir(exist_ok=True)
            file = root / f"{number}.png"
            save_turned(image, file) if kind == "turned" else image.quantize(8).save(file) if kind == "palette" else (
                image.save(file))


def write(kind: str, root: Path) -> tuple[str, Path, tuple[int, int]]:
    """Write a small dataset; return its reader, its root, and the size of its images."""
    if kind == "shapenet":
        write_shapenet(root, [f"m{i}" for i in range(10)])
        (root / "splits").mkdir()
        for split, models in (("train", "0123456"), ("val", "7"), ("test", "89")):
            (root / "splits" / f"02958343_{split}.txt").write_text("".join(f"m{i}\n" for i in models))
        return "shapenet_views", root, (16, 16)
    if kind == "streets":
        write_standin("camvid", root, sceneries=5)
        for file in (root / "CamVid").glob("*/*.png"):
            if not file.parent.name.endswith("annot"):
                save_turned(Image.open(file), file)
                size = Image.open(file).size[::-1]
        return "camvid", root / "CamVid", size
    write_cut_outs(root, kind)
    return "cut_outs", root, (20, 20)


@pytest.mark.parametrize("kind", ["alpha", "photos", "palette", "turned", "streets", "shapenet"])
def test_a_copy_of_what_stays_as_it_is_reads_as_the_original_does(tmp_path, kind):
    name, root, size = write(kind, tmp_path / "data")
    section = Target(name=name, root=str(root), split="all", image_size=size)
    domain = Domain(section, "street11", str(tmp_path / "cache"), CPU)
    write_stylised(domain, lambda images, *_: images, tmp_path / "copy", {})
    readers = [create_reader(name, place, [], "all") for place in (root, tmp_path / "copy")]
    before, after = (prepare(reader, section.image_size, tmp_path / "cache") for reader in readers)
    assert (after.names, after.splits) == (before.names, before.splits)
    assert readers[1].split_of == readers[0].split_of
    assert np.array_equal(after.images[:, 3], before.images[:, 3])
    # A translation sees no pure black inside of an outline.
    assert np.abs(after.images.astype(int) - before.images).max() <= 1
    if name == "shapenet_views":
        assert {split: after.splits.count(split) for split in after.splits} == {"train": 7, "val": 1, "test": 2}
        for one, other in zip(before.sources, after.sources, strict=True):
            assert np.array_equal(readers[1].camera(other).quaternion, readers[0].camera(one).quaternion)
        for model in before.names:
            assert np.array_equal(readers[1].cloud(model), readers[0].cloud(model))


def test_what_is_left_out_must_not_move_others_into_other_splits(tmp_path):
    for kind, file in (("alpha", "0.png"), ("shapenet", "renders/02958343/m7/render_0.png")):
        name, root, size = write(kind, tmp_path / kind)
        (root / file).write_bytes(b"x")
        section = Target(name=name, root=str(root), split="all", image_size=size, skip_bad=True)
        domain = Domain(section, "street11", str(tmp_path / "cache"), CPU)
        arguments = domain, lambda images, *_: images, tmp_path / f"{kind}_copy", {}
        if kind == "alpha":
            assert f"{root / file}: cannot be read and is left out" in refused(write_stylised, *arguments)
            assert not list(tmp_path.glob("*_copy*"))
        else:
            # Its lists of splits are copied.
            assert write_stylised(*arguments) == 49
