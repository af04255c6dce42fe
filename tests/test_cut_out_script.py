"""cut_out.py on photos with ellipses, whose areas are known: pi / 4 of their boxes."""

import csv

import numpy as np
import pytest
import torch
from matplotlib.figure import Figure
from PIL import Image

from translation.cut_outs import Filters, Normal
from translation.cutting import Photo, Recipe, cut_photo
from translation.masks import Instance, write_instances

SCRIPT = "cut_out.py"
# left, top, width, height of the ellipse in a photo of 200 x 160.
ELLIPSES = {"a": (20, 10, 160, 140), "b": (5, 20, 190, 120), "c": (30, 5, 150, 151), "small": (50, 50, 60, 50)}


def ellipse(left, top, width, height):
    y, x = np.mgrid[:160, :200] + 0.5
    return ((x - left - width / 2) * 2 / width) ** 2 + ((y - top - height / 2) * 2 / height) ** 2 < 1


def save(path, pixels):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)
    return path


def pixels_of(path):
    with Image.open(path) as image:
        return np.asarray(image)


@pytest.fixture
def data(tmp_path):
    """photos/, masks/ of the same names, and rendered/ with ratios around a quarter."""
    for number, (name, place) in enumerate(ELLIPSES.items()):
        photo = np.random.default_rng(number).integers(0, 256, (160, 200, 3), dtype=np.uint8)
        save(tmp_path / "photos" / f"{name}.jpg", photo)
        save(tmp_path / "masks" / f"{name}.png", np.uint8(255) * ellipse(*place))
    for number in range(5):
        image = np.full((40, 40, 4), 200, np.uint8)
        image[..., 3] = 0
        # Half transparent pixels are the object's.
        image[4:20, 4 : 22 + number, 3] = 9
        save(tmp_path / "rendered" / str(number % 2) / f"{number}.png", image)
    return tmp_path


@pytest.fixture
def undrawn(monkeypatch):
    """Leave out the drawing, which takes longer than the rest."""
    monkeypatch.setattr(Figure, "savefig", lambda self, path, **_: path.write_bytes(b""))


def rows(path):
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_cut_outs_have_ratios_like_those_of_rendered_images(succeed, data):
    out = data / "new" / "cars"
    told = succeed(SCRIPT, data / "photos", "--masks", data / "masks", "--like", data / "rendered", "--out", out,
                   "--size", 64)
    assert sorted(path.name for path in out.iterdir()) == [
        "contact_sheet.png", "cut_outs", "cut_outs.csv", "frame_ratios.pdf", "frame_ratios.png", "rejected.csv",
        "rejected.png"]
    assert sorted(path.name for path in (out / "cut_outs").iterdir()) == ["a.png", "b.png", "c.png"]
    assert rows(out / "rejected.csv") == [{"file": str(data / "photos" / "small.jpg"), "number": "0",
                                          "reason": "box side", "found": "54.8 px", "allowed": "128 px or more"}]
    rendered = np.array([16 * (18 + i) / (1600 - 16 * (18 + i)) for i in range(5)])
    assert told.splitlines()[0] == "3 cut-outs; left out: box side 1"
    assert f"frame ratio rendered: {rendered.mean():.3f} ± {rendered.std():.3f}, n = 5" in told
    for row in rows(out / "cut_outs.csv"):
        name = row["file"][0]
        area = int(ellipse(*ELLIPSES[name]).sum())
        left, top, width, height = (int(row[key]) for key in ("left", "top", "width", "height"))
        assert (left, top, width, height, int(row["mask_area"])) == (*ELLIPSES[name], area)
        assert area == pytest.approx(np.pi / 4 * width * height, rel=0.01)
        assert float(row["ratio_before"]) == pytest.approx(area / (width * height - area))
        side = max(width, height) + 2 * int(row["padding"])
        drawn = float(row["ratio_drawn"])
        assert abs(drawn - rendered.mean()) < 5 * rendered.std()
        assert area / (side**2 - area) == pytest.approx(drawn, rel=0.02)
        pixels = pixels_of(out / "cut_outs" / row["file"])
        assert (pixels.shape, set(np.unique(pixels[..., 3]))) == ((64, 64, 4), {0, 255})
        covered = (pixels[..., 3] > 0).sum()
        assert float(row["ratio_after"]) == pytest.approx(covered / (64 * 64 - covered))
        assert float(row["ratio_after"]) == pytest.approx(drawn, rel=0.05)
        np.testing.assert_array_equal(pixels[..., :3].any(-1), pixels[..., 3] > 0)


def recipe(**changes):
    return Recipe(**{"filters": Filters(box_side=1), "normal": Normal(0.25, 0.05), "redraws": 10, "size": 32,
                     "seed": 3, "mask_threshold": 128} | changes)


def test_a_cut_out_depends_on_seed_and_name_alone(data, tmp_path):
    photos = [Photo(name, data / "photos" / f"{name}.jpg", data / "masks" / f"{name}.png") for name in ELLIPSES]
    folders = [tmp_path / name for name in ("all", "one", "other")]
    for folder in folders:
        folder.mkdir()
    every = {row.file: row for photo in photos for row in cut_photo(photo, recipe(), folders[0])}
    [again] = cut_photo(photos[2], recipe(), folders[1])
    [other] = cut_photo(photos[2], recipe(seed=4), folders[2])
    assert again == every["c.png"] != other
    assert len({row.ratio_drawn for row in every.values()}) == 4
    assert (folders[0] / "c.png").read_bytes() == (folders[1] / "c.png").read_bytes()


def test_every_object_that_a_network_found_is_looked_at(data, tmp_path):
    car, bus = ellipse(0, 0, 100, 160), ellipse(100, 0, 100, 160)
    write_instances(tmp_path / "a.npz", [Instance(bus, (100, 0, 200, 160), "bus", 0.95),
                                         Instance(car, (0, 0, 100, 160), "car", 0.75),
                                         Instance(car, (0, 0, 100, 160), "truck", 0.5)], (160, 200), "x")
    write_instances(tmp_path / "b.npz", [], (160, 200), "x")
    photos = [Photo(name, data / "photos" / f"{name}.jpg", tmp_path / f"{name}.npz") for name in "ab"]
    bus_row, kept, truck = cut_photo(photos[0], recipe(), tmp_path)
    assert (bus_row.number, bus_row.reason, truck.number, truck.reason) == (0, "class", 2, "confidence")
    assert (kept.file, kept.label, kept.confidence, kept.left, kept.width) == ("a_1.png", "car", 0.75, 0, 100)
    assert [row.reason for row in cut_photo(photos[1], recipe(), tmp_path)] == ["nothing found"]


def test_the_network_is_asked_where_there_are_no_masks(succeed, data, monkeypatch, undrawn):
    from translation import instances

    class Detector:
        name, asked = "stub", 0

        def __init__(self, weights, device):
            assert (weights, device) == (None, torch.device("cpu"))

        def __call__(self, image):
            assert (image.dtype, image.shape, float(image.max())) == (torch.float32, (3, 160, 200), 1.0)
            Detector.asked += 1
            mask = ellipse(*ELLIPSES["a"])
            return [Instance(mask, (20, 10, 180, 150), "car", 0.75)]

    monkeypatch.setattr(instances, "Detector", Detector)
    options = (SCRIPT, data / "photos", "--detections", data / "found", "--device", "cpu")
    assert succeed(*options, "--out", data / "one").startswith("4 cut-outs; left out: nothing\n")
    assert not (data / "one" / "rejected.png").exists()
    told = succeed(*options, "--out", data / "two", "--confidence", 0.7, "--border-cover", 0.5)
    assert (Detector.asked, told.splitlines()[0]) == (4, "4 cut-outs; left out: nothing")
    # Without a distribution of ratios, frames are the boxes made square.
    [row] = [row for row in rows(data / "one" / "cut_outs.csv") if row["file"] == "a_0.png"]
    area = ellipse(*ELLIPSES["a"]).sum()
    assert (row["ratio_drawn"], row["padding"]) == ("", "0")
    assert float(row["ratio_after"]) == pytest.approx(area / (160**2 - area), rel=0.02)


def refuse(fail, data, *options, photos="photos", masks="masks", out="out"):
    given = ["--masks", data / masks] if masks else []
    line = fail(SCRIPT, data / photos, *given, "--out", data / out, *options)
    assert not (data / "out").exists()
    assert not list(data.glob(".*"))
    return line


def test_folders_that_are_empty_absent_or_there_already_are_refused(fail, data):
    (data / "empty").mkdir()
    assert "empty: no images in it" in refuse(fail, data, photos="empty")
    assert "absent: no such folder" in refuse(fail, data, photos="absent")
    assert "empty: no images in it" in refuse(fail, data, masks="empty")
    assert "empty: no images in it" in refuse(fail, data, "--like", data / "empty")
    line = refuse(fail, data, out="empty")
    assert "--out" in line
    assert "empty exists already" in line


def test_masks_that_are_missing_or_of_another_size_are_refused(fail, data):
    save(data / "masks" / "b.png", np.zeros((160, 100), np.uint8))
    assert "b.png: mask of 100x160 pixels; allowed: 200x160, as the photo" in refuse(fail, data)
    (data / "masks" / "b.png").unlink()
    line = refuse(fail, data)
    assert "photos/b.jpg: no mask; looked for" in line
    assert "masks/b.png" in line


def test_names_that_would_meet_and_photos_that_cannot_be_read_are_refused(fail, data):
    (data / "photos" / "a.jpg").write_bytes(b"none")
    assert "a.jpg: image cannot be read" in refuse(fail, data)
    save(data / "photos" / "a.png", np.zeros((160, 200, 3), np.uint8))
    assert "both would become a.png" in refuse(fail, data)


def test_rendered_images_without_alpha_or_without_an_object_are_refused(fail, data):
    save(data / "rendered" / "x.png", np.zeros((9, 9, 4), np.uint8))
    assert "x.png: alpha is empty" in refuse(fail, data, "--like", data / "rendered")
    save(data / "rendered" / "x.png", np.full((9, 9, 4), 255, np.uint8))
    assert "x.png: alpha is above 0 everywhere" in refuse(fail, data, "--like", data / "rendered")
    save(data / "rendered" / "x.png", np.full((9, 9, 3), 255, np.uint8))
    assert "x.png: image of mode RGB; allowed: one with alpha" in refuse(fail, data, "--like", data / "rendered")


def test_an_empty_mask_is_left_out_and_one_that_cannot_reach_its_ratio_too(fail, succeed, data, undrawn):
    save(data / "masks" / "a.png", np.zeros((160, 200, 4), np.uint8))
    succeed(SCRIPT, data / "photos", "--masks", data / "masks", "--out", data / "cars", "--box-side", 1,
            "--ratio", 2.0, 0.0, "--redraws", 1)
    empty, long = rows(data / "cars" / "rejected.csv")[:2]
    assert (empty["file"][-5:], empty["reason"], empty["found"]) == ("a.jpg", "empty mask", "0 pixels")
    area = ellipse(*ELLIPSES["b"]).sum()
    assert (long["file"][-5:], long["reason"]) == ("b.jpg", "frame ratio")
    assert long["found"] == f"at most {area / (190**2 - area):.3f}"
    assert long["allowed"] == "what was drawn 2 times from the normal distribution of 2.000 ± 0.000"
    line = refuse(fail, data, "--ratio", 9, 0.1)
    assert "no cut-out is left, of 4 photo(s); left out: frame ratio 2, empty mask 1, box side 1" in line


def test_bad_weights_and_classes_are_refused(fail, data):
    (data / "bad.pth").write_bytes(b"none")
    assert "bad.pth: refused" in refuse(fail, data, "--weights", data / "bad.pth", masks="")
    assert "'cat5' is not known" in refuse(fail, data, "--classes", "cat5", masks="")


@pytest.mark.parametrize(("options", "line"), [
    (("--size", 7), "--size: found 7; allowed: 8 to 4096"),
    (("--confidence", "nan"), "--confidence: found nan; allowed: 0 to 1"),
    (("--border-width", 0.6), "--border-width: found 0.6; allowed: 0 to 0.5"),
    (("--ratio", 0, 1), "--ratio: found 0 1; allowed: a mean of 0.01 to 100"),
    (("--seed", -1), "--seed: found -1"),
    (("--detections", "d"), "--detections: does not apply with --masks")])
def test_options_that_cannot_be_are_refused(fail, data, options, line):
    assert line in refuse(fail, data, *options)
