"""Folders as they are found in practice: damaged, misnamed, nested wrongly, linked, read-only, very full."""

import os
import shutil
import socket
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from refusals import refused

from dataset import Scenes
from errors import UserError
from experiment.config import EvaluationDataset
from files import open_regular
from readers import create_reader
from readers.images import open_grey
from readers.prepare import prepare

TICAM = "x_x_x_p01_x_x_x_x_x_0_x_x_g00_x_x"
# Dataset, its factor, and the path of an image of it.
IMAGES = {
    "sviro": (["i3"], "SVIRO/i3/train/grayscale_wholeImage/i3_train_imageID_{i}_GT_0_0_{label}.png"),
    "sviro_illumination": (["kona"], "SVIRO-Illumination/kona/train/s{i}_GT_0_0_{label}/0.png"),
    "sviro_nocar": ([], "SVIRO-NoCar/any/train/s{i}_GT_0_0_{label}/0.png"),
    "ticam": ([], "TICaM/train/cs01/" + TICAM.replace("p01", "{code}") + "{i}.png"),
    "folder": ([], "{label}/{i}.png"),
}


def draw(path, value=100, size=(512, 512)):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("L", size, value).save(path)


def dataset(root, name, count=6):
    """Write a small dataset; returns the paths of its images."""
    _, pattern = IMAGES[name]
    paths = []
    for i in range(count):
        label = i % 3 + 1
        paths.append(root / pattern.format(i=i, label=label, code=["p01", "s05", "s03"][label - 1]))
        draw(paths[-1], 10 * i)
    return paths


def reader(root, name, **options):
    split = None if name == "folder" else "train"
    return create_reader(name, root, IMAGES[name][0], split, **options)


def refusal(read, cache=None):
    return refused(prepare, read, 16, cache) if cache else refused(read.listing)


@pytest.mark.parametrize("name", IMAGES)
def test_a_dataset_without_files_is_refused_whether_its_folders_are_there_or_not(tmp_path, name):
    message = refusal(reader(tmp_path / "data", name), tmp_path / "cache")
    assert str(tmp_path / "data") in message
    assert name != "sviro" or f"looked for folder {tmp_path / 'data' / 'SVIRO'}" in message
    paths = dataset(tmp_path / "data", name)
    for path in paths:
        path.unlink()
    message = refusal(reader(tmp_path / "data", name), tmp_path / "cache")
    assert "no images" in message
    assert str(tmp_path / "data") in message
    for folder in {path.parent for path in paths}:
        folder.rmdir()
    message = refusal(reader(tmp_path / "data", name), tmp_path / "cache")
    assert str(tmp_path / "data") in message
    assert "expected one folder per" in message or "looked for folder" in message


@pytest.mark.parametrize("name", ["sviro_illumination", "sviro_nocar", "ticam", "folder"])
def test_images_one_level_too_high_are_counted_and_the_missing_level_is_named(tmp_path, name):
    path = dataset(tmp_path, name)[0]
    upper = path.parent.parent
    shutil.rmtree(upper)
    draw(upper / "a.png")
    draw(upper / "b.PNG")
    assert f"{upper}: found 2 images; expected one folder per " in refusal(reader(tmp_path, name))


@pytest.mark.parametrize("name", ["sviro", "sviro_illumination", "sviro_nocar"])
def test_images_one_level_too_deep_are_missed_where_they_should_be(tmp_path, name):
    path = dataset(tmp_path, name)[0]
    shutil.move(path.parent, path.parent.parent / "moved")
    shutil.move(path.parent.parent / "moved", path.parent / "deeper")
    assert f"{path.parent}: no images" in refusal(reader(tmp_path, name))


@pytest.mark.parametrize("name", ["sviro", "sviro_illumination", "sviro_nocar", "ticam"])
def test_names_without_a_label_are_named_and_counted_and_left_out_on_request(tmp_path, name):
    dataset(tmp_path, name)
    _, pattern = IMAGES[name]
    bad = [tmp_path / pattern.replace("_GT_0_0_{label}", f"_GT_{i}_x").replace("{code}", f"s9{i}").format(i=7)
           for i in range(3)]
    for path in bad:
        draw(path)
    named = sorted(bad)[0] if name in ("sviro", "ticam") else sorted(bad)[0].parent
    message = refusal(reader(tmp_path, name), tmp_path / "cache")
    assert message.startswith(f"{named}: ")
    assert "(and 2 more like it); skip_bad = true in the section of this dataset leaves them out" in message
    prepared = prepare(reader(tmp_path, name, skip_bad=True), 16, tmp_path / "cache")
    assert len(prepared.names) == 6
    assert sum(len(sources) for sources in prepared.dropped.values()) == 3


def damage(path, kind):
    if kind == "truncated":
        path.write_bytes(path.read_bytes()[:-40])
    elif kind == "zero-byte":
        path.write_bytes(b"")
    elif kind == "text":
        path.write_text("no image")
    else:
        path.unlink()
        Image.fromarray(np.zeros((512, 512), np.float32)).save(path, format="TIFF")


@pytest.mark.parametrize("kind", ["truncated", "zero-byte", "text", "floating-point"])
@pytest.mark.parametrize("name", IMAGES)
def test_an_image_that_cannot_be_read_is_named_and_left_out_on_request(tmp_path, name, kind):
    paths = dataset(tmp_path / "data", name)
    damage(paths[2], kind)
    message = refusal(reader(tmp_path / "data", name), tmp_path / "cache")
    assert str(paths[2]) in message
    assert not [path for path in (tmp_path / "cache" / "images").iterdir() if path.is_dir()]
    kept = prepare(reader(tmp_path / "data", name, skip_bad=True), 16, tmp_path / "cache")
    assert kept.dropped == {"image cannot be read": [str(paths[2])]}
    assert len(kept.names) == len(kept.images) == 5
    assert sorted(kept.sources) == sorted(str(path) for path in paths if path != paths[2])
    for path in paths:
        damage(path, kind)
    message = refusal(reader(tmp_path / "data", name, skip_bad=True), tmp_path / "cache")
    assert "none of the 6 images can be read" in message


def test_a_scenery_keeps_its_readable_variants_and_goes_with_the_last_of_them(tmp_path):
    for scenery in range(3):
        for variant in range(4):
            draw(tmp_path / "data" / f"s{scenery}_GT_{scenery}_1" / f"{variant}.png", 50 * scenery + variant)
    for damaged in ("s0_GT_0_1/1.png", *(f"s1_GT_1_1/{variant}.png" for variant in range(4))):
        (tmp_path / "data" / damaged).write_bytes(b"")
    read = create_reader("folder", tmp_path / "data", [], None, skip_bad=True)
    prepared = prepare(read, 16, tmp_path / "cache")
    assert (prepared.names, prepared.count.tolist(), prepared.first.tolist()) == (["s0_GT_0_1", "s2_GT_2_1"], [3, 4],
                                                                                 [0, 3])
    assert prepared.images[:, 0, 0, 0].tolist() == [0, 2, 3, 100, 101, 102, 103]
    again = prepare(read, 16, tmp_path / "cache")
    assert (again.names, again.sources, again.dropped) == (prepared.names, prepared.sources, prepared.dropped)
    # What was prepared with holes is not taken for whole by those who want no holes.
    strict = refusal(create_reader("folder", tmp_path / "data", [], None), tmp_path / "cache")
    assert "(and 4 more like it); skip_bad = true in the section of this dataset leaves them out" in strict


@pytest.mark.parametrize("name", ["Kombi Bäume 日本", "x" * 200, "o'clock \"quoted\" $HOME; *", "new\nline",
                                  os.fsdecode(b"latin-\xe9")])
def test_unusual_and_very_long_names_are_read_and_shown_in_one_line(tmp_path, name):
    data = tmp_path / name
    paths = dataset(data, "sviro")
    odd = paths[0].with_name(f"{name[:100]}_GT_3_3_3.png")
    paths[0].rename(odd)
    section = EvaluationDataset(name="sviro", factor="i3", root=str(data))
    scenes = Scenes(section, 16, str(tmp_path / "cache"), torch.device("cpu"))
    assert f"i3/{odd.stem}" in scenes.names
    odd.write_bytes(b"")
    message = refusal(reader(data, "sviro"), tmp_path / "cache")
    assert message.encode().decode() == message


def tree(root):
    return {path: (path.lstat().st_mtime_ns, path.lstat().st_size) for path in root.rglob("*")}


@pytest.mark.parametrize("name", IMAGES)
def test_a_dataset_is_only_read_so_its_folder_may_be_read_only(tmp_path, name):
    paths = dataset(tmp_path / "data", name)
    for folder in {path.parent for path in paths}:
        folder.chmod(0o555)
    before = tree(tmp_path / "data")
    prepare(reader(tmp_path / "data", name), 16, tmp_path / "cache")
    assert tree(tmp_path / "data") == before


@pytest.mark.parametrize("name", IMAGES)
def test_links_are_followed_to_folders_and_files(tmp_path, name):
    paths = dataset(tmp_path / "real", name)
    shutil.move(paths[0], tmp_path / "elsewhere.png")
    paths[0].symlink_to(tmp_path / "elsewhere.png")
    if name == "folder":
        (tmp_path / "linked").symlink_to(tmp_path / "real")
    else:
        (tmp_path / "linked").mkdir()
        for path in (tmp_path / "real").iterdir():
            (tmp_path / "linked" / path.name).symlink_to(path)
    assert len(prepare(reader(tmp_path / "linked", name), 16, tmp_path / "cache").images) == 6
    # A changed target is noticed through the link.
    before = prepare(reader(tmp_path / "real", name), 16, tmp_path / "cache").key
    draw(tmp_path / "elsewhere.png", 250, (600, 600))
    assert prepare(reader(tmp_path / "real", name), 16, tmp_path / "cache").key != before


def test_a_link_that_leads_nowhere_and_an_empty_scenery_are_named_and_left_out_on_request(tmp_path):
    for name in ("sviro", "sviro_illumination"):
        path = dataset(tmp_path, name)[0]
        path.unlink()
        if name == "sviro":
            path.symlink_to(tmp_path / "gone.png")
        told = {"sviro": f"{path}: the link leads to no file; skip_bad",
                "sviro_illumination": f"{path.parent}: no images in this scenery folder; skip_bad"}[name]
        assert told in refusal(reader(tmp_path, name))
        assert len(reader(tmp_path, name, skip_bad=True).listing().sceneries) == 5


@pytest.mark.parametrize("kind", ["pipe", "socket", "device"])
@pytest.mark.parametrize("name", IMAGES)
def test_what_is_no_regular_file_is_named_and_left_out_on_request_and_never_read(tmp_path, monkeypatch, name, kind):
    path = dataset(tmp_path / "d", name)[0]
    path.unlink()
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "device":
        path.symlink_to("/dev/zero")
    else:
        monkeypatch.chdir(path.parent)
        with socket.socket(socket.AF_UNIX) as endpoint:
            endpoint.bind(path.name)
    message = refusal(reader(tmp_path / "d", name))
    assert message.startswith(f"{path}: not a regular file, but a pipe, socket or device")
    assert len(reader(tmp_path / "d", name, skip_bad=True).listing().sceneries) == 5
    # Nor where the file was replaced after it was listed.
    with pytest.raises(UserError, match=r"not a regular file|cannot be reached"):
        open_grey(path)


@pytest.mark.parametrize("name", [os.fsdecode(b"caf\xe9"), "red\x1b[31m", "new\nline", "sep\u2028arator"])
def test_class_folders_are_shown_with_escapes_for_what_is_no_text(tmp_path, name):
    root = tmp_path / name
    draw(root / name / "0.png")
    draw(root / "Grün 日本" / "0.png")
    read = create_reader("folder", root, [], None)
    prepared = prepare(read, 16, tmp_path / "cache")
    assert len(prepared.images) == 2
    escaped = name.encode("unicode_escape").decode()
    assert set(read.classes) == {escaped, "Grün 日本"}
    assert read.title == f"folder {escaped}"


def test_20_000_files_in_one_folder_are_listed_without_opening_one_and_with_one_look_at_each(tmp_path, monkeypatch):
    folder = tmp_path / "SVIRO" / "i3" / "train" / "grayscale_wholeImage"
    folder.mkdir(parents=True)
    for i in range(20_000):
        os.close(os.open(folder / f"i3_train_imageID_{i}_GT_0_{i % 4}_{i % 3}.png", os.O_CREAT))
    looks = []
    real = Path.stat
    monkeypatch.setattr(Path, "stat", lambda self, **options: looks.append(self) or real(self, **options))
    listing = reader(tmp_path, "sviro").listing()
    assert len(listing.sceneries) == len({sources[0] for sources in listing.sources}) == 20_000
    assert listing.labels[1] == (0, int(listing.sources[1][0][-7]), int(listing.sources[1][0][-5]))
    # The files are empty, so opening one would have failed; and only folders were looked at one by one.
    assert len(looks) < 100


def test_an_image_that_is_only_out_of_reach_ends_preparation_and_is_not_left_out_for_good(tmp_path, monkeypatch):
    paths = dataset(tmp_path / "data", "sviro")

    def failing(path):
        if str(path) == str(paths[1]):
            raise OSError(5, "Input/output error", str(path))
        return open_regular(path)

    monkeypatch.setattr("readers.images.open_regular", failing)
    message = refusal(reader(tmp_path / "data", "sviro", skip_bad=True), tmp_path / "cache")
    assert message == f"{paths[1]}: image cannot be reached: Input/output error"
    monkeypatch.undo()
    assert len(prepare(reader(tmp_path / "data", "sviro", skip_bad=True), 16, tmp_path / "cache").images) == 6


def test_features_never_belong_to_other_images(tmp_path):
    """The same files by size and time, once with a damaged one among them: two different datasets."""
    paths = dataset(tmp_path / "data", "sviro")
    whole, status = paths[2].read_bytes(), paths[2].stat()
    keys = set()
    for content in (b"x" * len(whole), whole):
        paths[2].write_bytes(content)
        os.utime(paths[2], ns=(status.st_atime_ns, status.st_mtime_ns))
        keys.add(prepare(reader(tmp_path / "data", "sviro", skip_bad=True), 16, tmp_path / "cache").key)
        shutil.rmtree(tmp_path / "cache" / "images")
    assert len(keys) == 2


@pytest.mark.parametrize(("bad", "told"), [
    (["b_GT_99999999999999999999999", "c_GT_0_20240101"],
     "b_GT_99999999999999999999999: label 99999999999999999999999 in the name; allowed: 0 to 255"),
    (["notes"], "notes: no label in the name")])
def test_own_scenery_folders_without_a_label_are_named_and_left_out_on_request(tmp_path, bad, told):
    for name in ("a_GT_1_0", *bad):
        draw(tmp_path / name / "0.png")
    assert told in refusal(create_reader("folder", tmp_path, [], None))
    listing = create_reader("folder", tmp_path, [], None, skip_bad=True).listing()
    dropped = sorted(source for sources in listing.dropped.values() for source in sources)
    assert (listing.labels, dropped) == ([(1, 0)], [str(tmp_path / name) for name in bad])


def test_photos_are_turned_as_the_camera_was_held(tmp_path):
    path = tmp_path / "a" / "photo.jpg"
    path.parent.mkdir()
    pixels = np.zeros((64, 64), np.uint8)
    pixels[:, :32] = 255
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(pixels).save(path, exif=exif)
    upright = create_reader("folder", tmp_path, [], None).prepare(str(path), 32)[0]
    # Bright on the left in the file, held so that this is the top.
    assert upright[:14].min() > 200
    assert upright[18:].max() < 55
