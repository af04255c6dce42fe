"""Stand-ins: accepted by the readers, labelled as drawn, deterministic, whole or not there."""

import fcntl
import hashlib
import os
import re
import signal
import subprocess
import sys
import time
import tracemalloc
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from sklearn.neighbors import KNeighborsClassifier

from errors import UserError
from readers import create_reader
from standin import KINDS, arm, store, vehicles, write_standin
from standin.cabin import Stage, background, draw_scenery, expose

PROJECT = Path(__file__).parent.parent.parent
SMALL = Stage(width=48, height=48, left=0, top=0, side=48)


def listed(name, root, split="all", factor=()):
    return create_reader(name, root, list(factor), split).listing()


def digest(folder: Path) -> dict[str, str]:
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
            for path in sorted(folder.rglob("*")) if path.is_file()}


def picture(seats, gap, seed, car="tesla", stage=SMALL):
    rng = np.random.default_rng(seed)
    layers = draw_scenery(stage, seats, car, rng)
    return expose(layers, background(stage, rng), gap, rng)


@pytest.fixture
def drawn(monkeypatch):
    """Record what is drawn instead of drawing it: name of the file or folder -> raw labels."""
    labels = {}

    def one(path, stage, raw, *_):
        labels[path.stem] = raw
        path.touch()
        return 1

    def variants(folder, raw, car, count, *_):
        labels[folder.name] = raw
        folder.mkdir()
        for variant in range(count):
            (folder / f"{variant}.png").touch()
        return count

    monkeypatch.setattr(vehicles, "_draw_one", one)
    monkeypatch.setattr(vehicles, "_draw_variants", variants)
    monkeypatch.setattr(store, "_FEW", 10**6)
    return labels


def test_sviro_is_listed_with_the_labels_that_were_drawn(tmp_path, drawn):
    write_standin("sviro", tmp_path, sceneries=151, factors=["tesla", "zoe"])
    raw = [label for labels in drawn.values() for label in labels]
    assert set(raw) == set(range(7))
    kept = {name: tuple(0 if label == 4 else label for label in labels)
            for name, labels in drawn.items() if not {5, 6} & set(labels)}
    listing = listed("sviro", tmp_path)
    assert dict(zip(listing.sceneries, listing.labels, strict=True)) == kept
    assert sum(len(sources) for sources in listing.dropped.values()) == 2 * 151 - len(kept)
    counts = [len(list((tmp_path / "SVIRO" / car / split / "grayscale_wholeImage").iterdir()))
              for car in ("tesla", "zoe") for split in ("train", "test")]
    assert counts == [75, 76, 75, 76]
    assert all(re.fullmatch(r"(tesla|zoe)_(train|test)_imageID_\d+_GT_\d_\d_\d", name) for name in drawn)


@pytest.mark.parametrize(("name", "options", "splits", "variants"), [
    ("sviro_illumination", {"sceneries": 9, "factors": ["kona"]}, (4, 5), 10),
    ("sviro_illumination", {"sceneries": 2, "variants": 3}, (1, 1), 3),
    ("sviro_nocar", {"variants": 1}, (2938, 2981), 1),
    ("sviro_nocar", {"sceneries": 2}, (1, 1), 10),
])
def test_sceneries_with_variants_are_listed_with_the_labels_that_were_drawn(tmp_path, drawn, name, options, splits,
                                                                             variants):
    write_standin(name, tmp_path, **options)
    listing = listed(name, tmp_path)
    assert dict(zip(listing.sceneries, listing.labels, strict=True)) == drawn
    assert {len(sources) for sources in listing.sources} == {variants}
    assert (len(listed(name, tmp_path, "train").labels), len(listed(name, tmp_path, "test").labels)) == splits


def test_ticam_uses_every_kind_of_code_and_the_reader_reads_what_was_drawn(tmp_path, drawn):
    write_standin("ticam", tmp_path, sceneries=600)
    listing = listed("ticam", tmp_path)
    seen = {Path(scenery).name: label for scenery, label in zip(listing.sceneries, listing.labels, strict=True)}
    assert seen == {name: tuple(0 if label == 4 else label for label in raw) for name, raw in drawn.items()}
    assert len(listed("ticam", tmp_path, "train").labels) == 300
    names = [name.split("_") for name in seen]
    assert {len(parts) for parts in names} == {15}
    assert all("standin" in parts for parts in names)
    convertible = {(parts[i][:2], parts[-3]) for parts in names for i in (3, 9) if parts[i] in ("s01", "s11")}
    assert convertible == {(start, variation) for start in ("s0", "s1") for variation in ("g00", "g01", "g10", "g11")}
    assert {label for labels in seen.values() for label in labels} == {0, 1, 2, 3}
    assert {label[1] for label in seen.values()} == {0}


@pytest.mark.parametrize(("name", "options", "size", "mode"), [
    ("sviro", {"sceneries": 2}, (960, 640), "L"),
    ("sviro_illumination", {"sceneries": 2, "variants": 1}, (960, 640), "L"),
    ("sviro_nocar", {"sceneries": 2, "variants": 1}, (960, 640), "L"),
    ("ticam", {"sceneries": 2}, (512, 512), "I;16"),
    ("ticam", {"sceneries": 2, "depth": 8}, (512, 512), "L"),
])
def test_images_have_the_downloads_size_and_depth(tmp_path, name, options, size, mode):
    folder = write_standin(name, tmp_path, **options)
    assert folder == tmp_path / KINDS[name].folder
    for path in folder.rglob("*.png"):
        with Image.open(path) as image:
            assert (image.size, image.mode) == (size, mode)
            values = np.asarray(image)
        assert values.max() <= (4000 if mode == "I;16" else 255)
        assert len(np.unique(values)) > (600 if mode == "I;16" else 60)


@pytest.mark.parametrize(("name", "stage"), [("sviro", vehicles.SVIRO_STAGE), ("ticam", vehicles.TICAM_STAGE)])
def test_the_stage_is_what_the_reader_keeps(tmp_path, name, stage):
    values = np.zeros((stage.height, stage.width), np.uint8)
    values[stage.top : stage.top + stage.side, stage.left : stage.left + stage.side] = 255
    Image.fromarray(values).save(tmp_path / "stage.png")
    assert create_reader(name, tmp_path, [], None).prepare(str(tmp_path / "stage.png"), stage.side).min() == 255
    assert (values == 255).sum() == stage.side**2


@pytest.mark.parametrize("raw", range(1, 7))
def test_an_occupant_sits_on_its_seat_and_an_empty_seat_shows_the_background(raw):
    for seat in range(3):
        seats = tuple(raw if i == seat else 0 for i in range(3))
        cover = draw_scenery(SMALL, seats, None, np.random.default_rng(seat))[1]
        assert cover.sum() > 30
        middle = (cover.sum(axis=0) * np.arange(SMALL.width)).sum() / cover.sum() / SMALL.width
        assert int(middle * 3) == seat
    assert draw_scenery(SMALL, (0, 0, 0), None, np.random.default_rng(0))[1].max() == 0


def seat_samples(seeds, gap):
    """Return the pixels (n, 48 x 16) of seats and their labels (n,), contrast removed."""
    pixels, labels = [], []
    for seed in seeds:
        seats = np.random.default_rng([seed, 1]).integers(0, 4, 3).tolist()
        image = picture(tuple(seats), gap, [seed, 2])
        for seat, label in enumerate(seats):
            part = image[:, 16 * seat : 16 * seat + 16].ravel()
            pixels.append((part - part.mean()) / part.std())
            labels.append(label)
    return np.array(pixels), np.array(labels)


def test_seats_can_be_learnt_and_the_gap_makes_it_harder():
    classifier = KNeighborsClassifier(5).fit(*seat_samples(range(260), 0.0))
    near, far = (classifier.score(*seat_samples(range(1000, 1120), gap)) for gap in (0.0, 1.0))
    assert near > 0.8
    assert 0.5 < far < near - 0.03


def test_pictures_move_away_from_the_clean_look_as_the_gap_grows():
    clean = [picture((3, 2, 1), 0.0, seed) for seed in range(12)]
    away = [np.mean([np.abs(picture((3, 2, 1), gap, seed) - clean[seed]).mean() for seed in range(12)])
            for gap in (0.1, 0.4, 0.7, 1.0)]
    assert away == sorted(away)
    assert away[0] > 0.002
    assert away[-1] > 3 * away[0]
    arms = [arm.draw_block((0, 0, 1, 1), gap, 2, np.random.default_rng(0)).astype(float)
            for gap in (0.0, 0.2, 0.4, 0.7, 1.0)]
    away = [np.abs(other - arms[0]).mean() for other in arms]
    assert away == sorted(away)
    assert away[1] > 0.3


def test_variants_share_the_scenery_and_cars_look_different(tmp_path):
    write_standin("sviro_illumination", tmp_path, sceneries=2, variants=4)
    listing = listed("sviro_illumination", tmp_path)
    images = np.array([[np.asarray(Image.open(path), dtype=float) for path in paths] for paths in listing.sources])
    flat = images.reshape(2, 4, -1)
    assert all(not np.array_equal(flat[0, 0], flat[0, i]) for i in (1, 2, 3))
    assert np.corrcoef(flat[0])[0, 1:].min() > np.corrcoef(flat[0, 0], flat[1, 0])[0, 1]
    cars = [draw_scenery(SMALL, (0, 0, 0), car, np.random.default_rng(0))[0] for car in ("tesla", "tesla", "zoe")]
    assert np.array_equal(cars[0], cars[1])
    assert not np.array_equal(cars[0], cars[2])


def test_images_depend_on_seed_and_place_but_not_on_processes(tmp_path, monkeypatch):
    options = {"sceneries": 3, "variants": 2, "gap": 0.5}
    alone = digest(write_standin("sviro_nocar", tmp_path / "a", seed=4, **options))
    monkeypatch.setattr(store, "_FEW", 1)
    assert digest(write_standin("sviro_nocar", tmp_path / "b", seed=4, **options)) == alone
    monkeypatch.undo()
    other = digest(write_standin("sviro_nocar", tmp_path / "c", seed=5, **options))
    assert not set(alone.values()) & set(other.values())
    assert len(set(alone.values())) == len(alone)


def test_mnist_and_digit_photos_are_read_with_their_digits(tmp_path):
    write_standin("mnist", tmp_path, sceneries=700)
    train, test = (listed("mnist", tmp_path, split) for split in ("train", "test"))
    assert (len(train.labels), len(test.labels)) == (600, 100)
    assert len(set(train.labels)) == len(set(test.labels)) == 10
    reader = create_reader("mnist", tmp_path, [], "train")
    pixels = np.array([reader.prepare(sources[0], 28)[0] for sources in train.sources], dtype=float)
    assert pixels[:, 0, 0].mean() < 20 < pixels.max(axis=(1, 2)).min()
    labels = [label[0] for label in train.labels]
    nearest = KNeighborsClassifier(1).fit(pixels[:500].reshape(500, -1), labels[:500])
    assert nearest.score(pixels[500:].reshape(100, -1), labels[500:]) > 0.5
    write_standin("digit_photos", tmp_path, sceneries=20)
    listing = listed("digit_photos", tmp_path)
    assert [label[0] for label in listing.labels] == [i // 2 for i in range(20)]
    images = [Image.open(sources[0]) for sources in listing.sources]
    assert {image.mode for image in images} == {"RGB"}
    assert len({image.size for image in images}) > 10


@pytest.fixture(scope="module")
def mpi3d(tmp_path_factory):
    return write_standin("mpi3d", tmp_path_factory.mktemp("mpi3d"), steps=2)


def test_mpi3d_holds_every_combination_with_the_last_factor_fastest(mpi3d):
    assert {path.name for path in mpi3d.iterdir()} == {"toy.npz", "realistic.npz", "real.npz"}
    with np.load(mpi3d / "toy.npz", allow_pickle=False) as archive:
        assert archive["factor_sizes"].tolist() == [4, 4, 2, 3, 3, 2, 2]
        assert archive["factor_sizes"].dtype == np.int64
        assert archive["images"].shape == (4 * 4 * 2 * 3 * 3 * 2 * 2, 64, 64, 3)
        assert archive["images"].dtype == np.uint8
        images = archive["images"].reshape(4, 4, 2, 3, 3, 2, 2, 64, 64, 3)
    for values, factor in ((arm.COLOURS, 0), (arm.BACKGROUNDS, 4)):
        for value, colour in enumerate((values * 255).round().astype(int)):
            # Pixels of that colour, per value of the factor.
            found = (np.abs(images - colour).max(axis=-1) <= 1).sum(axis=(-1, -2))
            per_value = found.sum(axis=tuple(axis for axis in range(7) if axis != factor))
            assert per_value.argmax() == value
            assert np.sort(per_value)[-2] < 0.01 * per_value[value]
    objects = (np.abs(images[0] - (arm.COLOURS[0] * 255).round()).max(axis=-1) <= 1).sum(axis=(-1, -2))
    assert (objects[:, 1] > 1.5 * objects[:, 0]).all()
    tip = np.abs(images[0] - (arm.COLOURS[0] * 255).round()).max(axis=-1) <= 1
    across = (tip.sum(axis=-2) * np.arange(64)).sum(axis=-1) / tip.sum(axis=(-1, -2))
    up = -(tip.sum(axis=-1) * np.arange(64)).sum(axis=-1) / tip.sum(axis=(-1, -2))
    assert (across[..., 0, 0] < across[..., 1, 0]).all()
    assert (up[..., 1] > up[..., 0]).all()


def test_mpi3d_is_listed_by_its_reader_with_large_objects_only(mpi3d):
    listing = listed("mpi3d", mpi3d.parent, factor=["real"])
    assert len(listing.labels) == 288 * 2 * 2 // 2
    assert {label[2] for label in listing.labels} == {1}


def test_mpi3d_domains_share_geometry_and_differ_in_looks(mpi3d):
    toy, realistic, real = (np.load(mpi3d / f"{domain}.npz")["images"].astype(float)
                            for domain in ("toy", "realistic", "real"))
    assert np.abs(toy - real).mean() > np.abs(toy - realistic).mean() > 3
    for other in (realistic, real):
        assert np.corrcoef(toy[::37].ravel(), other[::37].ravel())[0, 1] > 0.7


def test_mpi3d_is_an_uncompressed_archive_and_as_large_as_the_download_lacks_the_sizes(mpi3d, tmp_path, monkeypatch):
    with zipfile.ZipFile(mpi3d / "real.npz") as archive:
        assert {member.compress_type for member in archive.infolist()} == {zipfile.ZIP_STORED}
        assert archive.testzip() is None
    monkeypatch.setattr(arm, "AXES", 2)
    arm.write_domain(tmp_path / "same.npz", "real", 1.0, 2, seed=0)
    same, first = np.load(tmp_path / "same.npz"), np.load(mpi3d / "real.npz")
    assert same.files == ["images"]
    assert np.array_equal(same["images"], first["images"])


def test_mpi3d_is_written_in_bounded_memory(tmp_path):
    tracemalloc.start()
    try:
        arm.write_domain(tmp_path / "toy.npz", "toy", 0.0, 6, seed=0)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < (tmp_path / "toy.npz").stat().st_size / 3


def refusal(*arguments, **options):
    with pytest.raises(UserError) as error:
        write_standin(*arguments, **options)
    return str(error.value)


@pytest.mark.parametrize(("name", "options", "message"), [
    ("svir", {}, "did you mean 'sviro'?"),
    ("sviro", {"variants": 3}, "--variants: does not apply to sviro; what applies: --sceneries, --factor, --gap"),
    ("sviro", {"depth": 8}, "--depth: does not apply"),
    ("ticam", {"factors": ["tesla"]}, "--factor: does not apply"),
    ("ticam", {"depth": 12}, "--depth: found 12; allowed: 8, 16"),
    ("mpi3d", {"sceneries": 5}, "--sceneries: does not apply"),
    ("mpi3d", {"steps": 41}, "--steps: found 41; allowed for mpi3d: 1 to 40"),
    ("mpi3d", {"factors": ["tay"]}, "did you mean 'toy'?"),
    ("mnist", {"gap": 0.5}, "--gap: does not apply"),
    ("digit_photos", {"sceneries": 9}, "--sceneries: found 9; allowed for digit_photos: 10 and above"),
    ("sviro", {"sceneries": 1}, "2 and above"),
    ("sviro", {"gap": 1.1}, "--gap: found 1.1; allowed for sviro: 0 to 1"),
    ("sviro", {"gap": float("nan")}, "--gap: found nan"),
    ("sviro", {"factors": ["../x"]}, "--factor: '../x' cannot be a folder's name"),
    ("sviro", {"seed": -1}, "--seed: found -1"),
])
def test_options_that_make_no_sense_are_refused_in_one_line(tmp_path, name, options, message):
    assert message in refusal(name, tmp_path / "out", **options)
    assert not (tmp_path / "out").exists()


def test_a_folder_that_exists_is_left_as_it_is(tmp_path):
    (tmp_path / "SVIRO").mkdir()
    (tmp_path / "SVIRO" / "mine").write_text("precious")
    assert f"{tmp_path / 'SVIRO'} exists already" in refusal("sviro", tmp_path)
    assert [path.name for path in tmp_path.rglob("*")] == ["SVIRO", "mine"]
    assert "looks like the real download" in refusal("sviro", tmp_path / "SVIRO")
    (tmp_path / "seats_and_people_nocar").mkdir()
    assert "exists already" in refusal("sviro_nocar", tmp_path)
    assert "cannot be written" in refusal("ticam", tmp_path / "SVIRO" / "mine")
    assert (tmp_path / "SVIRO" / "mine").read_text() == "precious"


def test_an_interruption_leaves_nothing(tmp_path, monkeypatch):
    written = []

    def save(image, path, *_):
        if len(written) == 3:
            raise KeyboardInterrupt
        written.append(path)
        path.touch()

    monkeypatch.setattr(vehicles, "save", save)
    with pytest.raises(KeyboardInterrupt):
        write_standin("sviro", tmp_path, sceneries=6)
    assert len(written) == 3
    assert list(tmp_path.iterdir()) == []


def test_what_a_killed_process_left_is_replaced_but_not_what_one_is_writing(tmp_path):
    left = tmp_path / ".TICaM.partial"
    (left / "train").mkdir(parents=True)
    (left / "train" / "rest.png").touch()
    handle = os.open(left, os.O_RDONLY)
    fcntl.flock(handle, fcntl.LOCK_EX)
    assert "in use by another process" in refusal("ticam", tmp_path, sceneries=2)
    assert (left / "train" / "rest.png").exists()
    os.close(handle)
    folder = write_standin("ticam", tmp_path, sceneries=2)
    assert {path.name for path in tmp_path.iterdir()} == {"TICaM", "TICaM.STAND-IN.txt"}
    assert not (folder / "train" / "rest.png").exists()
    assert len(listed("ticam", tmp_path).labels) == 2


def test_a_notice_says_what_it_is_and_how_it_was_drawn(tmp_path):
    folder = write_standin("digit_photos", tmp_path, sceneries=11, seed=3)
    assert {path.name for path in folder.iterdir()} == set("0123456789")
    text = (tmp_path / "digit_photos.STAND-IN.txt").read_text()
    assert "stand-in of digit_photos, not the dataset" in text
    assert "--sceneries 11\n  --seed 3\n" in text


def command(*arguments):
    return [sys.executable, "-m", "standin", *map(str, arguments)]


def group_is_alive(leader: int) -> bool:
    try:
        os.killpg(leader, 0)
    except ProcessLookupError:
        return False
    return True


def test_a_killed_command_ends_its_processes_and_leaves_nothing(tmp_path):
    process = subprocess.Popen(command("--dataset", "ticam", "--out", tmp_path), cwd=PROJECT,
                               stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)
    deadline = time.monotonic() + 60
    while len(list(tmp_path.rglob("*.png"))) < 8:
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.05)
    process.send_signal(signal.SIGTERM)
    assert process.wait(timeout=60) == 128 + signal.SIGTERM
    while group_is_alive(process.pid):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert list(tmp_path.iterdir()) == []


def test_the_command_draws_and_refuses_in_one_line_without_torch(tmp_path):
    arguments = ("--dataset", "sviro", "--sceneries", 2, "--factor", "zoe", "--out", tmp_path)
    first, second = (subprocess.run(command(*arguments), cwd=PROJECT, capture_output=True, text=True, check=False)
                     for _ in range(2))
    assert (first.returncode, first.stderr) == (0, "")
    assert first.stdout.startswith(str(tmp_path / "SVIRO"))
    assert second.returncode == 2
    assert second.stderr.startswith("error: --out: ")
    assert second.stderr.count("\n") == 1
    code = "import sys, standin; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=PROJECT, check=False).returncode == 0
