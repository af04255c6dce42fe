"""Scripts that look at datasets before anything is trained."""

import csv

import numpy as np
from PIL import Image

from readers import create_reader


def test_inspection_counts_classes_and_draws_samples_and_pairs(succeed, config_file, tmp_path, monkeypatch):
    drawn = {}
    monkeypatch.setattr("reporting.pictures.save_figure", lambda figure, path: drawn.update({path.name: figure}))
    out = succeed("inspect_dataset.py", config_file(limit=40), "--out", tmp_path / "look", "--set",
                  "training.make_instance_impossible=true")
    labels = create_reader("glyphs", "x", [], None).listing().limited(40).labels
    glyph_lines = [line.split() for line in out.split("handwritten")[0].splitlines() if line.strip()[:1].isdigit()]
    assert glyph_lines == [[str(digit), str(labels.count((digit,))), str(10 * labels.count((digit,)))]
                           for digit in range(10)]
    assert set(drawn) == {"data_glyphs_train.png", "data_handwritten_all.png", "pairs.png"}
    titles = [[ax.get_title() for ax in drawn["pairs.png"].axes[row * 10 : row * 10 + 10]] for row in range(6)]
    assert titles[0] == titles[1] == titles[2] == titles[3] == [str(digit) for digit in range(10)]
    assert titles[4] == titles[5]
    assert all(own != other for own, other in zip(titles[0], titles[4], strict=True))


def test_complexity_is_tabulated_per_dataset(fail, succeed, cache, tmp_path):
    command = ("compute_complexity_dataset.py", "handwritten", "glyphs", "--size", 32, "--limit", 20, "--cache", cache)
    succeed(*command, "--format", "csv", "--out", tmp_path / "table.csv")
    lines = [line.split(",") for line in (tmp_path / "table.csv").read_text().splitlines()]
    assert [line[:3] for line in lines[1:]] == [["handwritten", "all", "20"], ["glyphs", "train", "200"]]
    assert all(0 < float(line[3]) < 8 and float(line[3]) < float(line[4]) < 16 for line in lines[1:])
    assert "did you mean 'glyphs'" in fail("compute_complexity_dataset.py", "glyph")


def write_sviro(root):
    """Two cars with both splits; every second scenery of training has an adult, one is dropped, one has no label."""
    names = {"train": ["0_0_3", "0_0_1", "0_0_3", "5_0_0"], "test": ["0_0_1", "0_1_0"]}
    for car in ("i3", "x5"):
        for split, labels in names.items():
            folder = root / "SVIRO" / car / split / "grayscale_wholeImage"
            folder.mkdir(parents=True)
            for i, label in enumerate(labels):
                pixels = np.random.default_rng(i).integers(0, 256, (40, 60), dtype=np.uint8)
                Image.fromarray(pixels).save(folder / f"{car}_{split}_imageID_{i}_GT_{label}.png")
    odd = folder / "x5_test_imageID_9.png"
    Image.new("L", (60, 40)).save(odd)
    return odd


def test_inspection_counts_per_split_and_lists_what_is_left_out_and_why(succeed, config_file, tmp_path):
    odd = write_sviro(tmp_path)
    overrides = ["dataset.name=sviro", "dataset.split=all", f"dataset.root={tmp_path}", "dataset.factor=[\"i3\"]",
                 'evaluation.datasets=[{name="sviro", factor="x5", split="all", skip_bad=true}]']
    out = succeed("inspect_dataset.py", config_file(), "--out", tmp_path / "look", "--set", *overrides)
    first = out.split("sviro (x5)")[0]
    header = next(line for line in first.splitlines() if "class" in line)
    assert header.split() == ["class", "train:", "sceneries", "test:", "sceneries", "sceneries", "images"]
    rows = [line.split() for line in first.splitlines() if line.strip()[:1].isdigit() or line.strip().startswith("all")]
    assert rows == [["0_0_1", "1", "1", "2", "2"], ["0_0_3", "2", "0", "2", "2"], ["0_1_0", "0", "1", "1", "1"],
                    ["all", "3", "2", "5", "5"]]
    with (tmp_path / "look" / "left_out.csv").open() as file:
        table = list(csv.reader(file))
    assert table[0] == ["dataset", "reason", "source"]
    assert [row[0] for row in table[1:]] == ["sviro (i3)", "sviro (x5)", "sviro (x5)"]
    assert table[3][1:] == ["no label in the name; expected it to end with _GT_<left>_<middle>_<right>", str(odd)]
    assert "1 left out: an empty infant or child seat (raw label 5 or 6)" in " ".join(out.split())
    assert str(tmp_path / "look" / "left_out.csv") in out


def test_a_name_without_a_label_ends_a_script_unless_it_may_be_left_out(fail, succeed, config_file, tmp_path):
    odd = write_sviro(tmp_path)
    overrides = ["dataset.name=sviro", "dataset.split=all", f"dataset.root={tmp_path}", "evaluation.datasets=[]"]
    assert str(odd) in fail("train_ae.py", config_file(), "--dry-run", "--set", *overrides)
    out = succeed("train_ae.py", config_file(), "--dry-run", "--set", *overrides, "dataset.skip_bad=true")
    assert "2 left out: an empty infant or child seat (raw label 5 or 6); 1 left out: no label in the name" in out


def test_a_dataset_that_is_not_there_leaves_nothing_behind(fail, config_file, tmp_path):
    message = fail("inspect_dataset.py", config_file(), "--out", tmp_path / "look", "--set", "dataset.name=sviro",
                   f"dataset.root={tmp_path / 'nowhere'}")
    assert "no sviro at" in message
    assert not (tmp_path / "look").exists()
