"""Mask R-CNN with random weights on small images, beside torchvision's own."""

import numpy as np
import pytest
import torch
from PIL import Image
from refusals import Trap, refused
from torch import nn
from torchvision.models.detection import maskrcnn_resnet50_fpn

from translation import instances
from translation.cutting import Photo
from translation.instances import Detector, check_classes, find_instances
from translation.masks import read_instances

CPU = torch.device("cpu")


def few_proposals(network):
    """Spare most of the time: torchvision takes a thousand proposals and a hundred objects."""
    network.roi_heads.detections_per_img = 8
    network.rpn._post_nms_top_n = {"training": 30, "testing": 30}
    return network


@pytest.fixture(scope="module")
def reference():
    """Torchvision's own network, which finds nearly anything."""
    torch.manual_seed(0)
    network = maskrcnn_resnet50_fpn(weights=None, weights_backbone=None, min_size=64, max_size=96,
                                    box_score_thresh=0.0, box_nms_thresh=0.3).eval()
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.eps = 0.0
            # Without training, activations would grow from block to block.
            module.weight.data.fill_(0.5)
    return few_proposals(network)


@pytest.fixture(scope="module")
def weights(reference, tmp_path_factory):
    path = tmp_path_factory.mktemp("weights") / "weights.pth"
    torch.save(reference.state_dict(), path)
    return path


@pytest.fixture(autouse=True)
def small(monkeypatch):
    monkeypatch.setattr(instances, "SIZES", (64, 96))
    monkeypatch.setattr(instances, "LEAST_CONFIDENCE", 0.0)
    build = instances.build
    monkeypatch.setattr(instances, "build", lambda: few_proposals(build()))


@pytest.fixture(scope="module")
def image():
    return torch.rand(3, 48, 70, generator=torch.Generator().manual_seed(1))


@torch.inference_mode()
def assert_finds_what(reference, detector, image):
    [expected], found = reference([image]), detector(image)
    assert len(found) == len(expected["scores"]) > 5
    for i, instance in enumerate(found):
        left, top, right, bottom = instance.box
        assert instance.label == instances.CATEGORIES[expected["labels"][i]]
        assert instance.confidence == pytest.approx(float(expected["scores"][i]), rel=1e-4)
        assert np.abs(np.array(instance.box) - expected["boxes"][i].numpy()).max() <= 1.001
        mask = (expected["masks"][i, 0] >= 0.5).numpy()
        np.testing.assert_array_equal(instance.crop, mask[top:bottom, left:right])
        assert instance.mask.sum() == instance.crop.sum()


def test_it_finds_what_torchvisions_network_of_these_weights_finds(reference, weights, image):
    detector = Detector(weights, CPU)
    assert_finds_what(reference, detector, image)
    assert not any(parameter.requires_grad for parameter in detector.network.parameters())


def test_weights_of_the_published_files_older_names_load_too(reference, weights, image, monkeypatch):
    old = {}
    for name, value in reference.state_dict().items():
        for new, older in (("rpn.head.conv.0.0.", "rpn.head.conv."),
                           *((f"mask_head.{i}.0.", f"mask_head.mask_fcn{i + 1}.") for i in range(4)),
                           *((f"{part}_blocks.{i}.0.", f"{part}_blocks.{i}.") for part in ("inner", "layer")
                             for i in range(4))):
            name = name.replace(new, older)
        old[name] = value
    assert len(old.keys() & reference.state_dict().keys()) == len(old) - 26
    monkeypatch.setattr(instances, "load_state_dict", lambda _: old)
    assert_finds_what(reference, Detector(weights, CPU), image)


def test_what_was_found_is_kept_and_not_looked_for_again(weights, tmp_path, monkeypatch):
    photos = []
    for number in range(2):
        file = tmp_path / f"{number}.png"
        Image.fromarray(np.random.default_rng(number).integers(0, 256, (40, 50, 3), dtype=np.uint8)).save(file)
        photos.append(Photo(str(number), file, tmp_path / f"{number}.npz"))
    detector = Detector(weights, CPU)
    find_instances(photos, detector)
    found = read_instances(photos[1].objects, (40, 50), detector.name)
    assert len(found) > 5
    photos[0].objects.unlink()
    asked = []
    monkeypatch.setattr(Detector, "__call__", lambda self, image: asked.append(tuple(image.shape)) or [])
    find_instances(photos, detector)
    assert (asked, read_instances(photos[0].objects, (40, 50))) == ([(3, 40, 50)], [])
    detector.name = "others"
    assert "found with weights" in refused(find_instances, photos, detector)


def test_bad_weights_are_refused(reference, weights, tmp_path, monkeypatch):
    path = tmp_path / "bad.pth"
    assert "no such weights file" in refused(Detector, path, CPU)
    path.write_bytes(b"none")
    assert "bad.pth: refused: not a plain file of tensors" in refused(Detector, path, CPU)
    torch.save({"a": Trap(tmp_path / "touched")}, path)
    assert "bad.pth: refused" in refused(Detector, path, CPU)
    assert not (tmp_path / "touched").exists()
    torch.save({"a": torch.zeros(1)}, path)
    assert "does not fit Mask R-CNN: backbone.body.conv1.weight is missing (and " in refused(Detector, path, CPU)
    state, name = reference.state_dict(), "roi_heads.box_predictor.cls_score.bias"
    for value, problem in ((torch.zeros(5), "shape torch.Size([5])"), (state[name] * np.nan, "not finite")):
        monkeypatch.setattr(instances, "load_state_dict", lambda _, value=value: state | {name: value})
        assert problem in refused(Detector, weights, CPU)


def test_a_download_that_fails_says_what_to_do(monkeypatch):
    def fail(*_, **__):
        raise OSError("no network")

    monkeypatch.setattr(type(instances.COCO), "get_state_dict", fail)
    assert "--weights, or use mask files: --masks" in refused(Detector, None, CPU)


def test_classes_are_those_of_coco():
    check_classes(["car", "truck", "bus"])
    assert "--classes: 'trick' is not known" in refused(check_classes, ["car", "trick"])
    assert "did you mean 'truck'?" in refused(check_classes, ["truk"])
