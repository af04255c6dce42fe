import numpy as np
import pytest
from PIL import Image
from refusals import refused

from files import write_arrays
from translation.masks import Instance, bounding_box, read_instances, read_mask, whole_box, write_instances


def random_instances(height, width, boxes):
    generator, found = np.random.default_rng(0), []
    for number, (left, top, right, bottom) in enumerate(boxes):
        mask = np.zeros((height, width), dtype=bool)
        mask[top:bottom, left:right] = generator.random((bottom - top, right - left)) < 0.5
        found.append(Instance(mask, (left, top, right, bottom), ("car", "person")[number % 2], 0.25 * number))
    return found


@pytest.mark.parametrize("boxes", [[], [(0, 0, 31, 17)], [(3, 2, 10, 9), (5, 5, 5, 5), (0, 1, 31, 17)]])
def test_instances_are_read_as_they_were_written(tmp_path, boxes):
    instances = random_instances(17, 31, boxes)
    write_instances(tmp_path / "a.npz", instances, (17, 31), "abc")
    found = read_instances(tmp_path / "a.npz", (17, 31), "abc")
    assert [(each.box, each.label, each.confidence) for each in found] == [
        (each.box, each.label, each.confidence) for each in instances]
    for one, other in zip(found, instances, strict=True):
        np.testing.assert_array_equal(one.mask, other.mask)


def test_instances_of_another_photo_of_other_weights_or_damaged_are_refused(tmp_path):
    path = tmp_path / "a.npz"
    write_instances(path, random_instances(17, 31, [(3, 2, 10, 9)]), (17, 31), "abc")
    assert "of a photo of 31x17 pixels, which has 40x30 now" in refused(read_instances, path, (30, 40))
    assert "found with weights abc; these are d" in refused(read_instances, path, (17, 31), "d")
    content = path.read_bytes()
    path.write_bytes(content[:-80])
    assert "cannot be read" in refused(read_instances, path, (17, 31))
    write_arrays(path, {"labels": np.array(["car"])})
    assert "a.npz: what the network found cannot be read" in refused(read_instances, path, (17, 31))


@pytest.mark.parametrize("changes", [{"boxes": np.array([[0, 0, 900, 900]], np.int32)},
                                     {"boxes": np.array([[9, 9, 2, 2]], np.int32)},
                                     {"boxes": np.array([1], np.int32)}, {"size": np.array(3)},
                                     {"pixels": np.zeros(1)},
                                     {"pixels": np.zeros(9, np.uint8)}, {"confidences": np.ones(3)}])
def test_arrays_that_cannot_be_are_refused(tmp_path, changes):
    arrays = {"labels": np.array(["car"]), "confidences": np.ones(1), "boxes": np.array([[0, 0, 2, 2]], np.int32),
              "pixels": np.zeros(1, np.uint8), "size": np.array([17, 31]), "weights": np.array("abc")}
    write_arrays(tmp_path / "a.npz", arrays)
    assert len(read_instances(tmp_path / "a.npz", (17, 31))) == 1
    write_arrays(tmp_path / "a.npz", arrays | changes)
    assert "a.npz: what the network found cannot be read" in refused(read_instances, tmp_path / "a.npz", (17, 31))


def test_boxes_are_the_smallest_around_a_mask_and_whole_pixels_inside_the_photo():
    mask = np.zeros((20, 30), dtype=bool)
    assert bounding_box(mask) == (0, 0, 0, 0)
    mask[4, 7] = mask[9, 3] = True
    assert bounding_box(mask) == (3, 4, 8, 10)
    assert whole_box([2.9, -1.0, 8.1, 20.5], 20, 30) == (2, 0, 9, 20)


@pytest.mark.parametrize("mode", ["L", "RGBA", "1", "I;16"])
def test_a_mask_is_an_alpha_or_grey_values_from_the_threshold_on(tmp_path, mode):
    values = np.array([[0, 0, 0, 0], [0, 127, 128, 255], [0, 0, 0, 1]], np.uint8)
    image = {"L": values, "RGBA": np.dstack([np.full((3, 4, 3), 200, np.uint8), values]), "1": values > 127,
             "I;16": values.astype(np.uint16) * 257}[mode]
    Image.fromarray(image).save(tmp_path / "a.png")
    assert Image.open(tmp_path / "a.png").mode == mode
    found = read_mask(tmp_path / "a.png", 128)
    np.testing.assert_array_equal(found.mask, values >= 128)
    assert (found.box, found.label, found.confidence) == ((2, 1, 4, 2), None, None)
    assert read_mask(tmp_path / "a.png", 1).mask.sum() == (2 if mode == "1" else 4)
