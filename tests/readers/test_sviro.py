from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from refusals import refused
from torchvision.transforms import CenterCrop, Compose, InterpolationMode, Resize

from errors import UserError
from readers import create_reader
from readers.prepare import prepare

SIZE = (60, 40)


def photo(folder, name, seed=0, size=SIZE, colour=False):
    shape = (*size[::-1], 3) if colour else size[::-1]
    folder.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)).save(folder / name)
    return folder / name


def place(root, car="x5", split="train"):
    return root / "SVIRO" / car / split / "grayscale_wholeImage"


def car_with(root, *labels, car="x5", split="train"):
    for i, label in enumerate(labels):
        photo(place(root, car, split), f"{car}_{split}_imageID_{i}_GT_{label}.png", seed=i)


def listing(root, factor=(), split=None):
    return create_reader("sviro", root, list(factor), split).listing()


@pytest.mark.parametrize(
    ("raw", "label"),
    [("0_0_0", (0, 0, 0)), ("1_2_3", (1, 2, 3)), ("3_0_1", (3, 0, 1)), ("4_3_4", (0, 3, 0)), ("4_4_4", (0, 0, 0))],
)
def test_seats_are_read_left_to_right_and_everyday_objects_count_as_empty(tmp_path, raw, label):
    car_with(tmp_path, raw)
    assert listing(tmp_path).labels == [label]


@pytest.mark.parametrize("raw", ["5_0_0", "0_6_0", "0_0_5", "6_5_1", "4_0_6"])
def test_images_with_an_empty_child_or_infant_seat_are_dropped_and_counted(tmp_path, raw):
    car_with(tmp_path, raw, "1_0_0", raw)
    found = listing(tmp_path)
    assert found.labels == [(1, 0, 0)]
    assert [len(sources) for sources in found.dropped.values()] == [2]
    path = place(tmp_path) / "x5_train_imageID_1_GT_1_0_0.png"
    assert (found.sources, found.sceneries, len(found.stamps)) == ([[str(path)]], [f"x5/{path.stem}"], 1)


def test_the_named_cars_are_read_once_each_and_all_where_none_is_named(tmp_path):
    for car, label in (("x5", "1_0_0"), ("i3", "2_0_0"), ("tucson", "3_0_0")):
        car_with(tmp_path, label, car=car)
    assert sorted(listing(tmp_path).labels) == [(1, 0, 0), (2, 0, 0), (3, 0, 0)]
    assert listing(tmp_path, ["i3"]).labels == listing(tmp_path, ["i3", "i3"]).labels == [(2, 0, 0)]
    assert sorted(listing(tmp_path, ["tucson", "x5"]).labels) == [(1, 0, 0), (3, 0, 0)]
    message = refused(listing, tmp_path, ["tuscon"])
    assert message.startswith("dataset.factor: ")
    assert "'tuscon' is not known; allowed: i3, tucson, x5; did you mean 'tucson'" in message


def test_the_default_split_is_train_and_all_reads_both(tmp_path):
    car_with(tmp_path, "1_0_0", split="train")
    car_with(tmp_path, "2_0_0", "3_0_0", split="test")
    assert listing(tmp_path).labels == listing(tmp_path, split="train").labels == [(1, 0, 0)]
    assert listing(tmp_path, split="test").labels == [(2, 0, 0), (3, 0, 0)]
    assert sorted(listing(tmp_path, split="all").labels) == [(1, 0, 0), (2, 0, 0), (3, 0, 0)]


def test_root_may_be_the_sviro_folder_or_its_parent_and_a_missing_split_is_named(tmp_path):
    car_with(tmp_path, "1_0_0")
    assert listing(tmp_path / "SVIRO") == listing(tmp_path)
    assert listing(tmp_path).labels == [(1, 0, 0)]
    assert str(place(tmp_path, split="test")) in refused(listing, tmp_path, split="test")


@pytest.mark.parametrize(("name", "told"), [
    *((name, "_GT_<left>_<middle>_<right>") for name in (
        "x5_imageID_1.png", "x5_GT_1_0.png", "x5_GT_1_0_0_extra.png", "x5_GT_a_0_0.png")),
    ("x5_GT_7_0_0.png", "7"), ("x5_GT_0_12_0.png", "12"), ("x5_GT_5_0_9.png", "9")])
def test_a_name_without_three_labels_up_to_6_at_its_end_is_refused_by_name(tmp_path, name, told):
    path = photo(place(tmp_path), name)
    message = refused(listing, tmp_path)
    assert str(path) in message
    assert told in message.split(".png")[1]
    assert not told.isdigit() or "0 to 6" in message


@pytest.mark.parametrize("suffix", [".PNG", ".jpg", ".JPEG", ".tif"])
def test_other_suffixes_and_upper_case_are_read(tmp_path, suffix):
    photo(place(tmp_path), f"x5_train_imageID_1_GT_3_0_2{suffix}")
    (place(tmp_path) / "readme.txt").write_text("not an image")
    assert listing(tmp_path).labels == [(3, 0, 2)]


@pytest.mark.parametrize("size", [(60, 40), (61, 40), (40, 75), (33, 33), (20, 16)])
@pytest.mark.parametrize("colour", [False, True])
def test_prepared_pixels_are_torchvisions_centre_crop_and_resize(tmp_path, size, colour):
    path = photo(tmp_path, "a_GT_0_0_0.png", size=size, colour=colour)
    reference = Compose([CenterCrop(min(size)), Resize((32, 32), InterpolationMode.BILINEAR, antialias=True)])
    expected = np.asarray(reference(Image.open(path).convert("L")))
    prepared = create_reader("sviro", tmp_path, [], None).prepare(str(path), 32)
    assert prepared.dtype == np.uint8
    np.testing.assert_array_equal(prepared, expected[None])


def test_a_dataset_prepared_by_several_processes_equals_a_straight_loop_of_torchvision(tmp_path):
    for i in range(600):
        photo(place(tmp_path), f"a{i:03}_GT_0_0_0.png", seed=i)
    prepared = prepare(create_reader("sviro", tmp_path, [], None), 32, tmp_path / "cache")
    reference = Compose([CenterCrop(40), Resize((32, 32), InterpolationMode.BILINEAR, antialias=True)])
    for source, image in zip(prepared.sources, prepared.images, strict=True):
        np.testing.assert_array_equal(image[0], np.asarray(reference(Image.open(source))))


def test_left_stays_left_in_the_prepared_image(tmp_path):
    values = np.zeros((40, 60), dtype=np.uint8)
    values[:20, 10:30] = 255
    Image.fromarray(values).save(tmp_path / "a.png")
    prepared = create_reader("sviro", tmp_path, [], None).prepare(str(tmp_path / "a.png"), 16)[0]
    quarters = [prepared[:7, :7], prepared[:7, 9:], prepared[9:, :7], prepared[9:, 9:]]
    assert [int(quarter.mean().round()) for quarter in quarters] == [255, 0, 0, 0]


def test_mirror_images_are_samples_and_0_is_an_empty_seat():
    reader = create_reader("sviro", Path("x"), [], None)
    assert (reader.mirrors, reader.classes[reader.empty], len(reader.classes)) == (True, "empty", 4)
    with pytest.raises(UserError, match="did you mean 'sviro'"):
        create_reader("svrio", Path("x"), [], None)
