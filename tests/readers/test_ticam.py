import numpy as np
import pytest
import skimage.exposure
import torch
from PIL import Image

from dataset import Scenes
from errors import UserError
from experiment.schema import TargetDataset
from latent.evaluate import LatentEvaluation
from readers import create_reader


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


@pytest.mark.parametrize("deep", [False, True])
def test_preparation_is_equalisation_of_the_whole_image_then_crop_then_resize(tmp_path, deep):
    pixels = write(tmp_path / "image.png", deep)
    equal = (skimage.exposure.equalize_hist(pixels.astype(np.uint16 if deep else np.uint8)) * 255).round()
    crop = Image.fromarray(equal.astype(np.uint8)).crop((106, 120, 406, 420))
    expected = np.asarray(crop.resize((128, 128), Image.Resampling.BILINEAR))
    reader = create_reader("ticam", tmp_path, [], None)
    assert np.array_equal(reader.prepare(str(tmp_path / "image.png"), 128)[0], expected)


def test_an_image_too_small_for_the_crop_is_named(tmp_path):
    write(tmp_path / "small.png", size=(300, 300))
    with pytest.raises(UserError, match=r"small.png: image of 300x300 pixels"):
        create_reader("ticam", tmp_path, [], None).prepare(str(tmp_path / "small.png"), 128)


def test_mirror_images_count_as_test_samples(tmp_path):
    for i, (right, left) in enumerate([("p01", "0"), ("0", "s03"), ("0", "0")]):
        write(tmp_path / "TICaM" / "train" / f"cs0{i}" / name(right, left), seed=i)
    scenes = Scenes(TargetDataset(name="ticam", root=str(tmp_path), split="train"), 16, str(tmp_path / "c"),
                    torch.device("cpu"))
    evaluation = LatentEvaluation((scenes, scenes.gather), [(scenes, scenes.gather)], neighbours=1, seed=0)

    class Pixels(torch.nn.Module):
        def encode(self, images):
            return images.flatten(1)

    [found] = evaluation.outcomes(Pixels(), ["knn"])
    assert (found.row["n"], found.row["value"]) == (6, 1.0)
