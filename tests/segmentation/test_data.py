"""Crops of images with label maps, against slices, loops and torchvision."""

import itertools
import math

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision.transforms import functional as TF

from errors import UserError
from segmentation.config import Dataset, SegmentationConfig, Training
from segmentation.data import Crops, Frames, crop, jitter, open_evaluation_frames, scaled_crop

CPU = torch.device("cpu")
WIDTH, HEIGHT, COUNT = 48, 40, 11


@pytest.fixture(scope="module")
def frames(tmp_path_factory):
    """Noise whose label map is the red channel, an eighth of it ignored; the blue one is the number of the image."""
    root = tmp_path_factory.mktemp("data")
    rows = [f"{number},x,class {number}" for number in range(32)]
    (root / "own.csv").write_text("\n".join(["id,name,mine", *rows, "255,none,ignore"]))
    rng = np.random.default_rng(0)
    for folder in ("images", "labels"):
        (root / folder).mkdir()
    for i in range(COUNT):
        image = rng.integers(0, 256, (HEIGHT, WIDTH, 3), dtype=np.uint8)
        image[..., 0], image[..., 2] = rng.choice([*range(32), *[255] * 4], (HEIGHT, WIDTH)), 10 * i
        Image.fromarray(image).save(root / "images" / f"{i:02}.png")
        Image.fromarray(image[..., 0]).save(root / "labels" / f"{i:02}.png")
    return Frames(Dataset(name="street_folder", root=str(root), class_map=str(root / "own.csv"),
                          image_size=(WIDTH, HEIGHT), classes="mine"), "mine", str(root / "cache"), CPU)


def crops_of(frames, **changes):
    plain = {"batch_size": 4, "epochs": 2, "jitter": 0, "mirror": False, "crop": (36, 32)}
    return Crops(frames, Training(**plain | changes))


def numbers(batch):
    """Return which images a batch was cut from."""
    return (batch.images[:, 2, 0, 0] * 25.5).round().int().tolist()


def test_images_and_label_maps_come_whole_and_with_every_value(frames):
    images, labels = frames.take(torch.arange(COUNT))
    assert images.shape == (COUNT, 3, HEIGHT, WIDTH)
    assert torch.equal((images[:, 0] * 255).round().long(), labels)
    assert images.is_contiguous(memory_format=torch.channels_last)
    assert labels.unique().tolist() == [*range(32), 255]
    wanted = np.bincount(labels.numpy().ravel(), minlength=256)
    assert frames.shares() == pytest.approx(np.append(wanted[:32], wanted[255]) / wanted.sum())
    # Cut, mirrored, scaled: a label is what the red channel is, wherever no two pixels are mixed.
    for changes in ({}, {"mirror": True}, {"scale": (3.0, 3.0)}, {"scale": (0.5, 2.0), "mirror": True}):
        batches = [batch for number in (1, 2, 3) for batch in crops_of(frames, **changes).epoch(number)]
        assert {value for batch in batches for value in batch.labels.unique().tolist()} == {*range(32), 255}
        if "scale" not in changes:
            assert all(torch.equal((batch.images[:, 0] * 255).round().long(), batch.labels) for batch in batches)


def test_crops_are_slices_between_the_edges_and_mirrored_where_it_says_so(generator):
    layers = torch.randint(256, (4, 4, 9, 12), dtype=torch.uint8, generator=generator)
    left, top = torch.tensor([0.0, 0.5, 0.999999, 0.26]), torch.tensor([0.999999, 0.0, 0.34, 0.7])
    mirrored = torch.tensor([False, True, True, False])
    found = crop(layers, (5, 6), left, top, mirrored)
    for i, (x, y, mirror) in enumerate(zip([0, 4, 7, 2], [3, 0, 1, 2], mirrored, strict=True)):
        part = layers[i, :, y : y + 6, x : x + 5]
        assert torch.equal(found[i], part.flip(-1) if mirror else part)
    # A draw that rounds to 1 stays inside.
    assert torch.equal(crop(layers[:1], (5, 6), torch.ones(1), torch.ones(1), torch.zeros(1, dtype=bool)),
                       layers[:1, :, 3:, 7:])


def naive_scaled(layers, size, left, top, mirrored, factor):
    """Return image and labels of a window of an image (4, H, W) that is scaled by a factor, pixel by pixel."""
    (width, height), (full_height, full_width) = size, layers.shape[1:]
    image, labels = np.zeros((3, height, width)), np.zeros((height, width), int)
    for row, column in itertools.product(range(height), range(width)):
        across = width - 1 - column if mirrored else column
        x = left * (full_width - width / factor) + (across + 0.5) / factor
        y = top * (full_height - height / factor) + (row + 0.5) / factor
        inside = 0 <= x <= full_width and 0 <= y <= full_height
        nearest = [min(max(math.floor(each), 0), most - 1) for each, most in ((y, full_height), (x, full_width))]
        labels[row, column] = layers[3, nearest[0], nearest[1]] if inside else 255
        x0, y0 = math.floor(x - 0.5), math.floor(y - 0.5)
        for yy, xx in itertools.product((y0, y0 + 1), (x0, x0 + 1)):
            weight = (1 - abs(x - 0.5 - xx)) * (1 - abs(y - 0.5 - yy))
            picked = layers[:3, min(max(yy, 0), full_height - 1), min(max(xx, 0), full_width - 1)]
            image[:, row, column] += weight * picked / 255
    return image, labels


@pytest.mark.parametrize("factor", [0.6, 0.75, 1.37, 2.9])
def test_scaled_crops_are_what_a_loop_over_pixels_makes_of_them(factor, generator):
    layers = torch.randint(256, (2, 4, 9, 12), dtype=torch.uint8, generator=generator)
    left, top, mirrored = torch.tensor([0.13, 0.81]), torch.tensor([0.57, 0.32]), torch.tensor([False, True])
    images, labels = scaled_crop(layers, (8, 7), left, top, mirrored, torch.full((2,), factor))
    for i in range(2):
        image, wanted = naive_scaled(layers[i].numpy().astype(int), (8, 7), left[i].item(), top[i].item(),
                                     mirrored[i].item(), factor)
        inside = wanted != 255
        assert np.abs(images[i].numpy() - image)[:, inside].max() < 1e-4
        assert np.array_equal(labels[i].numpy(), wanted)


def test_without_a_change_of_size_a_scaled_crop_is_a_crop(generator):
    layers = torch.randint(255, (3, 4, 9, 12), dtype=torch.uint8, generator=generator)
    left, top = torch.tensor([0, 3 / 7, 6 / 7]), torch.tensor([0, 1 / 3, 2 / 3])
    mirrored = torch.tensor([False, True, False])
    # Whole pixels, which is where a crop starts.
    images, labels = scaled_crop(layers, (5, 6), left, top, mirrored, torch.ones(3))
    wanted = crop(layers, (5, 6), (left * 7 + 0.5) / 8, (top * 3 + 0.5) / 4, mirrored)
    assert torch.allclose(images, wanted[:, :3] / 255, atol=1e-4)
    assert torch.equal(labels, wanted[:, 3].long())


def test_colours_change_as_torchvision_changes_them(generator):
    images = torch.rand(6, 3, 7, 5, generator=generator)
    factors = [[0.5, 1.5, 1, 1, 1, 0.7], [1, 1, 0.5, 1.5, 1, 1.4], [1, 1, 1, 1, 0.5, 1.5]]
    found = jitter(images, *torch.tensor(factors))
    for image, brightness, contrast, saturation, ours in zip(images, *factors, found, strict=True):
        wanted = TF.adjust_saturation(TF.adjust_contrast(TF.adjust_brightness(image, brightness), contrast), saturation)
        assert torch.allclose(ours, wanted, atol=1e-5)


def test_changes_of_colour_are_as_large_as_the_config_says_and_labels_stay(frames):
    plain, changed = (next(crops_of(frames, jitter=size).epoch(1)) for size in (0, 0.5))
    assert torch.equal(plain.labels, changed.labels)
    assert (plain.images != changed.images).any(dim=(1, 2, 3)).all()
    barely = next(crops_of(frames, jitter=0.001).epoch(1))
    assert 0 < (barely.images - plain.images).abs().max() < 0.004


def test_a_pass_has_every_image_once_and_what_is_left_over_is_left_out(frames):
    crops = crops_of(frames)
    assert len(crops) == 2
    for number in (1, 2, 3):
        batches = list(crops.epoch(number))
        assert [len(batch.images) for batch in batches] == [4, 4]
        assert len({image for batch in batches for image in numbers(batch)}) == 8
    orders = [[numbers(batch) for batch in crops_of(frames, seed=seed).epoch(number)]
              for seed, number in ((0, 1), (0, 2), (1, 1))]
    assert orders[0] != orders[1] != orders[2] != orders[0]


def test_iterations_are_shared_out_over_epochs_and_passes_go_on_across_them(frames):
    crops = crops_of(frames, iterations=9, epochs=3, batch_size=2)
    assert len(crops) == 3
    drawn = [image for number in (1, 2, 3) for batch in crops.epoch(number) for image in numbers(batch)]
    assert len(drawn) == 18
    # A pass is five batches of two, whatever an epoch is.
    assert len(set(drawn[:10])) == 10
    assert len(set(drawn[10:])) == 8
    assert crops.identity["n"] == 6


@pytest.mark.parametrize("changes", [{}, {"iterations": 9, "epochs": 3, "batch_size": 2}, {"scale": (0.8, 1.2)}])
def test_an_epoch_is_the_same_whenever_it_is_drawn_and_whatever_was_drawn_before(frames, changes):
    options = {"jitter": 0.5, "mirror": True} | changes
    crops = crops_of(frames, **options)
    for number in (1, 2):
        list(crops.epoch(number))
    torch.manual_seed(1)
    for third, alone in zip(crops.epoch(3), crops_of(frames, **options).epoch(3), strict=True):
        assert torch.equal(third.images, alone.images)
        assert torch.equal(third.labels, alone.labels)
    assert not torch.equal(alone.images, list(crops_of(frames, **options, seed=5).epoch(3))[-1].images)


def test_half_of_the_crops_are_mirrored_and_start_anywhere(frames):
    whole, _ = frames.take(torch.arange(COUNT))
    windows = whole.unfold(2, 32, 1).unfold(3, 36, 1)
    places, mirrors = [], 0
    for batch in itertools.chain.from_iterable(crops_of(frames, mirror=True).epoch(number) for number in range(1, 41)):
        for image, number in zip(batch.images, numbers(batch), strict=True):
            for picture, mirrored in ((image, 0), (image.flip(-1), 1)):
                same = (windows[number][1] == picture[1]).all(dim=(-1, -2)).nonzero().tolist()
                places += same
                mirrors += mirrored * len(same)
    assert len(places) == 320
    assert 120 < mirrors < 200
    assert {y for y, _ in places} == set(range(9))
    assert {x for _, x in places} == set(range(13))


def test_what_does_not_fit_is_refused_in_a_line(frames):
    with pytest.raises(UserError, match=r"training.crop: found 49x40; allowed: up to 48x40, the size of street_folder"):
        crops_of(frames, crop=(49, 40))
    with pytest.raises(UserError, match=r"training.batch_size: found 12; allowed: up to 11, the images of"):
        crops_of(frames, batch_size=12)
    # Where images are scaled, what lies beyond them is ignored.
    batch = next(crops_of(frames, crop=(96, 80), scale=(0.5, 1.0)).epoch(1))
    assert batch.images.shape == (4, 3, 80, 96)
    assert (batch.labels == 255).float().mean() > 0.7
    assert crops_of(frames, crop=None).draw(torch.arange(3), torch.Generator()).labels.shape == (3, HEIGHT, WIDTH)


def test_two_evaluation_datasets_of_one_name_are_refused_and_training_images_told(frames, capsys):
    root = str(frames.reader.root)
    section = {"name": "street_folder", "class_map": f"{root}/own.csv", "root": root}
    config = SegmentationConfig(dataset=section | {"classes": "mine", "cache": f"{root}/cache"},
                                model={"type": "deeplab"}, training={"epochs": 1},
                                evaluation={"datasets": [section, section | {"image_size": [32, 32]}]})
    with pytest.raises(UserError, match=r"two are called street_folder .*, all, and would share their records"):
        open_evaluation_frames(config, CPU)
    config.evaluation.datasets.pop(0)
    [opened] = open_evaluation_frames(config, CPU)
    assert opened.pixels(torch.arange(COUNT)).shape == (COUNT, 3, 32, 32)
    assert f"warning: 11 of 11 test images of {opened.title}, all, are trained on\n" == capsys.readouterr().err


def test_a_class_has_the_number_that_training_data_give_the_one_of_its_name(tmp_path):
    # Sky above the road in each root, coded and listed otherwise; the colours of the images say which is which.
    sections, tables = [], {"one": "0,a,road\n1,b,sky\n2,c,car", "two": "0,a,sky\n1,b,road",
                            "three": "0,a,sky\n1,b,bus"}
    for name, rows in tables.items():
        root, path = tmp_path / name, tmp_path / f"{name}.csv"
        path.write_text(f"id,name,mine\n{rows}\n")
        sky = np.arange(32)[:, None] < np.full(32, 12)
        for folder, pixels in (("images", np.where(sky[..., None], (90, 150, 250), (80, 80, 80)).astype(np.uint8)),
                               ("labels", (sky if name == "one" else ~sky).astype(np.uint8))):
            (root / folder).mkdir(parents=True)
            Image.fromarray(pixels).save(root / folder / "0.png")
        sections.append({"name": "street_folder", "root": str(root), "class_map": str(path), "image_size": (32, 32)})
    train, *tests = sections
    configs = [SegmentationConfig(dataset=train | {"classes": "mine", "cache": str(tmp_path / "cache")},
                                  model={"type": "deeplab"}, training={"epochs": 1},
                                  evaluation={"datasets": [section]}) for section in tests]
    [opened] = open_evaluation_frames(configs[0], CPU)
    assert opened.classes == ("road", "sky", "car")
    images, labels = opened.take(torch.arange(1))
    assert torch.equal(labels[0], (images[0, 2] > 0.9).long())
    assert opened.shares().tolist() == [20 / 32, 12 / 32, 0, 0]
    with pytest.raises(UserError, match=r"three.csv: column mine, .*: 'bus' is not known; allowed: road, sky, car"):
        open_evaluation_frames(configs[1], CPU)
