import gzip
import os
import struct
import tracemalloc

import numpy as np
import pytest
from refusals import refused
from torchvision.datasets import MNIST
from torchvision.transforms import InterpolationMode, Resize

from readers import create_reader
from readers.digits import read_idx

PREFIX = {"train": "train", "test": "t10k"}


def idx(values):
    return struct.pack(f">HBB{values.ndim}I", 0, 8, values.ndim, *values.shape) + values.tobytes()


def digits(count, seed=0):
    rng = np.random.default_rng(seed)
    return rng.integers(0, 256, (count, 28, 28), dtype=np.uint8), rng.integers(0, 10, count, dtype=np.uint8)


def put(root, images, labels, split="train", zipped=False, below="MNIST/raw"):
    folder = root / below
    folder.mkdir(parents=True, exist_ok=True)
    for values, kind in ((images, "images-idx3"), (labels, "labels-idx1")):
        name = f"{PREFIX[split]}-{kind}-ubyte" + (".gz" if zipped else "")
        (folder / name).write_bytes(gzip.compress(idx(values)) if zipped else idx(values))
    return folder


def reader(root, factor=(), split=None):
    return create_reader("mnist", root, list(factor), split)


def refusal(root, **options):
    return refused(reader(root, **options).listing)


@pytest.mark.parametrize("zipped", [False, True])
@pytest.mark.parametrize("split", ["train", "test"])
def test_it_reads_what_torchvision_reads(tmp_path, split, zipped):
    for seed, each in enumerate(("train", "test")):
        put(tmp_path, *digits(5, seed), split=each)
        put(tmp_path / "zipped", *digits(5, seed), split=each, zipped=True)
    reference = MNIST(str(tmp_path), train=split == "train", transform=Resize((48, 48), InterpolationMode.BILINEAR))
    read = reader(tmp_path / "zipped" if zipped else tmp_path, split=split)
    found = read.listing()
    assert len(found.labels) == len(reference) == 5
    for (source,), (label,), (image, digit) in zip(found.sources, found.labels, reference, strict=True):
        assert label == digit
        np.testing.assert_array_equal(read.prepare(source, 48)[0], np.asarray(image))


def test_the_default_split_is_train_and_all_is_train_then_test(tmp_path):
    (train_images, train), (test_images, test) = digits(4, 1), digits(3, 2)
    put(tmp_path, train_images, train, "train")
    put(tmp_path, test_images, test, "test")
    assert [label for (label,) in reader(tmp_path).listing().labels] == train.tolist()
    found = reader(tmp_path, split="all").listing()
    assert [label for (label,) in found.labels] == [*train.tolist(), *test.tolist()]
    assert len(set(found.sceneries)) == 7


@pytest.mark.parametrize("below", ["MNIST/raw", "raw", "mnist/raw"])
def test_root_may_be_the_mnist_folder_or_its_parent(tmp_path, below):
    images, labels = digits(2)
    folder = put(tmp_path, images, labels, below=below)
    assert [label for (label,) in reader(tmp_path).listing().labels] == labels.tolist()
    # The plain file wins over the compressed one.
    (folder / "train-labels-idx1-ubyte.gz").write_bytes(gzip.compress(idx((labels + 1) % 10)))
    assert [label for (label,) in reader(tmp_path).listing().labels] == labels.tolist()


@pytest.mark.parametrize(("change", "told"), [
    (lambda images, labels: (images, labels[:4]), "labels-idx1-ubyte: 4 labels for 6 images"),
    (lambda images, labels: (labels, labels), "train-images-idx3-ubyte"),
    (lambda images, labels: (images, labels + 10), "train-labels-idx1-ubyte")])
def test_files_that_do_not_go_together_or_hold_no_digits_are_refused(tmp_path, change, told):
    put(tmp_path, *change(*digits(6)))
    assert told in refusal(tmp_path)


def test_what_is_not_there_is_named(tmp_path):
    for kind in ("images-idx3", "labels-idx1"):
        folder = put(tmp_path, *digits(3))
        (folder / f"train-{kind}-ubyte").unlink()
        assert str(folder / f"train-{kind}-ubyte") in refusal(tmp_path)
    message = refusal(tmp_path / "nowhere")
    assert "dataset.root" in message
    assert str(tmp_path / "nowhere" / "MNIST" / "raw") in message
    message = refusal(tmp_path, factor=["3"])
    assert "dataset.factor" in message
    assert "'3'" in message


GOOD = idx(np.arange(200, dtype=np.uint8) % 10)


def flipped(content, position):
    return content[:position] + bytes([content[position] ^ 0xFF]) + content[position + 1 :]


PLAIN = {"empty": b"", "no magic": GOOD[:3], "no shape": GOOD[:7], "one byte short": GOOD[:-1],
         "one byte long": GOOD + b"x", "floats": b"\0\0\x0d\x01" + GOOD[4:], "zip": b"PK\x03\x04" + GOOD[4:],
         "absurd shape": struct.pack(">HBB4I", 0, 8, 4, *[2**16] * 4)}
ZIPPED = {"not compressed": GOOD, "cut short": gzip.compress(GOOD)[:-12], "cut in the head": gzip.compress(GOOD)[:5],
          "wrong checksum": flipped(gzip.compress(GOOD), -6), "wrong bits": flipped(gzip.compress(GOOD), 11),
          "short inside": gzip.compress(GOOD[:-1])}


@pytest.mark.parametrize("damage", [*PLAIN, *ZIPPED])
def test_a_damaged_file_is_refused_in_one_line_that_names_it(tmp_path, damage):
    path = tmp_path / f"train-labels-idx1-ubyte{'.gz' if damage in ZIPPED else ''}"
    path.write_bytes((PLAIN | ZIPPED)[damage])
    assert str(path) in refused(read_idx, path)


@pytest.mark.parametrize("zipped", [False, True])
@pytest.mark.parametrize("shape", [(4, 0, 28), (4, 28, 0), (2**16, 2**16, 2**16), (60000, 200, 200), (1, 2**15, 2**15)])
def test_images_without_pixels_and_sizes_that_a_file_cannot_have_are_refused_unread(tmp_path, shape, zipped):
    folder = put(tmp_path, *digits(4), zipped=zipped)
    path = folder / f"train-images-idx3-ubyte{'.gz' if zipped else ''}"
    content = struct.pack(">HBB3I", 0, 8, 3, *shape)
    path.write_bytes(gzip.compress(content) if zipped else content)
    tracemalloc.start()
    message = refusal(tmp_path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert message.startswith(f"{path}: ")
    assert str(shape) in message
    assert peak < 10e6


def test_a_compressed_file_that_unpacks_to_more_than_it_claims_is_not_unpacked(tmp_path):
    folder = put(tmp_path, *digits(4), zipped=True)
    path = folder / "train-images-idx3-ubyte.gz"
    path.write_bytes(gzip.compress(struct.pack(">HBB3I", 0, 8, 3, 4, 28, 28) + bytes(10**8), compresslevel=1))
    tracemalloc.start()
    assert "it holds more than the 3,136 bytes of shape (4, 28, 28)" in refusal(tmp_path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 10e6


@pytest.mark.parametrize("kind", ["pipe", "device"])
def test_what_is_no_regular_file_is_never_read(tmp_path, kind):
    folder = put(tmp_path, *digits(4))
    path = folder / "train-images-idx3-ubyte"
    path.unlink()
    os.mkfifo(path) if kind == "pipe" else path.symlink_to("/dev/zero")
    assert str(path) in refusal(tmp_path)
    assert refused(read_idx, path).endswith("file: not a regular file")


def test_a_file_that_changes_is_read_anew(tmp_path):
    images, labels = digits(4)
    folder = put(tmp_path, images, labels)
    assert [label for (label,) in reader(tmp_path).listing().labels] == labels.tolist()
    put(tmp_path, images, (labels + 1) % 10)
    for path in folder.iterdir():
        os.utime(path, (1, 1))
    assert [label for (label,) in reader(tmp_path).listing().labels] == ((labels + 1) % 10).tolist()
