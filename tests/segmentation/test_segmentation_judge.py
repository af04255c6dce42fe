"""What a network is judged by, against loops over pixels of images that go through it one at a time."""

import math

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from errors import UserError
from segmentation.config import Dataset
from segmentation.data import Frames
from segmentation.judge import SegmentationJudge, confusion_of

CPU = torch.device("cpu")
NAMES = ["sky", "building", "pole", "road", "sidewalk", "vegetation", "sign", "fence", "vehicle", "person", "bicyclist"]

sizes_seen = []


def open_frames(root, labels, split="train"):
    """Write CamVid with label maps (n, 20, 30) of raw ids, 11 being ignored, and noise as images."""
    for i, each in enumerate(labels):
        for folder, pixels in ((split, np.random.default_rng(i).integers(0, 256, (20, 30, 3))),
                               (f"{split}annot", each)):
            path = root / "CamVid" / folder / f"{i}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(pixels.astype(np.uint8)).save(path)
    section = Dataset(name="camvid", root=str(root), split=split, image_size=(32, 32), classes="street11")
    return Frames(section, "street11", str(root / "cache"), CPU)


@pytest.fixture
def frames(tmp_path):
    """Four ids in patches, classes 4 to 9 being in no label map."""
    patches = np.random.default_rng(1).choice([0, 1, 3, 10, 11], (9, 4, 5))
    return open_frames(tmp_path, patches.repeat(5, axis=1).repeat(6, axis=2))


class Guess(nn.Module):
    """Logits from colours, of batches whose sizes are noted; classes 8 on are never predicted, nor is 2."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.layer = nn.Conv2d(3, len(NAMES), 3, padding=1)
        with torch.no_grad():
            self.layer.bias[[2, 8, 9, 10]] = -99

    def forward(self, images):
        sizes_seen.append(len(images))
        return self.layer(images)


def naive_rows(model, frames):
    """Return the metrics by name, from a dictionary of pixels."""
    pairs = {}
    for i in range(len(frames)):
        images, labels = frames.take(torch.tensor([i]))
        scores = model(images)[0].permute(1, 2, 0).tolist()
        for truths, line in zip(labels[0].tolist(), scores, strict=True):
            for truth, pixel in zip(truths, line, strict=True):
                if truth != 255:
                    pair = (truth, max(range(len(pixel)), key=pixel.__getitem__))
                    pairs[pair] = pairs.get(pair, 0) + 1
    classes = range(len(NAMES))
    right = [pairs.get((k, k), 0) for k in classes]
    true = [sum(count for (truth, _), count in pairs.items() if truth == k) for k in classes]
    found = [sum(count for (_, guess), count in pairs.items() if guess == k) for k in classes]
    iou = {k: right[k] / (true[k] + found[k] - right[k]) for k in classes if true[k] + found[k]}
    there = [k for k in classes if true[k]]
    return {"miou": sum(iou[k] for k in there) / len(there), "miou_published": sum(iou.values()) / len(iou),
            "overall_accuracy": sum(right) / sum(true),
            "mean_accuracy": sum(right[k] / true[k] for k in there) / len(there)} | {
                f"iou/{NAMES[k]}": value for k, value in iou.items()}


@pytest.mark.parametrize("pixels", [2 * 32 * 32, 1_000_000])
def test_records_hold_what_a_loop_over_pixels_finds(frames, monkeypatch, pixels):
    monkeypatch.setattr("segmentation.judge.PIXELS", pixels)
    sizes_seen.clear()
    model = Guess()
    rows = SegmentationJudge(model, [frames]).rows()
    assert sizes_seen == ([2, 2, 2, 2, 1] if pixels < 1_000_000 else [9])
    assert {row["metric"]: row["value"] for row in rows} == pytest.approx(naive_rows(model, frames))
    assert rows[0]["metric"] == "miou"
    # Neither there nor found: no number, and no record.
    missing = set(NAMES) - {row["metric"].removeprefix("iou/") for row in rows}
    assert missing == {"pole", "vehicle", "person"}
    assert {(row["dataset"], row["split"], row["n"], row["classifier"]) for row in rows} == {
        ("camvid", "train", 9, "network")}
    assert confusion_of(model, frames, most=2).sum() == (frames.take(torch.arange(2))[1] != 255).sum()


def test_datasets_are_judged_apart_and_the_first_leads(frames, tmp_path):
    other = open_frames(tmp_path, np.full((2, 20, 30), 3), "val")
    rows = SegmentationJudge(Guess(), [other, frames]).rows()
    assert [(row["split"], row["n"]) for row in rows if row["metric"] == "miou"] == [("val", 2), ("train", 9)]
    assert rows[0]["split"] == "val"
    assert all(math.isfinite(row["value"]) for row in rows)


def test_label_maps_that_say_nothing_are_refused_before_a_run_is_made(frames, tmp_path):
    SegmentationJudge(Guess(), [frames]).rehearse()
    empty = open_frames(tmp_path, np.full((2, 20, 30), 11), "test")
    with pytest.raises(UserError, match=r"evaluation\.datasets: camvid, test: label maps name no class") as error:
        SegmentationJudge(Guess(), [frames, empty]).rehearse()
    assert "\n" not in str(error.value)


def test_pictures_are_of_images_spread_over_the_dataset(frames):
    assert frames.spread(3).tolist() == [0, 4, 8]
    assert frames.spread(20).tolist() == list(range(9))
