import csv
import io

import numpy as np
import pytest
import torch
from PIL import Image
from skimage.data import chelsea, coffee

from evaluation.image_distance import EfficientNetFeatures, frechet, kernel
from evaluation.image_folder import batches, features_of, find

SCRIPT = "compute_image_distance.py"


def crops(folder, picture, count, seed, suffix="png"):
    """Write random crops of a photograph, half of them in a folder below."""
    draw = np.random.default_rng(seed)
    for i in range(count):
        place = folder / ("below" if i % 2 else ".")
        place.mkdir(parents=True, exist_ok=True)
        top, left = (draw.integers(0, side - 120) for side in picture.shape[:2])
        Image.fromarray(picture[top:top + 120, left:left + 120]).save(place / f"{i}.{suffix}")
    return folder


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    root = tmp_path_factory.mktemp("images")
    return {"A": crops(root / "A", chelsea(), 8, 0, "jpg"), "B": crops(root / "B", chelsea(), 12, 1),
            "C": crops(root / "C", coffee(), 8, 2)}


def table(text):
    header, *lines = csv.reader(io.StringIO(text))
    return {line[0]: dict(zip(header, line, strict=True)) for line in lines}


def test_distances_with_floor_and_ceiling(script, folders):
    code, out, _ = script(SCRIPT, folders["A"], folders["B"], "--untranslated", folders["C"], "--format", "csv")
    assert code == 0
    rows = table(out)
    assert {role: (row["n"], row["n of the other"]) for role, row in rows.items()} == {
        "distance": ("8", "12"), "floor": ("6", "6"), "ceiling": ("8", "12")}
    name = "Fréchet distance efficientnet_lite0 ↓"
    found = {role: float(row[name]) for role, row in rows.items()}
    assert found["distance"] < found["ceiling"]
    assert found["floor"] < found["ceiling"]
    # The same by the functions themselves.
    network = EfficientNetFeatures()
    first, second = (features_of(find(folders[key], None, 0), [network], None, key, torch.device("cpu")).features[0]
                     for key in "AB")
    assert rows["distance"][name] == f"{frechet(first, second):.1f}"
    values = 1000 * kernel(first, second, 100, 3, 0)
    name = "1000 × kernel distance efficientnet_lite0 ↓"
    assert rows["distance"][name] == f"{values.mean():.2f} ± {values.std():.2f}"


def test_the_note_says_how(script, folders):
    code, out, _ = script(SCRIPT, folders["A"], folders["B"], "--size", 64, 32, "--limit", 6, "--subsets", 7)
    text = " ".join(out.split())
    assert code == 0
    assert f"A: {folders['A']}, n = 6, 120x120 JPG." in text
    assert "resized to 64x32 and then to 224x224 for EfficientNet-Lite0" in text
    assert "over 7 pairs of subsets of 2 images, seed 0" in text
    assert "no FID and KID" in text
    assert "weights-inception-2015-12-05-6726825d.pth" in text


def test_fid_and_kid_come_with_weights(script, folders, tmp_path, monkeypatch):
    class Plain:
        side, names, about = 8, ("fid", "kid"), "mean colours"
        module = torch.nn.Identity()

        def __init__(self, file):
            assert file == weights

        def __call__(self, images):
            return images.float().mean((2, 3))

    monkeypatch.setattr("evaluation.image_distance.InceptionFeatures", Plain)
    weights = tmp_path / "weights.pth"
    code, out, _ = script(SCRIPT, folders["B"], folders["B"], "--inception", weights, "--format", "csv")
    assert code == 0
    assert table(out)["distance"]["FID ↓"] == "0.0"
    assert "1000 × KID ↓" in table(out)["floor"]


def test_batches_keep_the_order_and_leave_nothing_out(tmp_path):
    for i in range(100):
        Image.new("RGB", (20, 10), (i, 2 * i, 0)).save(tmp_path / f"{i:03}.png")
    files = find(tmp_path, None, 0)
    found = [(names, seen) for names, (seen, _) in batches(files, None, [4, 6])]
    assert {name for names, _ in found for name in names} == {"20x10 PNG"}
    assert torch.cat([seen for _, seen in found])[:, 0, 0, 0].tolist() == list(range(100))
    assert found[0][1].shape[1:] == (3, 4, 4)
    some = find(tmp_path, 10, 0)
    assert (len(some), some == sorted(some)) == (10, True)
    assert some == find(tmp_path, 10, 0) != find(tmp_path, 10, 1)


def mistake(script, *arguments):
    code, out, err = script(SCRIPT, *arguments)
    assert (code, out) == (2, "")
    assert err.count("\n") == 1
    return err


def test_mistakes_are_one_line(script, folders, tmp_path):
    a, b = folders["A"], folders["B"]
    empty, single = tmp_path / "empty", crops(tmp_path / "single", chelsea(), 1, 0)
    empty.mkdir()
    assert "no such folder" in mistake(script, tmp_path / "absent", b)
    assert "no images" in mistake(script, a, empty)
    assert "A has 1 image(s), too few" in mistake(script, single, b)
    assert "half of B has 6 image(s), too few for subsets of 7; allowed: --subset-size 2 to 6" in mistake(
        script, a, b, "--subset-size", 7)
    assert "--limit: found 3; allowed: 4 or more" in mistake(script, a, b, "--limit", 3)
    assert "--size" in mistake(script, a, b, "--size", 0, 32)
    assert "no such weights file" in mistake(script, a, b, "--inception", tmp_path / "absent.pth")


def test_a_broken_image_is_named_and_no_table_is_written(script, folders, tmp_path):
    broken = crops(tmp_path / "broken", chelsea(), 6, 0)
    (broken / "4.png").write_bytes((broken / "4.png").read_bytes()[:2000])
    assert "4.png: image cannot be read" in mistake(script, broken, folders["B"], "--out", tmp_path / "table.txt")
    assert not (tmp_path / "table.txt").exists()
