from pathlib import Path

import numpy as np
import pytest
import skimage.exposure
import torch
from PIL import Image

from autoencoder.judge import LatentEvaluation
from dataset import Scenes
from errors import UserError
from experiment.config import EvaluationDataset
from readers import create_reader
from readers.ticam import Ticam


def name(right, left, variation="g00"):
    """Build a file name of 15 parts with the seats where TICaM has them."""
    parts = ["x"] * 15
    parts[3], parts[9], parts[12] = right, left, variation
    return "_".join(parts) + ".png"


def write(path, deep=False, size=(512, 512), seed=0):
    path.parent.mkdir(parents=True, exist_ok=True)
    top = 3000 if deep else 256
    pixels = np.random.default_rng(seed).integers(0, top, size) ** 2 // top
    Image.fromarray(pixels.astype(np.uint16 if deep else np.uint8)).save(path)
    return pixels


# Written out from the paper's supplement, section S1 E.
SEATS = [("0", "g00", 0), ("o01", "g00", 0), ("p03", "g11", 3), ("s05", "g00", 1), ("s15", "g01", 1), ("s06", "g00", 1),
         ("s16", "g10", 1), ("s03", "g11", 2), ("s13", "g00", 2), ("s04", "g01", 2), ("s14", "g00", 2),
         ("s01", "g00", 2), ("s11", "g01", 1), ("s02", "g10", 1), ("s12", "g11", 1), ("s12", "g00", 2)]


@pytest.mark.parametrize(("code", "variation", "label"), SEATS)
def test_labels_follow_the_rules_of_the_file_name(tmp_path, code, variation, label):
    write(tmp_path / "TICaM" / "train" / "cs01" / name(code, "0", variation))
    write(tmp_path / "TICaM" / "test" / "cs02" / name("p01", code, variation))
    assert create_reader("ticam", tmp_path, [], None).listing().labels == [(0, 0, label), (label, 0, 3)]


@pytest.mark.parametrize(("file", "piece"), [(name("s99", "0"), "seat 's99'"), (name("s01", "0", "g07"), "'g07'"),
                                             ("a_b_c.png", "3 parts")])
def test_names_that_carry_no_label_are_refused(tmp_path, file, piece):
    write(tmp_path / "TICaM" / "train" / "cs01" / file)
    with pytest.raises(UserError, match=piece):
        create_reader("ticam", tmp_path, [], "train").listing()


@pytest.mark.parametrize("size", [(512, 512), (500, 517)])
@pytest.mark.parametrize("deep", [False, True])
def test_preparation_is_equalisation_then_crop_then_a_resize_without_antialiasing_truncated(tmp_path, deep, size):
    pixels = write(tmp_path / "image.png", deep, size)
    equal = torch.from_numpy(skimage.exposure.equalize_hist(pixels.astype(np.uint16 if deep else np.uint8)))
    crop = equal[None, None, 120:420, 106:406]
    resized = torch.nn.functional.interpolate(crop, size=(128, 128), mode="bilinear", align_corners=False)
    expected = resized.mul(255).to(torch.uint8)[0].numpy()
    prepared = create_reader("ticam", tmp_path, [], None).prepare(str(tmp_path / "image.png"), 128)
    assert np.array_equal(prepared, expected)
    assert prepared.dtype == np.uint8
    # What an antialiased resize of a rounded image would be is far from it, so the test can tell them apart.
    rounded = Image.fromarray(crop[0, 0].mul(255).round().to(torch.uint8).numpy())
    smooth = np.asarray(rounded.resize((128, 128), Image.Resampling.BILINEAR))
    assert abs(smooth - prepared[0].astype(int)).mean() > 3


@pytest.mark.parametrize("folder", ["cs01", "."])
def test_images_that_the_published_code_has_prepared_stay_as_they_are(tmp_path, folder):
    pixels = {}
    for split, (right, left) in {"train": ("p01", "0"), "test": ("0", "s05")}.items():
        path = tmp_path / "TICaM" / f"pp_{split}_128" / folder / name(right, left)
        pixels[split] = write(path, size=(128, 128), seed=len(pixels))
    reader = create_reader("ticam", tmp_path, [], None)
    listing = reader.listing()
    assert (listing.labels, listing.splits) == ([(0, 0, 3), (1, 0, 0)], ["train", "test"])
    for split, [source] in zip(listing.splits, listing.sources, strict=True):
        assert np.array_equal(reader.prepare(source, 128)[0], pixels[split])
    with pytest.raises(UserError, match=r"dataset.image_size: found 64; allowed: 128, .*prepared already"):
        reader.prepare(source, 64)
    write(Path(source), size=(512, 512))
    with pytest.raises(UserError, match=r"512x512 pixels among images that are prepared already; expected 128x128"):
        reader.prepare(source, 128)


def test_the_download_is_preferred_to_what_was_prepared_from_it_and_has_room_for_the_crop(tmp_path):
    for split in ("train", "pp_train_128"):
        write(tmp_path / "TICaM" / split / "cs01" / name("p01", "0"), size=(300, 300))
    reader = create_reader("ticam", tmp_path, [], "train")
    [[source]] = reader.listing().sources
    assert "pp_" not in source
    with pytest.raises(UserError, match=r"g00_x_x.png: image of 300x300 pixels"):
        reader.prepare(source, 128)
    # What was prepared before is made anew under the new rule.
    assert Ticam.version == 2


def test_mirror_images_count_as_test_samples(tmp_path):
    for i, (right, left) in enumerate([("p01", "0"), ("0", "s03"), ("0", "0")]):
        write(tmp_path / "TICaM" / "train" / f"cs0{i}" / name(right, left), seed=i)
    scenes = Scenes(EvaluationDataset(name="ticam", root=str(tmp_path), split="train"), 16, str(tmp_path / "c"),
                    torch.device("cpu"))
    evaluation = LatentEvaluation((scenes, scenes.gather), [(scenes, scenes.gather)], neighbours=1, seed=0)

    class Pixels(torch.nn.Module):
        def encode(self, images):
            return images.flatten(1)

    [found] = evaluation.outcomes(Pixels(), ["knn"])
    assert (found.rows[0]["n"], found.rows[0]["value"]) == (6, 1.0)
