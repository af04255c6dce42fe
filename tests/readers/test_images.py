import io
import os
import struct
import zlib
from fractions import Fraction

import numpy as np
import pytest
from PIL import Image
from torchvision.transforms import CenterCrop

from errors import UserError
from readers.base import BadImage
from readers.images import centre_crop, open_grey, scan, stamp, to_array
from readers.listing import Listing

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


def test_an_8_bit_grey_png_keeps_every_value(tmp_path):
    values = noise(9, 7)
    Image.fromarray(values).save(tmp_path / "a.png")
    np.testing.assert_array_equal(grey_of(tmp_path / "a.png"), values)


def test_colour_becomes_the_luma_of_its_channels(tmp_path):
    values = noise(6, 8, (3,))
    Image.fromarray(values).save(tmp_path / "a.png")
    expected = np.array([[float(luma(*pixel)) for pixel in row] for row in values])
    np.testing.assert_allclose(grey_of(tmp_path / "a.png"), expected, atol=0.51)


def test_16_bit_png_is_scaled_from_full_range_to_full_range(tmp_path):
    values = deep_noise()
    Image.fromarray(values).save(tmp_path / "a.png")
    np.testing.assert_array_equal(grey_of(tmp_path / "a.png"), eighth_bits(values))


@pytest.mark.parametrize(("mode", "order"), [("I;16", "<u2"), ("I;16B", ">u2")])
def test_16_bit_tiff_is_scaled_alike_in_both_byte_orders(tmp_path, mode, order):
    values = deep_noise()
    Image.frombytes(mode, values.shape[::-1], values.astype(order).tobytes()).save(tmp_path / "a.tif")
    np.testing.assert_array_equal(grey_of(tmp_path / "a.tif"), eighth_bits(values))


def test_16_bit_pgm_and_32_bit_tiff_are_scaled_like_16_bit_png(tmp_path):
    values = deep_noise()
    height, width = values.shape
    (tmp_path / "a.pgm").write_bytes(f"P5 {width} {height} 65535\n".encode() + values.astype(">u2").tobytes())
    Image.fromarray(values.astype(np.int32)).save(tmp_path / "a.tif")
    np.testing.assert_array_equal(grey_of(tmp_path / "a.pgm"), eighth_bits(values))
    np.testing.assert_array_equal(grey_of(tmp_path / "a.tif"), eighth_bits(values))


def test_black_and_white_becomes_0_and_255(tmp_path):
    bits = noise(6, 10) > 127
    Image.fromarray(bits).save(tmp_path / "a.png")
    assert Image.open(tmp_path / "a.png").mode == "1"
    np.testing.assert_array_equal(grey_of(tmp_path / "a.png"), bits * 255)


def test_a_palette_is_looked_up(tmp_path):
    indices = noise(5, 5) % 3
    palette = [(200, 10, 30), (0, 255, 0), (90, 90, 90)]
    image = Image.frombytes("P", indices.shape[::-1], indices.tobytes())
    image.putpalette([value for colour in palette for value in colour])
    image.save(tmp_path / "a.png")
    assert Image.open(tmp_path / "a.png").mode == "P"
    expected = np.array([[float(luma(*palette[index])) for index in row] for row in indices])
    np.testing.assert_allclose(grey_of(tmp_path / "a.png"), expected, atol=0.51)


def test_transparent_pixels_are_laid_over_black(tmp_path):
    values = noise(6, 6, (4,))
    values[0, 0] = 255, 255, 255, 0
    values[0, 1] = 255, 255, 255, 255
    Image.fromarray(values).save(tmp_path / "a.png")
    grey = grey_of(tmp_path / "a.png")
    assert (grey[0, 0], grey[0, 1]) == (0, 255)
    expected = np.array([[float(luma(*pixel[:3]) * int(pixel[3]) / 255) for pixel in row] for row in values])
    np.testing.assert_allclose(grey, expected, atol=1.5)


def test_grey_with_transparency_is_laid_over_black(tmp_path):
    values = noise(6, 6, (2,))
    values[0, :2] = (200, 0), (200, 255)
    Image.fromarray(values).save(tmp_path / "a.png")
    assert Image.open(tmp_path / "a.png").mode == "LA"
    grey = grey_of(tmp_path / "a.png")
    assert (grey[0, 0], grey[0, 1]) == (0, 200)
    np.testing.assert_allclose(grey, values[..., 0] * (values[..., 1] / 255), atol=1)


def test_the_transparent_colour_of_a_palette_turns_black(tmp_path):
    image = Image.new("P", (2, 1))
    image.putpalette([255, 255, 255, 180, 180, 180])
    image.putpixel((1, 0), 1)
    image.save(tmp_path / "a.png", transparency=0)
    assert grey_of(tmp_path / "a.png").tolist() == [[0, 180]]


def test_cmyk_is_ink_on_white(tmp_path):
    pixels = [(0, 0, 0, 0), (0, 0, 0, 255), (0, 0, 0, 100), (255, 255, 255, 0)]
    image = Image.new("CMYK", (4, 1))
    image.putdata(pixels)
    image.save(tmp_path / "a.tif")
    assert grey_of(tmp_path / "a.tif").tolist() == [[255, 0, 155, 0]]


def test_jpeg_is_decoded_as_pillow_does(tmp_path):
    Image.fromarray(noise(24, 40)).save(tmp_path / "a.jpg", quality=70)
    np.testing.assert_array_equal(grey_of(tmp_path / "a.jpg"), np.asarray(Image.open(tmp_path / "a.jpg")))


@pytest.mark.parametrize("name", ["half.png", "half.jpg", "half.tif", "empty.png", "text.png"])
def test_an_undecodable_file_is_one_line_that_names_it(tmp_path, name):
    Image.fromarray(noise(30, 30)).save(tmp_path / name)
    whole = (tmp_path / name).read_bytes()
    content = {"half": whole[: len(whole) // 2], "empty": b"", "text": b"no image\nat all"}[name.split(".")[0]]
    (tmp_path / name).write_bytes(content)
    with pytest.raises(UserError) as caught:
        open_grey(tmp_path / name)
    assert str(tmp_path / name) in str(caught.value)
    assert "cannot be read" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(UserError, match=r"gone\.png"):
        open_grey(tmp_path / "gone.png")


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
