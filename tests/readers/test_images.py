import io
import os
import struct
import zlib
from fractions import Fraction

import numpy as np
import pytest
from PIL import Image
from refusals import refused
from torchvision.transforms import CenterCrop

from errors import UserError
from readers.base import BadImage
from readers.images import centre_crop, open_deep_grey, open_grey, scan, to_array
from readers.listing import Listing, stamp

RNG_SEED = 7


def noise(height, width, channels=()):
    return np.random.default_rng(RNG_SEED).integers(0, 256, (height, width, *channels), dtype=np.uint8)


def deep_noise(height=5, width=6):
    values = np.random.default_rng(RNG_SEED).integers(0, 65536, (height, width)).astype(np.uint16)
    values[0, :4] = 0, 65535, 257, 128
    return values


def luma(red, green, blue):
    """ITU-R 601 grey, as exact fractions."""
    return Fraction(299 * int(red) + 587 * int(green) + 114 * int(blue), 1000)


def eighth_bits(values):
    """16-bit values on the 8-bit scale: full scale onto full scale, rounded."""
    return np.array([[round(Fraction(int(value) * 255, 65535)) for value in row] for row in values])


def grey_of(path):
    image = open_grey(path)
    assert image.mode == "L"
    return np.asarray(image)


def test_8_bit_grey_black_and_white_and_jpeg_are_as_pillow_decodes_them(tmp_path):
    values, bits = noise(24, 40), noise(6, 10) > 127
    for name, content in (("a.png", values), ("b.png", bits), ("c.jpg", values)):
        Image.fromarray(content).save(tmp_path / name)
    np.testing.assert_array_equal(grey_of(tmp_path / "a.png"), values)
    assert Image.open(tmp_path / "b.png").mode == "1"
    np.testing.assert_array_equal(grey_of(tmp_path / "b.png"), bits * 255)
    np.testing.assert_array_equal(grey_of(tmp_path / "c.jpg"), np.asarray(Image.open(tmp_path / "c.jpg")))


def test_colour_and_a_palette_become_the_luma_of_their_channels(tmp_path):
    values, palette, indices = noise(6, 8, (3,)), np.array([(200, 10, 30), (0, 255, 0), (90, 90, 90)]), noise(5, 5) % 3
    image = Image.frombytes("P", indices.shape[::-1], indices.tobytes())
    image.putpalette(palette.ravel().tolist())
    image.save(tmp_path / "palette.png")
    assert Image.open(tmp_path / "palette.png").mode == "P"
    Image.fromarray(values).save(tmp_path / "colour.png")
    for name, colours in (("colour", values), ("palette", palette[indices])):
        expected = np.array([[float(luma(*pixel)) for pixel in row] for row in colours])
        np.testing.assert_allclose(grey_of(tmp_path / f"{name}.png"), expected, atol=0.51)


def pgm(values, path):
    path.write_bytes(f"P5 {values.shape[1]} {values.shape[0]} 65535\n".encode() + values.astype(">u2").tobytes())


@pytest.mark.parametrize("write", [
    lambda values, path: Image.fromarray(values).save(path, "PNG"), pgm,
    lambda values, path: Image.fromarray(values.astype(np.int32)).save(path, "TIFF"),
    *(lambda values, path, mode=mode, order=order: Image.frombytes(
        mode, values.shape[::-1], values.astype(order).tobytes()).save(path, "TIFF")
      for mode, order in (("I;16", "<u2"), ("I;16B", ">u2")))], ids=["png", "pgm", "32 bit", "little", "big"])
def test_16_bit_is_scaled_from_full_range_to_full_range(tmp_path, write):
    values = deep_noise()
    write(values, tmp_path / "image")
    np.testing.assert_array_equal(grey_of(tmp_path / "image"), eighth_bits(values))
    np.testing.assert_array_equal(open_deep_grey(tmp_path / "image"), values)


@pytest.mark.parametrize("opened", [open_grey, open_deep_grey])
def test_more_than_16_bit_are_refused(tmp_path, opened):
    Image.fromarray(np.full((4, 4), 70000, np.int32)).save(tmp_path / "a.tif")
    assert "a.tif: image holds values beyond 16 bit" in refused(opened, tmp_path / "a.tif")


def test_transparent_pixels_are_laid_over_black(tmp_path):
    colour, grey = noise(6, 6, (4,)), noise(6, 6, (2,))
    colour[0, :2] = (255, 255, 255, 0), (255, 255, 255, 255)
    grey[0, :2] = (200, 0), (200, 255)
    for name, values in (("RGBA", colour), ("LA", grey)):
        Image.fromarray(values).save(tmp_path / f"{name}.png")
        assert Image.open(tmp_path / f"{name}.png").mode == name
    found = grey_of(tmp_path / "RGBA.png")
    assert found[0, :2].tolist() == [0, 255]
    expected = np.array([[float(luma(*pixel[:3]) * int(pixel[3]) / 255) for pixel in row] for row in colour])
    np.testing.assert_allclose(found, expected, atol=1.5)
    found = grey_of(tmp_path / "LA.png")
    assert found[0, :2].tolist() == [0, 200]
    np.testing.assert_allclose(found, grey[..., 0] * (grey[..., 1] / 255), atol=1)
    image = Image.new("P", (2, 1))
    image.putpalette([255, 255, 255, 180, 180, 180])
    image.putpixel((1, 0), 1)
    image.save(tmp_path / "a.png", transparency=0)
    assert grey_of(tmp_path / "a.png").tolist() == [[0, 180]]


def test_cmyk_is_ink_on_white(tmp_path):
    image = Image.new("CMYK", (4, 1))
    image.putdata([(0, 0, 0, 0), (0, 0, 0, 255), (0, 0, 0, 100), (255, 255, 255, 0)])
    image.save(tmp_path / "a.tif")
    assert grey_of(tmp_path / "a.tif").tolist() == [[255, 0, 155, 0]]


@pytest.mark.parametrize("name", ["half.png", "half.jpg", "half.tif", "empty.png", "text.png"])
def test_an_undecodable_file_is_one_line_that_names_it(tmp_path, name):
    Image.fromarray(noise(30, 30)).save(tmp_path / name)
    whole = (tmp_path / name).read_bytes()
    content = {"half": whole[: len(whole) // 2], "empty": b"", "text": b"no image\nat all"}[name.split(".")[0]]
    (tmp_path / name).write_bytes(content)
    message = refused(open_grey, tmp_path / name)
    assert str(tmp_path / name) in message
    assert "cannot be read" in message


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".bmp", ".webp"])
def test_random_damage_never_raises_anything_but_a_user_error(tmp_path, suffix):
    path = tmp_path / f"a{suffix}"
    Image.fromarray(noise(16, 16, (3,))).save(path)
    whole = np.frombuffer(path.read_bytes(), dtype=np.uint8)
    rng = np.random.default_rng(0)
    refused = 0
    for _ in range(60):
        damaged = whole[: rng.integers(len(whole))].copy()
        if len(damaged):
            damaged[rng.integers(len(damaged), size=3)] = rng.integers(256, size=3)
        path.write_bytes(damaged.tobytes())
        try:
            open_grey(path)
        except UserError:
            refused += 1
    assert refused > 20


def with_exif(position, value):
    """Return a JPEG that says it was held sideways, with bytes of its metadata changed."""
    exif = Image.Exif()
    exif[0x0112], exif[0x010F] = 6, "maker"
    exif.get_ifd(0x8825)[2] = (1.5, 2.5, 3.5)
    content = io.BytesIO()
    Image.fromarray(noise(16, 16)).save(content, "JPEG", exif=exif)
    content = bytearray(content.getvalue())
    start = content.index(b"Exif") + position
    content[start : start + len(value)] = value
    return bytes(content)


def test_damaged_metadata_never_raise_anything_but_a_bad_image(tmp_path):
    """Every byte of a JPEG's EXIF data in turn, as some of them end in struct.error and others in no complaint."""
    outcomes = set()
    for position in range(6, 120):
        for value in (b"\xff", b"\0", b"\xff\xff\xff\xff"):
            (tmp_path / "a.jpg").write_bytes(with_exif(position, value))
            try:
                outcomes.add(open_grey(tmp_path / "a.jpg").size)
            except BadImage as error:
                outcomes.add(type(error))
    assert outcomes == {(16, 16), BadImage}


def test_an_offset_that_cannot_be_is_a_bad_image_and_not_one_out_of_reach(tmp_path):
    """The offset of a TIFF's pixels beyond what a file may have."""
    Image.fromarray(noise(8, 8)).save(tmp_path / "a.tif")
    content = bytearray((tmp_path / "a.tif").read_bytes())
    directory = struct.unpack_from("<I", content, 4)[0]
    entries = {struct.unpack_from("<H", content, directory + 2 + 12 * i)[0]: directory + 2 + 12 * i
               for i in range(struct.unpack_from("<H", content, directory)[0])}
    struct.pack_into("<HHIi", content, entries[273], 273, 9, 1, -5)
    (tmp_path / "a.tif").write_bytes(content)
    with pytest.raises(BadImage, match="cannot be read"):
        open_grey(tmp_path / "a.tif")


def png_of(width, height):
    """Return a PNG that claims a size and holds no pixels."""
    def chunk(name, data):
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")


@pytest.mark.parametrize("side", [9_500, 14_000, 2**31 - 1])
def test_an_image_of_too_many_pixels_is_refused_before_memory_is_taken(tmp_path, side):
    (tmp_path / "a.png").write_bytes(png_of(side, side))
    with pytest.raises(BadImage, match="cannot be read: more than 89,478,485 pixels"):
        open_grey(tmp_path / "a.png")


@pytest.mark.parametrize("kind", ["EPS", "GIF", "TGA"])
def test_only_the_formats_of_photographs_and_renderings_are_decoded_whatever_the_suffix(tmp_path, kind):
    Image.new("RGB", (20, 20)).save(tmp_path / "a.png", kind)
    with pytest.raises(BadImage, match="none of the formats PNG, JPEG, BMP, TIFF, WEBP, PPM"):
        open_grey(tmp_path / "a.png")


@pytest.mark.parametrize("size", [(96, 64), (64, 96), (97, 64), (64, 97), (98, 63), (50, 50), (1, 9)])
def test_the_centre_crop_is_torchvisions_centre_crop(size):
    image = Image.fromarray(noise(size[1], size[0]))
    expected = CenterCrop(min(size))(image)
    np.testing.assert_array_equal(np.asarray(centre_crop(image, 16)), np.asarray(expected))


def test_halving_averages_the_neighbourhood_and_keeps_constant_images():
    flat = to_array(Image.new("L", (40, 40), 93), 16)
    assert flat.shape == (1, 16, 16)
    assert flat.dtype == np.uint8
    assert (flat == 93).all()
    # Antialiased halving of 1-pixel stripes gives their mean; without antialiasing it would pick black or white.
    stripes = np.tile(np.array([0, 255], dtype=np.uint8), (64, 32))
    assert abs(to_array(Image.fromarray(stripes), 32)[0, :, 2:-2].astype(int) - 127.5).max() < 2


def test_scan_lists_image_files_of_any_case_sorted_by_name_and_nothing_else(tmp_path):
    for name in ("b.PNG", "a.jpg", "c.Tiff", "note.txt", "d.png.part", "png"):
        (tmp_path / name).write_bytes(b"x")
    (tmp_path / "folder.png").mkdir()
    (tmp_path / "deeper").mkdir()
    (tmp_path / "deeper" / "e.png").write_bytes(b"x")
    # What macOS leaves beside images, and what a translation was about to write when it was stopped.
    for name in ("._a.jpg", ".b.PNG.tmp.PNG"):
        (tmp_path / name).touch()
    assert [entry.name for entry in scan(tmp_path, Listing())] == ["a.jpg", "b.PNG", "c.Tiff"]


def test_the_stamp_changes_with_size_and_with_time(tmp_path):
    path = tmp_path / "a.png"
    path.write_bytes(b"12")
    os.utime(path, ns=(10, 10))
    first = stamp(scan(tmp_path, Listing())[0])
    assert stamp(scan(tmp_path, Listing())[0]) == first
    os.utime(path, ns=(10, 11))
    later = stamp(scan(tmp_path, Listing())[0])
    path.write_bytes(b"123")
    os.utime(path, ns=(10, 10))
    longer = stamp(scan(tmp_path, Listing())[0])
    assert len({first, later, longer}) == 3
