"""Stand-ins: accepted by the readers, labelled as drawn, deterministic, whole or not there."""

import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from refusals import refused
from sklearn.neighbors import KNeighborsClassifier

from readers import create_reader
from standin import KINDS, arm, vehicles, write_standin
from standin.cabin import Stage, draw_scenery, expose

PROJECT = Path(__file__).parent.parent.parent
SMALL = Stage(width=48, height=48, left=0, top=0, side=48)


def listed(name, root, split="all", factor=()):
    return create_reader(name, root, list(factor), split).listing()


def picture(seats, gap, seed, car="tesla"):
    rng = np.random.default_rng(seed)
    return expose(draw_scenery(SMALL, seats, car, rng), gap, rng)


@pytest.mark.parametrize(("name", "options", "train", "test", "variants"), [
    ("sviro", {"sceneries": 151, "factors": ["tesla", "zoe", "tesla"]}, 150, 152, 1),
    ("sviro_illumination", {"sceneries": 9, "factors": ["kona"]}, 4, 5, 10),
    ("sviro_nocar", {"variants": 1}, 2938, 2981, 1),
    ("sviro_nocar", {"sceneries": 2}, 1, 1, 10),
    ("ticam", {"sceneries": 600}, 300, 300, 1),
])
def test_readers_list_the_labels_that_were_drawn(tmp_path, monkeypatch, name, options, train, test, variants):
    drawn = {"train": {}, "test": {}}

    def touch(paths, stage, raw, *_):
        scenery = paths[0].parent if paths[0].stem == "0" else paths[0]
        drawn["train" if "train" in scenery.parts else "test"][scenery.stem] = tuple(raw)
        paths[0].parent.mkdir(parents=True, exist_ok=True)
        for path in paths:
            path.touch()
        return len(paths)

    monkeypatch.setattr(vehicles, "_draw", touch)
    monkeypatch.setattr(vehicles, "_FEW", 10**6)
    assert write_standin(name, tmp_path, **options) == tmp_path / KINDS[name].folder
    assert (len(drawn["train"]), len(drawn["test"])) == (train, test)
    for split, found in drawn.items():
        listing = listed(name, tmp_path, split)
        # Objects count as nobody, and what shows an empty child seat is left out.
        kept = {scenery: tuple(0 if label == 4 else label for label in raw) for scenery, raw in found.items()
                if not {5, 6} & set(raw)}
        assert {Path(key).name: label for key, label in zip(listing.sceneries, listing.labels, strict=True)} == kept
        assert {len(sources) for sources in listing.sources} == {variants}
    if name in ("sviro", "ticam"):
        assert {raw[0] for raw in drawn["train"].values()} == set(range(7 if name == "sviro" else 5))
    if name == "ticam":
        assert len({(code, name[-7:-4]) for name in drawn["test"] for code in ("_s01_", "_s11_") if code in name}) == 8


@pytest.mark.parametrize(("folder", "format", "most"), [
    ("SVIRO", ((960, 640), "L"), 255), ("SVIRO-Illumination", ((960, 640), "L"), 255),
    ("SEATS_AND_PEOPLE_NOCAR", ((960, 640), "L"), 255), ("TICaM", ((512, 512), "I;16"), 4000)])
def test_images_have_the_downloads_size_and_depth(standins, folder, format, most):
    for image in map(Image.open, (standins / folder).rglob("*.png")):
        assert (image.size, image.mode) == format
        assert np.asarray(image).max() <= most
        assert len(np.unique(image)) > most / 8


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
        scenery = draw_scenery(SMALL, np.eye(3, dtype=int)[seat] * raw, None, np.random.default_rng(seat))
        covered = np.nonzero(np.asarray(scenery)[..., 1])[1]
        assert len(covered) > 30
        assert covered.mean() * 3 // SMALL.width == seat
    assert draw_scenery(SMALL, (0, 0, 0), None, np.random.default_rng(0)).getextrema()[1] == (0, 0)


def seat_samples(seeds, gap):
    """Return the pixels (n, 48 x 16) of seats and their labels (n,), contrast removed."""
    pixels, labels = [], []
    for seed in seeds:
        seats = np.random.default_rng([seed, 1]).integers(0, 4, 3)
        parts = picture(tuple(seats), gap, [seed, 2]).reshape(48, 3, 16).transpose(1, 0, 2).reshape(3, -1)
        pixels.append((parts - parts.mean(axis=1, keepdims=True)) / parts.std(axis=1, keepdims=True))
        labels.append(seats)
    return np.concatenate(pixels), np.concatenate(labels)


def test_seats_can_be_learnt_and_the_gap_makes_it_harder():
    classifier = KNeighborsClassifier(5).fit(*seat_samples(range(260), 0.0))
    near, far = (classifier.score(*seat_samples(range(1000, 1120), gap)) for gap in (0.0, 1.0))
    assert near > 0.8
    assert 0.5 < far < near - 0.03


def test_variants_share_the_scenery_and_cars_look_different(standins):
    listing = listed("sviro_illumination", standins)
    flat = np.array([[np.asarray(Image.open(path), dtype=float).ravel() for path in paths]
                     for paths in listing.sources[:2]])
    assert not np.array_equal(flat[0, 0], flat[0, 1])
    assert np.corrcoef(flat[0])[0, 1] > np.corrcoef(flat[0, 0], flat[1, 0])[0, 1]
    tesla, zoe = (picture((0, 0, 0), 0, 0, car) for car in ("tesla", "zoe"))
    assert np.abs(tesla - zoe).mean() > 0.02


def test_the_command_draws_in_processes_what_one_process_draws_and_leaves_a_notice(tmp_path):
    code = ("import runpy, standin.vehicles, sys; standin.vehicles._FEW = 3; "
            "runpy.run_module('standin', run_name='__main__'); sys.exit('torch' in sys.modules)")
    arguments = f"--dataset ticam --sceneries 4 --seed 4 --gap 0.5 --out {tmp_path}"
    done = subprocess.run([sys.executable, "-c", code, *arguments.split()], cwd=PROJECT, capture_output=True,
                          text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith(str(tmp_path / "TICaM"))
    assert {path.name for path in tmp_path.iterdir()} == {"TICaM", "TICaM.STAND-IN.txt"}
    text = (tmp_path / "TICaM.STAND-IN.txt").read_text()
    assert "stand-in of ticam, not the dataset" in text
    assert text.endswith("  --sceneries 4\n  --gap 0.5\n  --seed 4\n")
    folders = [write_standin("ticam", tmp_path / str(seed), seed, sceneries=4, gap=0.5) for seed in (4, 5)]
    first, same, other = ({path.name: path.read_bytes() for path in folder.rglob("*.png")}
                          for folder in (tmp_path / "TICaM", *folders))
    assert first == same
    assert len(set(first.values()) | set(other.values())) == 2 * 4


def test_mnist_and_digit_photos_are_read_with_their_digits(tmp_path, standins):
    write_standin("mnist", tmp_path, sceneries=700)
    train, test = (listed("mnist", tmp_path, split) for split in ("train", "test"))
    assert (len(train.labels), len(test.labels)) == (600, 100)
    reader, labels = create_reader("mnist", tmp_path, [], "train"), [label[0] for label in train.labels]
    pixels = np.array([reader.prepare(sources[0], 28).ravel() for sources in train.sources], dtype=float)
    assert pixels[:, 0].mean() < 20 < pixels.max(axis=1).min()
    assert KNeighborsClassifier(1).fit(pixels[:500], labels[:500]).score(pixels[500:], labels[500:]) > 0.5
    photos = listed("digit_photos", standins)
    assert [label[0] for label in photos.labels] == list(range(10))
    images = [Image.open(sources[0]) for sources in photos.sources]
    assert {image.mode for image in images} == {"RGB"}
    assert len({image.size for image in images}) > 5


@pytest.fixture(scope="module")
def mpi3d(tmp_path_factory):
    return write_standin("mpi3d", tmp_path_factory.mktemp("mpi3d"), steps=2)


def test_mpi3d_holds_every_combination_with_the_last_factor_fastest(mpi3d):
    assert {path.name for path in mpi3d.iterdir()} == {"toy.npz", "realistic.npz", "real.npz"}
    with np.load(mpi3d / "toy.npz", allow_pickle=False) as archive:
        images, sizes = archive["images"], archive["factor_sizes"]
    assert (sizes.tolist(), sizes.dtype, images.dtype) == ([4, 4, 2, 3, 3, 2, 2], np.int64, np.uint8)
    images = images.reshape(*sizes, 64, 64, 3)
    tables = np.stack([(images[:, :, :, :, i] == colour).all(axis=-1) for i, colour in enumerate(arm.BACKGROUNDS)])
    assert tables.sum(axis=(-1, -2)).min() > 200
    objects = np.stack([(images[i] == colour).all(axis=-1) for i, colour in enumerate(arm.COLOURS)])
    count = objects.sum(axis=(-1, -2))
    across, down = ((objects.sum(axis=axis) * np.arange(64)).sum(axis=-1) / count for axis in (-2, -1))
    assert (count[:, :, 1] > 1.5 * count[:, :, 0]).all()
    assert (across[..., 0, :] < across[..., 1, :]).all()
    assert (down[..., 1] < down[..., 0]).all()


def test_mpi3d_is_listed_with_large_objects_only_and_domains_share_geometry(mpi3d):
    listing = listed("mpi3d", mpi3d.parent, factor=["real"])
    assert (len(listing.labels), {label[2] for label in listing.labels}) == (288 * 2 * 2 // 2, {1})
    toy, realistic, real = (np.load(mpi3d / f"{domain}.npz")["images"][::37].astype(float) for domain in arm.DOMAINS)
    assert np.abs(toy - real).mean() > np.abs(toy - realistic).mean() > 1
    assert min(np.corrcoef(toy.ravel(), other.ravel())[0, 1] for other in (realistic, real)) > 0.7


def test_mpi3d_is_an_uncompressed_archive_and_as_large_as_the_download_lacks_the_sizes(mpi3d, tmp_path, monkeypatch):
    with zipfile.ZipFile(mpi3d / "real.npz") as archive:
        assert {member.compress_type for member in archive.infolist()} == {zipfile.ZIP_STORED}
    monkeypatch.setattr(arm, "AXES", 2)
    same = np.load(write_standin("mpi3d", tmp_path, steps=2, factors=["real"]) / "real.npz")
    assert same.files == ["images"]
    assert np.array_equal(same["images"], np.load(mpi3d / "real.npz")["images"])


@pytest.mark.parametrize(("name", "options", "message"), [
    ("svir", {}, "did you mean 'sviro'?"),
    ("sviro", {"variants": 3}, "--variants: does not apply to sviro; what applies: --sceneries, --factor, --gap"),
    ("mpi3d", {"steps": 41}, "--steps of mpi3d: found 41; allowed: 1 to 40"),
    ("mpi3d", {"factors": ["tay"]}, "did you mean 'toy'?"),
    ("digit_photos", {"sceneries": 9}, "--sceneries of digit_photos: found 9; allowed: 10 or more"),
    ("sviro", {"gap": 1.1}, "--gap of sviro: found 1.1; allowed: 0 to 1"),
    ("sviro", {"gap": float("nan")}, "--gap of sviro: found nan"),
    ("sviro", {"factors": ["../x"]}, "--factor: '../x' cannot be a folder's name"),
    ("sviro", {"seed": -1}, "--seed: found -1"),
])
def test_options_that_make_no_sense_are_refused_in_one_line(tmp_path, name, options, message):
    assert message in refused(write_standin, name, tmp_path / "out", **options)
    assert not (tmp_path / "out").exists()


def test_a_folder_that_exists_is_left_as_it_is(tmp_path):
    (tmp_path / "SVIRO").mkdir()
    (tmp_path / "SVIRO" / "mine").write_text("precious")
    assert f"{tmp_path / 'SVIRO'} exists already" in refused(write_standin, "sviro", tmp_path)
    assert [path.name for path in tmp_path.rglob("*")] == ["SVIRO", "mine"]
    assert "looks like the real download" in refused(write_standin, "sviro", tmp_path / "SVIRO")
    (tmp_path / "seats_and_people_nocar").mkdir()
    assert "exists already" in refused(write_standin, "sviro_nocar", tmp_path)
    assert "cannot be written" in refused(write_standin, "ticam", tmp_path / "SVIRO" / "mine")
    assert (tmp_path / "SVIRO" / "mine").read_text() == "precious"


def test_an_interruption_leaves_nothing(tmp_path, monkeypatch):
    seen = []

    def expose(*_):
        seen.append(len(list(tmp_path.rglob("*.png"))))
        if len(seen) == 4:
            raise KeyboardInterrupt
        return np.zeros((4, 4), np.float32)

    monkeypatch.setattr(vehicles, "expose", expose)
    with pytest.raises(KeyboardInterrupt):
        write_standin("sviro", tmp_path, sceneries=6)
    assert seen == [0, 1, 2, 3]
    assert list(tmp_path.iterdir()) == []
