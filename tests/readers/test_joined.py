"""Several roots as one dataset, against each of them alone, and what cannot be one."""

import json
import shutil
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from inverted import write_inverted
from PIL import Image
from refusals import refused
from small_views import write_cut_outs, write_views

from dataset import Batches, Scenes
from experiment.config import Dataset
from readers.opened import Opened, origins_of, warn_of_trained
from segmentation.config import Dataset as StreetDataset
from segmentation.config import Training
from segmentation.data import Crops, Frames
from shape_pose.config import Dataset as ViewDataset
from shape_pose.config import Model
from shape_pose.data import Shapes, ViewBatches, open_training
from standin import write_standin

CPU = torch.device("cpu")


@pytest.fixture
def opened(tmp_path):
    """Open a dataset of roots."""

    def opened(name, roots, kind=Opened, size=16, **more):
        section = SimpleNamespace(**{"name": name, "root": roots if isinstance(roots, list) else str(roots),
                                     "factor": [], "split": None, "skip_bad": False, "limit": None} | more)
        return kind(section, size, str(tmp_path / "cache"), CPU)

    return opened


@pytest.fixture
def original(standins, tmp_path):
    """Write a small dataset, or take a stand-in; returns its root."""

    def root(name):
        if name == "views":
            return write_views(tmp_path / "cars", models=4)
        if name == "cut_outs":
            return write_cut_outs(tmp_path / "cars", 6)
        if name == "camvid":
            write_standin("camvid", tmp_path / "data", sceneries=5)
            return tmp_path / "data"
        if name == "folder":
            for i in range(6):
                picture(tmp_path / "own" / f"class {i % 2}" / f"{i}.png", i)
            return tmp_path / "own"
        return tmp_path / "nowhere" if name == "glyphs" else standins

    return root


def picture(path, seed):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.random.default_rng(seed).integers(0, 256, (20, 20), dtype=np.uint8)).save(path)


def images_of(found):
    """Scenery by split and name -> its images with their maps, by source."""
    layers = found.rows.take(torch.arange(len(found.rows))).numpy()
    spans = zip(found.first.tolist(), found.count.tolist(), strict=True)
    return {scenery: [(found.sources[i], layers[i]) for i in range(first, first + count)]
            for scenery, (first, count) in zip(zip(found.splits, found.names, strict=True), spans, strict=True)}


@pytest.mark.parametrize("name", ["glyphs", "mnist", "digit_photos", "sviro", "sviro_illumination", "camvid", "views",
                                  "cut_outs", "folder"])
def test_images_in_another_root_are_further_variants_of_their_sceneries(opened, original, tmp_path, name):
    root = original(name)
    options = {"size": 16, "limit": 5} if name == "glyphs" else {"split": "all"} if name != "mnist" else {}
    copy = write_inverted(name, root, tmp_path / "copy", options.get("split"), options.get("limit"), 16)
    one, other = opened(name, root, **options), opened(name, copy, **options)
    made = sorted((tmp_path / "cache" / "images").iterdir())
    both = opened(name, [str(root), str(copy)], **options)
    # Nothing is prepared anew.
    assert sorted((tmp_path / "cache" / "images").iterdir()) == made
    assert len(both) == len(one) == len(other)
    assert len(both.rows) == len(both.sources) == len(one.rows) + len(other.rows)
    assert (both.names, both.splits, both.labels.tolist()) == (one.names, one.splits, one.labels.tolist())
    alone, copied = images_of(one), images_of(other)
    for scenery, found in images_of(both).items():
        for (source, layers), (wanted, expected) in zip(found, alone[scenery] + copied[scenery], strict=True):
            assert source == wanted
            assert np.array_equal(layers, expected)
        assert not np.array_equal(found[0][1][: both.channels], found[-1][1][: both.channels])
    for place, (part, each) in enumerate(zip(both.parts, (one, other), strict=True)):
        assert part.key == each.parts[0].key, place
        assert torch.equal(both.rows.take(part.images), each.rows.take(torch.arange(len(each.rows))))
    assert f"of 2 roots: {root}, {copy}" in both.remarks


def test_roots_may_have_sceneries_of_their_own_and_the_order_of_a_root_does_not_matter(opened, tmp_path):
    for root, sceneries in (("a", {"s": 2, "t": 1}), ("b", {"r": 1, "s": 3}), ("c", {"t": 2, "u": 1})):
        for number, (scenery, count) in enumerate(sceneries.items()):
            for variant in range(count):
                picture(tmp_path / root / f"{scenery}_GT_{'rstu'.index(scenery) % 2}" / f"{variant}.png",
                        100 * ord(root) + 10 * number + variant)
    found = opened("folder", [str(tmp_path / root) for root in "abc"])
    assert found.names == ["s_GT_1", "t_GT_0", "r_GT_0", "u_GT_1"]
    assert found.labels[:, 0].tolist() == [1, 0, 0, 1]
    assert found.count.tolist() == [5, 3, 1, 1]
    assert found.first.tolist() == [0, 5, 8, 9]
    assert ["/".join(source.split("/")[-3::2]) for source in found.sources] == [
        "a/0.png", "a/1.png", "b/0.png", "b/1.png", "b/2.png", "a/0.png", "c/0.png", "c/1.png", "b/0.png", "c/0.png"]
    assert found.name == "folder a + folder b + folder c"
    assert len(opened("folder", [str(tmp_path / root) for root in "ab"], limit=1)) == 2


def test_partially_impossible_targets_cross_looks_where_a_root_alone_has_one_variant(original, tmp_path, generator):
    root = original("folder")
    roots = [str(root), str(write_inverted("folder", root, tmp_path / "copy"))]
    alone, both = (Scenes(Dataset(name="folder", root=root), 16, str(tmp_path / "cache"), CPU)
                   for root in (roots[0], roots))
    assert "one variant per scenery" in refused(Batches, alone, alone.gather, 4, 1, impossible="scene")
    batches = Batches(both, both.gather, 4, 1, impossible="scene")
    assert len(batches) == 2
    [picks], [targets], _ = batches.choose(torch.arange(6), generator)
    for image, target in zip(picks[0].tolist(), targets[0].tolist(), strict=True):
        assert {both.sources[i].split("/")[-3] for i in (image, target)} == {"own", "copy"}
    inputs, wanted = (both.gather(pick[0], pick[0] < 0) for pick in (picks, targets))
    # Resized before and after they were inverted, so a step apart where they were rounded.
    torch.testing.assert_close(inputs, 1 - wanted, atol=1.01 / 255, rtol=0)
    every = Batches(both, both.gather, 4, 1, every_variant=True)
    assert (every.samples, every.identity["n"]) == (12, 12)


def test_test_images_of_a_root_that_is_trained_on_are_told_whatever_the_name(opened, original, tmp_path, capsys):
    root = original("folder")
    roots = [str(root), str(write_inverted("folder", root, tmp_path / "copy"))]
    Path(tmp_path / "link").symlink_to(root)
    train = opened("folder", roots, limit=4)
    section = SimpleNamespace(name="folder", roots=roots, factor=[], split=None, limit=4)
    assert origins_of(section) == train.origins == set(train.sources)
    tests = [opened("folder", roots[1]), opened("colour_folder", tmp_path / "link")]
    warn_of_trained(tests, train.origins)
    assert capsys.readouterr().err.splitlines() == [
        f"warning: 4 of 6 test images of {title}, all, are trained on"
        for title in ("folder copy", "colour_folder own")]
    # What is drawn, or lies in one file, has no paths.
    for name in ("glyphs", "handwritten", "mnist"):
        split = {each: opened(name, original(name), split=each, limit=2) for each in ("train", "test", "all")}
        others = [opened("letters", tmp_path, split="train", limit=2), split["test"]]
        warn_of_trained(others, split["train"].origins)
        assert capsys.readouterr().err == ""
        warn_of_trained([split["train"]], split["train"].origins)
        assert f"of {name}, train, are trained on" in capsys.readouterr().err
    # Data that have moved say nothing.
    section.roots = [str(tmp_path / "nowhere")]
    assert origins_of(section) == set()


def test_a_pass_over_label_maps_sees_the_images_of_all_roots(original, tmp_path):
    root = original("camvid")
    roots = [str(root), str(write_inverted("camvid", root, tmp_path / "copy", "train"))]
    one, other, both = (Frames(StreetDataset(name="camvid", root=root, image_size=(48, 32)), "street11",
                               str(tmp_path / "cache"), CPU) for root in (*roots, roots))
    assert len(both) == 2 * len(one)
    np.testing.assert_allclose(both.shares(), (one.shares() + other.shares()) / 2)
    crops = Crops(both, Training(epochs=1, batch_size=len(both), crop=(48, 32), jitter=0, mirror=False))
    [batch] = crops.epoch(1)
    wanted = torch.cat([each.take(torch.arange(len(each)))[1] for each in (one, other)])
    assert sorted(map(tuple, batch.labels.flatten(1).tolist())) == sorted(map(tuple, wanted.flatten(1).tolist()))


def test_a_model_in_several_roots_is_one_with_the_views_of_all(original, tmp_path):
    root = original("views")
    copy = write_inverted("views", root, tmp_path / "copy", "train")
    shutil.rmtree(root / "points")
    section, model = ViewDataset(name="views", root=[str(root), str(copy)], cache=str(tmp_path / "cache"),
                                 image_size=16), Model(type="point_cloud", focal_length=1.9334)
    shapes = open_training(section, model, CPU)
    alone = Shapes(section.model_copy(update={"root": str(root)}), 16, section.cache, CPU)
    assert shapes.name == "views cars + views copy"
    assert (len(shapes), shapes.count.tolist()) == (len(alone), [6] * len(alone))
    for number in range(len(shapes)):
        assert np.array_equal(shapes.cloud(number), np.load(copy / "points" / f"{shapes.names[number]}.npy"))
        assert alone.cloud(number) is None
        views = slice(6 * number, 6 * number + 3), slice(6 * number + 3, 6 * number + 6)
        assert np.array_equal(*(shapes.poses[view] for view in views))
        assert np.array_equal(*(shapes.take(torch.arange(len(shapes.rows)))[1][view] for view in views))
    training = SimpleNamespace(batch_size=1, seed=1, iterations=None, epochs=1, views_per_model=6, masks="published")
    for number, batch in enumerate(ViewBatches(shapes, training, 16).epoch(1), 1):
        assert len(batch.images.flatten(1).unique(dim=0)) == 6, number
    # Axes are aligned by the models of the first root, as a copy may be of one split.
    assert open_training(section.model_copy(update={"split": "all"}), model, CPU, "train").roots == [str(root)]
    (copy / "views" / "car_0" / "cameras.json").write_text(
        (root / "views" / "car_0" / "cameras.json").read_text().replace("29.0", "19.0"))
    names = {name: (root / "views" / name / "cameras.json") for name in shapes.names}
    for name, path in names.items():
        poses = [view | {"fov_y": 19.0} for view in json.loads(path.read_text())]
        (copy / "views" / name / "cameras.json").write_text(json.dumps(poses))
    assert f"{copy}" in refused(open_training, section, model, CPU)


def test_what_is_in_different_splits_of_two_roots_is_refused(opened, original, tmp_path):
    root = original("views")
    copy = write_inverted("views", root, tmp_path / "copy", "all")
    splits = (copy / "splits.csv").read_text()
    known = splits.split("car_1,")[1].split()[0]
    other = "test" if known == "train" else "train"
    (copy / "splits.csv").write_text(splits.replace(f"car_1,{known}", f"car_1,{other}"))
    # Also where neither is asked for.
    for split in ("train", "test", "all"):
        assert f"dataset.root: car_1 is in split {known} of {root} and in {other} of {copy}; allowed: one split" in (
            refused(opened, "views", [str(root), str(copy)], split=split))


def same_images(root, copy):
    copy.parent.mkdir(parents=True, exist_ok=True)
    copy.symlink_to(root)


def another_class(root, copy):
    shutil.copytree(root, copy)
    picture(copy / "third" / "1.png", 0)


def other_labels(root, copy):
    for number in range(3):
        picture(copy / f"class 0_GT_{number}" / "1.png", 0)


@pytest.mark.parametrize(("change", "told"), [
    (same_images, "hold the same images; allowed: each root once"),
    (another_class, "has other classes (class 0, class 1, third; 1 per image) than"),
    (other_labels, "has other classes (0, 1, 2; 1 per image) than"),
    (lambda *_: None, "dataset.root: no folder at"),
    (lambda root, copy: copy.mkdir(), "found nothing; expected one folder per class")])
def test_roots_that_cannot_be_one_dataset_are_refused(opened, original, tmp_path, change, told):
    root = original("folder")
    change(root, tmp_path / "copy")
    assert told in refused(opened, "folder", [str(root), str(tmp_path / "copy")])


def test_the_same_name_for_other_things_and_drawn_images_twice_are_refused(opened, original, tmp_path):
    copy = write_inverted("mnist", original("mnist"), tmp_path / "copy", limit=8)
    message = refused(opened, "mnist", [str(original("mnist")), str(copy)])
    assert "dataset.root: train-" in message
    assert "allowed: the same scenery under the same name" in message
    message = refused(opened, "glyphs", [str(tmp_path / "a"), str(tmp_path / "b")], limit=2)
    assert f"{tmp_path / 'a'} and {tmp_path / 'b'} hold the same images" in message
