"""Street scenes with label maps: layouts, splits, preparation, and what is wrong with files."""

import math
import pickle
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image

from errors import UserError
from readers import check_name, create_reader
from readers.class_maps import MAPS
from readers.prepare import prepare
from segmentation.data import Frames

SIZE = (24, 16)
# Layouts: reader, its options, image and label map of a name in a split.
LAYOUTS = {
    "carla": ("carla", {}, "CARLA/Town/rgb/{name}.png", "CARLA/Town/seg/{name}.png"),
    "cityscapes": ("cityscapes", {}, "cityscapes/leftImg8bit/{split}/aachen/{name}_leftImg8bit.png",
                   "cityscapes/gtFine/{split}/aachen/{name}_gtFine_labelIds.png"),
    "camvid annot": ("camvid", {}, "CamVid/{split}/{name}.png", "CamVid/{split}annot/{name}.png"),
    "camvid folders": ("camvid", {}, "CamVid/{split}/images/{name}.jpg", "CamVid/{split}/labels/{name}.png"),
    "folders": ("street_folder", {"class_map": "camvid"}, "{split}/images/{name}.jpg", "{split}/labels/{name}.png"),
    "flat": ("street_folder", {"class_map": "camvid"}, "images/{name}.png", "labels/{name}.png"),
}
RNG = np.random.default_rng(0)


def save(path, pixels, **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path, **options)


def write(root, layout, names, split="train", size=(20, 30)):
    """Write noise and label maps of ids 1 to 11; returns the paths of both."""
    _, _, *patterns = LAYOUTS[layout]
    paths = [[root / pattern.format(name=name, split=split) for pattern in patterns] for name in names]
    for image, labels in paths:
        save(image, RNG.integers(0, 256, (*size, 3), dtype=np.uint8))
        save(labels, RNG.integers(1, 11, size, dtype=np.uint8))
    return paths


def open_reader(root, layout, split=None, **changes):
    name, options, *_ = LAYOUTS[layout]
    return create_reader(name, root, changes.pop("factor", []), split, **{**options, **changes})


def refusal(reader, cache):
    with pytest.raises(UserError) as error:
        prepare(reader, SIZE, cache)
    assert "\n" not in str(error.value)
    return str(error.value)


@pytest.mark.parametrize("layout", [name for name in LAYOUTS if name not in ("carla", "flat")])
def test_a_split_is_its_folder_and_all_are_all_in_order(tmp_path, layout):
    counts = {"train": 3, "val": 1, "test": 2}
    wanted = {split: [str(image) for image, _ in write(tmp_path, layout, [f"{split}{i}" for i in range(count)], split)]
              for split, count in counts.items()}
    for split, sources in wanted.items():
        listing = open_reader(tmp_path, layout, split).listing()
        assert [source for source, in listing.sources] == sources
        assert listing.splits == [split] * counts[split]
    assert open_reader(tmp_path, layout, "all").listing().sources == [[path] for paths in wanted.values()
                                                                       for path in paths]
    default = "all" if layout == "folders" else "train"
    assert open_reader(tmp_path, layout).split == default
    message = refusal(open_reader(tmp_path, layout, "vall"), tmp_path / "cache")
    assert "'vall' is not known; allowed: train, val, test, all; did you mean 'val'?" in message


def test_folders_without_splits_are_all_of_it(tmp_path):
    write(tmp_path, "flat", ["a", "b"])
    assert open_reader(tmp_path, "flat").listing().splits == ["", ""]
    assert "has no folders train, val, test; allowed: all" in refusal(open_reader(tmp_path, "flat", "train"), tmp_path)
    with pytest.raises(UserError, match=r"dataset\.class_map: street_folder has none of its own; .*columns id, name"):
        open_reader(tmp_path, "flat", class_map=None)


def test_of_carla_each_towns_first_frames_train_and_its_last_are_tested(tmp_path):
    towns = {"Town01": [str(number) for number in range(0, 1300, 100)], "Town02": [f"{i:04}" for i in range(5)]}
    for town, names in towns.items():
        for name in names:
            for kind, shape in (("rgb", (4, 4, 3)), ("seg", (4, 4))):
                save(tmp_path / "CARLA" / town / kind / f"{name}.png", np.ones(shape, np.uint8))
    # By their numbers: as text, 1000 comes before 200.
    for split in ("train", "test"):
        found = create_reader("carla", tmp_path, [], split).listing().sceneries
        wanted = []
        for town, names in towns.items():
            first = math.ceil(4 * len(names) / 5)
            part = slice(0, first) if split == "train" else slice(first, None)
            wanted += [f"CARLA/{town}/rgb/{name}.png" for name in names[part]]
        assert found == wanted
    reader = create_reader("carla", tmp_path, ["Town02"], None)
    before = len(pickle.dumps(reader))
    assert len(reader.listing().sceneries) == 5
    # It goes to another process with every few images, so it holds nothing of each image.
    assert len(pickle.dumps(reader)) < before + len(str(tmp_path)) * 3 + 100
    with pytest.raises(UserError, match=r"'Town03' is not known; allowed: Town01, Town02"):
        create_reader("carla", tmp_path, ["Town03"], None).listing()
    with pytest.raises(UserError, match=r"dataset.split of carla: 'val' is not known; allowed: train, test, all"):
        create_reader("carla", tmp_path, [], "val").listing()


def test_images_are_resized_by_lanczos_and_label_maps_by_the_nearest_pixel(tmp_path):
    [[image, labels]] = write(tmp_path, "camvid annot", ["a"], size=(37, 50))
    prepared = prepare(open_reader(tmp_path, "camvid annot"), SIZE, tmp_path / "cache").images
    assert prepared.shape == (1, 4, 16, 24)
    wanted = Image.open(image).resize(SIZE, Image.Resampling.LANCZOS)
    assert np.array_equal(prepared[0, :3].transpose(1, 2, 0), np.asarray(wanted))
    raw = np.asarray(Image.open(labels))
    nearest = [[raw[int((y + 0.5) * 37 / 16), int((x + 0.5) * 50 / 24)] for x in range(24)] for y in range(16)]
    # CamVid's ids are the classes of street11, but for the last.
    assert prepared[0, 3].tolist() == nearest


def flooded(ids):
    """Return where zeros hang together with the top row, pixel by pixel."""
    reached, left = np.zeros(ids.shape, bool), [(0, x) for x in range(ids.shape[1])]
    while left:
        y, x = left.pop()
        if 0 <= y < ids.shape[0] and 0 <= x < ids.shape[1] and ids[y, x] == 0 and not reached[y, x]:
            reached[y, x] = True
            left += [(y + 1, x), (y - 1, x), (y, x + 1), (y, x - 1)]
    return reached


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("top", ["mixed", "no sky"])
def test_up_to_0_9_9_what_has_no_tag_up_to_the_top_row_is_sky(tmp_path, seed, top):
    ids = np.random.default_rng(seed).choice([0, 7], (16, 24), p=[0.6, 0.4]).astype(np.uint8)
    ids[0] = 7 if top == "no sky" else ids[0]
    save(tmp_path / "CARLA/T/rgb/a.png", np.zeros((*ids.shape, 3), np.uint8))
    save(tmp_path / "CARLA/T/seg/a.png", np.stack([ids, 0 * ids, 0 * ids], axis=-1))
    sky, road = (open_reader(tmp_path, "carla").classes.index(name) for name in ("sky", "road"))
    found = prepare(open_reader(tmp_path, "carla"), SIZE, tmp_path / "cache").images[0, 3]
    assert np.array_equal(found, np.where(ids == 7, road, np.where(flooded(ids), sky, 255)))
    # A copy of the table, for classes of one's own, says so, too.
    own = tmp_path / "own.csv"
    own.write_text((MAPS / "carla13.csv").read_text().replace("street11", "mine"))
    copy = create_reader("carla", tmp_path, [], None, class_map=str(own), classes="mine")
    number = copy.classes.index("sky")
    labels = prepare(copy, SIZE, tmp_path / "cache").images[0, 3]
    assert np.array_equal(labels == number, flooded(ids))
    # Later versions have a tag for it.
    later = prepare(open_reader(tmp_path, "carla", class_map="carla23"), SIZE, tmp_path / "cache").images[0, 3]
    assert np.array_equal(later == 255, ids == 0)


def palette(path):
    Image.fromarray(np.zeros((20, 30), np.uint8)).convert("P").save(path)


# Layout, what is done to an image and its label map, which of the two is named, and what is said.
BAD = {
    "other size": ("camvid annot", lambda image, labels: save(labels, np.ones((10, 30), np.uint8)), 1,
                   "label map of 30x10 pixels for an image of 30x20 ({image})"),
    "palette": ("camvid annot", lambda image, labels: palette(labels), 1, "label map is a palette image; allowed"),
    "16 bits": ("carla", lambda image, labels: save(labels, np.ones((20, 30), np.uint16)), 1, "image of mode I;16"),
    "unknown id": ("cityscapes", lambda image, labels: save(labels, np.full((20, 30), 77, np.uint8)), 1,
                   "id 77 is not in class map 'cityscapes'"),
    "unknown colour": ("carla", lambda image, labels: save(labels, np.full((20, 30, 3), (9, 8, 7), np.uint8)), 1,
                       "colour (9, 8, 7) is not in class map 'carla13'"),
    "no image": ("camvid folders", lambda image, labels: labels.write_bytes(b"x"), 1, "image cannot be read"),
    "no label map": ("cityscapes", lambda image, labels: labels.unlink(), 0, "no label map beside it; looked for "
                     "{labels}"),
    "no photograph": ("cityscapes", lambda image, labels: image.unlink(), 1, "label map without an image in "
                      "{image.parent}"),
    "no label map of a town": ("carla", lambda image, labels: labels.unlink(), 0, "looked for {labels}"),
    "no image of a folder": ("flat", lambda image, labels: image.unlink(), 1, "label map without an image"),
}


@pytest.mark.parametrize("kind", BAD)
def test_a_pair_that_is_none_is_named_and_left_out_on_request(tmp_path, kind):
    layout, damage, named, said = BAD[kind]
    pairs = write(tmp_path, layout, ["0", "1", "2"])
    damage(*pairs[1])
    message = refusal(open_reader(tmp_path, layout), tmp_path / "cache")
    assert message.startswith(f"{pairs[1][named]}: ")
    assert said.format(image=pairs[1][0], labels=pairs[1][1]) in message
    kept = prepare(open_reader(tmp_path, layout, skip_bad=True), SIZE, tmp_path / "cache")
    assert kept.sources == [str(pairs[i][0]) for i in (0, 2)]
    assert [path for paths in kept.dropped.values() for path in paths] in ([str(pairs[1][0])], [str(pairs[1][1])])


def test_label_maps_of_other_codings_beside_the_right_ones_are_no_mistake(tmp_path):
    [[_, labels]] = write(tmp_path, "cityscapes", ["a"])
    for other in ("color", "instanceIds", "labelTrainIds"):
        save(labels.with_name(f"a_gtFine_{other}.png"), np.full((20, 30), 99, np.uint8))
    assert len(open_reader(tmp_path, "cityscapes").listing().sceneries) == 1


def test_another_class_map_or_set_is_prepared_anew_and_the_same_is_not(tmp_path):
    write(tmp_path, "flat", ["a"])
    table = tmp_path / "own.csv"

    def prepared(text, classes="mine"):
        table.write_text("id,name,mine,street11\n" + "".join(f"{i},x,{text(i)},road\n" for i in range(12)))
        return prepare(open_reader(tmp_path, "flat", class_map=str(table), classes=classes), SIZE, tmp_path / "cache")

    one, same = prepared(lambda i: "one"), prepared(lambda i: "one")
    two, other = prepared(lambda i: "one" if i < 5 else "two"), prepared(lambda i: "one", "street11")
    assert one.key == same.key
    assert len({one.key, two.key, other.key}) == len(list((tmp_path / "cache" / "images").glob("street_folder-*"))) == 3
    assert (one.images[0, 3].max(), two.images[0, 3].max(), other.images[0, 3].max()) == (0, 1, 3)


def test_a_changed_label_map_is_prepared_anew(tmp_path):
    [[_, labels]] = write(tmp_path, "flat", ["a"])
    before = prepare(open_reader(tmp_path, "flat"), SIZE, tmp_path / "cache")
    save(labels, np.full((20, 30), 4, np.uint8))
    after = prepare(open_reader(tmp_path, "flat"), SIZE, tmp_path / "cache")
    assert before.key != after.key
    assert (after.images[0, 3] == 4).all()


def test_datasets_of_other_systems_are_refused_by_name(tmp_path):
    section = SimpleNamespace(name="sviro", root=tmp_path, factor=[], split=None, skip_bad=False, limit=None,
                              class_map=None, image_size=SIZE)
    with pytest.raises(UserError, match="'sviro' is not known; allowed: carla, cityscapes, camvid, street_folder"):
        Frames(section, "street11", str(tmp_path), torch.device("cpu"))
    with pytest.raises(UserError, match=r"dataset\.name: 'camvid' is not known; allowed: sviro,") as error:
        check_name("camvid")
    assert "carla" not in str(error.value)
