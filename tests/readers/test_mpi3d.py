"""MPI3D archives in small, with factor sizes beside the images, and their refusals."""

import io
import itertools
import os
import pickle
import tracemalloc
import zipfile

import numpy as np
import pytest
from PIL import Image
from refusals import Trap, refused

from errors import UserError
from readers import create_reader
from readers.mpi3d import FACTOR_SIZES, opened
from readers.prepare import prepare

SIZES = (2, 3, 2, 1, 2, 3, 2)
COUNT = 144


def pixels(count=COUNT, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (count, 64, 64, 3), dtype=np.uint8)


def write(root, images=None, sizes=SIZES, domain="toy", save=np.savez, **more):
    (root / "MPI3D").mkdir(exist_ok=True)
    arrays = {"images": pixels() if images is None else images, **more}
    if sizes is not None:
        arrays["factor_sizes"] = np.array(sizes)
    save(root / "MPI3D" / f"{domain}.npz", **arrays)
    return root


def reader(root, factor=("toy",), split=None):
    return create_reader("mpi3d", root, list(factor), split)


def refusal(root, factor=("toy",), split=None):
    return refused(reader(root, factor, split).listing)


def large_ones():
    """The number of each image with its factors, the large objects only, by counting through all of them."""
    grid = itertools.product(*(range(size) for size in SIZES))
    return [(i, factors) for i, factors in enumerate(grid) if factors[2] == 1]


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_large_objects_with_all_factors_as_labels_and_their_pixels_unchanged(tmp_path, save):
    prepared = prepare(reader(write(tmp_path, save=save)), 64, tmp_path / "cache")
    expected = large_ones()
    assert len(prepared.names) == len(expected) == COUNT // 2
    assert prepared.labels.tolist() == [list(factors) for _, factors in expected]
    images = pixels()
    for k, (i, _) in enumerate(expected):
        assert np.array_equal(prepared.images[k].transpose(1, 2, 0), images[i])


def test_other_sizes_are_pillows_bilinear_ones_and_any_subset_is_found(tmp_path):
    read = reader(write(tmp_path))
    prepared = prepare(read, 32, tmp_path / "cache", limit=9)
    images = pixels()
    assert len(prepared.sources) == 9
    for source, image in zip(prepared.sources, prepared.images, strict=True):
        original = Image.fromarray(images[int(source.rpartition("#")[2])])
        expected = np.asarray(original.resize((32, 32), Image.Resampling.BILINEAR)).transpose(2, 0, 1)
        assert np.array_equal(image, expected)
        assert np.array_equal(read.prepare(source, 32), expected)


@pytest.mark.parametrize("count", list(FACTOR_SIZES))
def test_the_factors_of_a_download_follow_from_its_length(tmp_path, count):
    """The archive holds a header of the full length and no pixels: listing must not look for them."""
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(header, {"descr": "|u1", "fortran_order": False, "shape": (count, 64, 64, 3)})
    (tmp_path / "MPI3D").mkdir()
    with zipfile.ZipFile(tmp_path / "MPI3D" / "real.npz", "w") as archive:
        archive.writestr("images.npy", header.getvalue())
    listing = reader(tmp_path, ["real"]).listing()
    labels = np.array(listing.labels)
    sizes = {460800: (4, 4, 2, 3, 3, 40, 40), 1036800: (6, 6, 2, 3, 3, 40, 40)}[count]
    assert len(labels) == count // 2
    assert tuple(labels.max(axis=0) + 1) == sizes
    numbers = np.array([int(sources[0].rpartition("#")[2]) for sources in listing.sources])
    assert np.array_equal(np.stack(np.unravel_index(numbers, sizes), 1), labels)
    assert (labels[:, 2] == 1).all()
    # The pixels are missing, and preparation says so.
    with pytest.raises(UserError, match=r"real\.npz: cannot be read as an \.npz file: it ends too early"):
        prepare(reader(tmp_path, ["real"]), 64, tmp_path / "cache", limit=1)
    assert not [path for path in (tmp_path / "cache" / "images").iterdir() if path.is_dir()]


def test_a_file_is_never_held_in_memory(tmp_path):
    sizes = (4, 4, 2, 3, 3, 5, 5)
    read = reader(write(tmp_path, np.zeros((7200, 64, 64, 3), np.uint8), sizes, save=np.savez_compressed))
    tracemalloc.start()
    prepare(read, 64, tmp_path / "cache")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    # 88 MB of pixels go through in blocks of 5 MB.
    assert peak < 25e6


def test_one_of_the_three_domains_has_to_be_named_and_there(tmp_path):
    assert "looked for folder" in refusal(tmp_path)
    write(tmp_path)
    write(tmp_path, pixels(seed=1), domain="real")
    toy, real = (prepare(reader(tmp_path, [name]), 64, tmp_path / "cache") for name in ("toy", "real"))
    assert np.array_equal(toy.labels, real.labels)
    assert toy.key != real.key
    for factor, told in (((), "needs one of toy, realistic, real; none is given"), (("toy", "real"), "found 2"),
                         (("reel",), "did you mean 'real'?"), (["realistic"], "no mpi3d file")):
        assert told in refusal(tmp_path, factor)
    assert "has no splits" in refusal(tmp_path, split="train")


@pytest.mark.parametrize(("images", "sizes", "pieces"), [
    (pixels(143), None, "holds 143 images; allowed: 460800 or 1036800"),
    (pixels(143), SIZES, "whose product is the number of images, 143"),
    (pixels(), (144, 1, 1, 1, 1, 1, 1), "at least 2 for the size"),
    (pixels(), (12, 12), "expected 7 numbers"),
    (pixels(), np.array(SIZES) / 1, "'factor_sizes' is"),
    (pixels().astype(np.int16), SIZES, "'images' is int16 (144, 64, 64, 3); expected uint8 (n, 64, 64, 3)"),
    (pixels()[:, :32], SIZES, "'images' is uint8 (144, 32, 64, 3)"),
    (np.asfortranarray(pixels()), SIZES, "in Fortran order"),
    (np.float64(1), SIZES, "'images' is float64 ()"),
])
def test_arrays_of_a_wrong_length_type_or_shape_are_refused_with_what_was_found(tmp_path, images, sizes, pieces):
    message = refusal(write(tmp_path, images, sizes))
    assert pieces in message
    assert str(tmp_path / "MPI3D" / "toy.npz") in message


def header(shape, dtype="<i8"):
    content = io.BytesIO()
    np.lib.format.write_array_header_1_0(content, {"descr": dtype, "fortran_order": False, "shape": shape})
    return content.getvalue()


@pytest.mark.parametrize(("images", "sizes", "pieces"), [
    (header((10**13, 64, 64, 3), "|u1"), None, "'images' claims 10000000000000 images; allowed: up to 1036800"),
    (header((16777216, 64, 64, 3), "|u1"), header((7,)) + np.array([2, 1, 2, 256, 256, 64, 1]).tobytes(), "claims"),
    (header((COUNT, 64, 64, 3), "|u1"), header((10**13,)), "'factor_sizes' is int64 (10000000000000,)"),
    (header((COUNT, 64, 64, 3), "|u1"), header((10**8,)) + bytes(8 * 10**7), "'factor_sizes' is int64 (100000000,)"),
    (header((COUNT, 64, 64, 3), "|u1"), header((7,)) + np.full(7, 10**13).tobytes(), "[10000000000000, "),
    (header((COUNT, 64, 64, 3), "|u1"), header((7,)), "'factor_sizes' is int64 (7,)"),
    (b"\x93NUMPY\2\0\xff\xff\xff\xff" + bytes(10**7), None, "its format is not version 1.0"),
    (b"\x93NUMPY\1\0\x00\x20" + b"(" * 8192, None, "cannot be read as an .npz file: "),
])
def test_claims_beyond_what_there_can_be_are_refused_without_taking_memory(tmp_path, images, sizes, pieces):
    (tmp_path / "MPI3D").mkdir()
    with zipfile.ZipFile(tmp_path / "MPI3D" / "toy.npz", "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in (("images", images), ("factor_sizes", sizes)):
            if content is not None:
                archive.writestr(f"{name}.npy", content)
    tracemalloc.start()
    message = refusal(tmp_path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert pieces in message
    assert peak < 10e6


@pytest.mark.parametrize("member", ["images", "factor_sizes"])
def test_pickled_objects_are_refused_and_never_run(tmp_path, member):
    content = io.BytesIO()
    header = {"descr": "|O", "fortran_order": False, "shape": (7,)}
    np.lib.format.write_array_header_1_0(content, header)
    content.write(pickle.dumps(Trap(tmp_path / "ran")))
    write(tmp_path, sizes=None)
    path = tmp_path / "MPI3D" / "toy.npz"
    with zipfile.ZipFile(path, "w") as archive:
        if member != "images":
            images = io.BytesIO()
            np.save(images, pixels())
            archive.writestr("images.npy", images.getvalue())
        archive.writestr(f"{member}.npy", content.getvalue())
    assert str(path) in refusal(tmp_path)
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("damage", ["truncated", "empty", "text", "plain array", "other key", "pipe", "device"])
def test_a_damaged_file_and_what_is_none_are_named_in_one_line(tmp_path, damage):
    path = write(tmp_path) / "MPI3D" / "toy.npz"
    whole = path.read_bytes()
    path.unlink()
    if damage in ("pipe", "device"):
        os.mkfifo(path) if damage == "pipe" else path.symlink_to("/dev/zero")
        with pytest.raises(UserError, match=r"file: not a regular file$"), opened(path):
            pass
    elif damage == "plain array":
        with path.open("wb") as file:
            np.save(file, pixels())
    elif damage == "other key":
        np.savez(path, pictures=pixels())
    else:
        path.write_bytes({"truncated": whole[: len(whole) // 2], "empty": b"", "text": b"no archive"}[damage])
    message = refusal(tmp_path)
    assert str(path) in message
    assert ("pictures" in message) == (damage == "other key")


def test_flipped_bytes_are_noticed_by_the_checksum_and_leave_nothing(tmp_path):
    path = write(tmp_path) / "MPI3D" / "toy.npz"
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 255
    path.write_bytes(content)
    with pytest.raises(UserError, match="CRC"):
        prepare(reader(tmp_path), 64, tmp_path / "cache")
    assert not [each for each in (tmp_path / "cache" / "images").iterdir() if each.is_dir()]
