"""SVIRO-Illumination, SVIRO-NoCar and own folders, in small copies of their layouts."""

import numpy as np
import pytest
import torch
from PIL import Image
from refusals import refused

from autoencoder.config import AutoencoderConfig
from dataset import Scenes, open_evaluation_datasets
from errors import UserError
from readers import create_reader


def draw(path, value=128, size=(60, 40)):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("L", size, value).save(path)


def sceneries(folder, labels, variants=3):
    for i, label in enumerate(labels):
        for variant in range(variants):
            draw(folder / f"scenery_{i}_GT_{label}" / f"{variant}.png", 10 * i + variant)


def listed(name, root, factor=(), split=None):
    return create_reader(name, root, list(factor), split).listing()


@pytest.fixture
def illumination(tmp_path):
    for car, labels in (("kodiaq", ["0_0_3", "4_0_1", "5_0_0"]), ("kona", ["1_2_3"])):
        sceneries(tmp_path / "SVIRO-Illumination" / car / "train", labels)
        sceneries(tmp_path / "SVIRO-Illumination" / car / "test", ["3_3_3"], variants=2)
    return tmp_path


def test_illumination_takes_both_splits_and_all_variants(illumination):
    listing = listed("sviro_illumination", illumination, ["kodiaq"])
    assert listing.labels == [(0, 0, 3), (0, 0, 1), (3, 3, 3)]
    assert [len(variants) for variants in listing.sources] == [3, 3, 2]
    dropped = illumination / "SVIRO-Illumination" / "kodiaq" / "train" / "scenery_2_GT_5_0_0"
    assert listing.dropped == {"an empty infant or child seat (raw label 5 or 6)": [str(dropped)]}
    assert len(listed("sviro_illumination", illumination).labels) == 5
    assert listed("sviro_illumination", illumination, ["kona"], "test").labels == [(3, 3, 3)]
    assert "did you mean 'kodiaq'" in refused(listed, "sviro_illumination", illumination, ["kodiak"])


@pytest.mark.parametrize("outer", ["SVIRO-NoCar/any_name", "SVIRO-NoCar", "any_name", ".", "SEATS_AND_PEOPLE_NOCAR",
                                   "SEATS_AND_PEOPLE_NOCAR/any_name"])
@pytest.mark.parametrize("splits", [("train", "test"), ("pp_train_128", "pp_test_128")])
def test_nocar_is_found_whatever_its_sub_folder_is_called(tmp_path, outer, splits):
    for split, labels in zip(splits, (["0_0_3", "1_0_2"], ["2_2_2"]), strict=True):
        sceneries(tmp_path / outer / split, labels, variants=10)
    listing = listed("sviro_nocar", tmp_path)
    assert listing.labels == [(0, 0, 3), (1, 0, 2), (2, 2, 2)]
    assert [len(variants) for variants in listing.sources] == [10, 10, 10]
    assert listed("sviro_nocar", tmp_path, split="test").labels == [(2, 2, 2)]


def test_nocar_images_that_are_prepared_already_stay_as_they_are_and_the_download_is_preferred(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (128, 128), dtype=np.uint8)
    path = tmp_path / "SEATS_AND_PEOPLE_NOCAR" / "x" / "pp_train_128" / "a_GT_0_0_3" / "0.png"
    path.parent.mkdir(parents=True)
    Image.fromarray(pixels).save(path)
    reader = create_reader("sviro_nocar", tmp_path, [], "train")
    [[source]] = reader.listing().sources
    assert np.array_equal(reader.prepare(source, 128)[0], pixels)
    with pytest.raises(UserError, match="found 64; allowed: 128"):
        reader.prepare(source, 64)
    for split in ("train", "test"):
        sceneries(path.parents[2] / split, ["0_0_3"], variants=1)
    assert all("/pp_" not in source for sources in listed("sviro_nocar", tmp_path).sources for source in sources)
    for name in ("a", "b"):
        (tmp_path / "other" / name).mkdir(parents=True)
    assert "one folder that holds train and test" in refused(listed, "sviro_nocar", tmp_path / "other")
    assert "does not exist" in refused(listed, "sviro_nocar", tmp_path / "absent")


def test_class_folders_become_classes_in_alphabetical_order(tmp_path):
    for name in ("saw", "hammer", "Zange ü"):
        draw(tmp_path / name / "one.JPG")
    draw(tmp_path / "saw" / "two.png")
    reader = create_reader("folder", tmp_path, [], None)
    listing = reader.listing()
    assert reader.classes == ("Zange ü", "hammer", "saw")
    assert listing.labels == [(0,), (1,), (2,), (2,)]
    assert not reader.mirrors


def test_own_images_in_colour_keep_their_colours_and_grey_ones_among_them_are_grey(tmp_path):
    (tmp_path / "saw").mkdir()
    for name, mode, colour in (("a.png", "RGB", (200, 20, 0)), ("b.png", "L", 90), ("c.png", "RGBA", (9, 8, 7, 255))):
        Image.new(mode, (40, 20), colour).save(tmp_path / "saw" / name)
    reader = create_reader("colour_folder", tmp_path, [], None)
    prepared = [reader.prepare(source, 16) for [source] in reader.listing().sources]
    assert [each.shape for each in prepared] == [(3, 16, 16)] * 3
    assert [each[:, 5, 5].tolist() for each in prepared] == [[200, 20, 0], [90, 90, 90], [9, 8, 7]]
    assert reader.title == f"colour_folder {tmp_path.name}"


def test_scenery_folders_become_seats_with_variants_and_mirrors(tmp_path):
    sceneries(tmp_path / "train", ["0_1", "2_0"])
    sceneries(tmp_path / "test", ["1_1"], variants=1)
    assert "say which to use; allowed: train, test, all" in refused(listed, "folder", tmp_path)
    reader = create_reader("folder", tmp_path, [], "all")
    listing = reader.listing()
    assert listing.labels == [(0, 1), (2, 0), (1, 1)]
    assert [len(variants) for variants in listing.sources] == [3, 3, 1]
    assert (reader.mirrors, reader.empty, reader.classes) == (True, 0, ("0", "1", "2"))
    assert listed("folder", tmp_path, split="test").labels == [(1, 1)]


def test_own_folders_that_make_no_sense_are_named(tmp_path):
    assert "found nothing; expected one folder per class" in refused(listed, "folder", tmp_path)
    draw(tmp_path / "real" / "hammer" / "0.png")
    assert "no images in its folders real; expected <root>/<class>/<image>" in refused(listed, "folder", tmp_path)
    sceneries(tmp_path, ["0_1"])
    (tmp_path / "hammer").mkdir()
    assert f"{tmp_path / 'hammer'}: no label in the name" in refused(listed, "folder", tmp_path)
    assert "test" in refused(listed, "folder", tmp_path, split="test")
    assert "no parts to choose from" in refused(listed, "folder", tmp_path, factor=["hammer"])


def config(tmp_path, target):
    return AutoencoderConfig.model_validate({
        "dataset": {"name": "folder", "root": str(tmp_path / "synthetic"), "cache": str(tmp_path / "cache"),
                    "image_size": 16},
        "model": {"type": "conv", "variation": "ae"},
        "training": {"epochs": 1},
        "evaluation": {"datasets": [{"name": "folder", "root": str(tmp_path / target)}]},
    })


def test_classes_are_matched_by_name_between_synthetic_and_real_folders(tmp_path, capsys):
    for name in ("hammer", "pliers", "saw"):
        draw(tmp_path / "synthetic" / name / "0.png")
    for name in ("hammer", "saw"):
        draw(tmp_path / "real" / name / "0.png")
    draw(tmp_path / "other" / "spoon" / "0.png")
    section = config(tmp_path, "real")
    train = Scenes(section.dataset, 16, section.dataset.cache, torch.device("cpu"))
    [real] = open_evaluation_datasets(section, train)
    assert [real.label_text(i) for i in range(2)] == ["hammer", "saw"]
    assert real.labels.tolist() == [[0], [2]]
    assert capsys.readouterr().err == ""
    [same] = open_evaluation_datasets(config(tmp_path, "synthetic"), train)
    assert f"3 of 3 test images of {same.title}, all, are trained on" in capsys.readouterr().err
    with pytest.raises(UserError, match=r"other classes \(spoon\) than .* \(hammer, pliers, saw\)"):
        open_evaluation_datasets(config(tmp_path, "other"), train)
