"""Image files from anywhere are prepared as the images of a dataset."""

import numpy as np
import pytest
from PIL import Image
from refusals import refused
from small_views import write_cut_outs, write_views

from readers import create_reader
from standin import write_standin


@pytest.fixture(scope="module")
def root(standins, tmp_path_factory):
    root = tmp_path_factory.mktemp("files")
    for name in ("camvid", "carla"):
        write_standin(name, root, sceneries=5)
    write_views(root / "views", 3)
    write_cut_outs(root / "views", 3)
    for name in ("MNIST", "MPI3D", "SVIRO", "SVIRO-Illumination", "TICaM", "digit_photos"):
        (root / name).symlink_to(standins / name)
    return root


FILES = {"sviro": "", "sviro_illumination": "", "ticam": "", "digit_photos": "", "camvid": "", "carla": "",
         "views": "views", "cut_outs": "views", "folder": "digit_photos", "colour_folder": "digit_photos"}


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("size", [16, 48])
def test_a_file_of_the_dataset_itself(root, name, size):
    reader = create_reader(name, root / FILES[name], [], "all")
    sources = [variants[0] for variants in reader.listing().sources[:2]]
    for source in sources:
        prepared = reader.prepare(source, size)
        # All but label maps.
        expected = prepared[: reader.channels] if reader.maps == ("labels",) else prepared
        assert np.array_equal(reader.prepare_file(source, size), expected)


@pytest.mark.parametrize(("name", "factor", "size"), [("mnist", [], 28), ("mpi3d", ["toy"], 64),
                                                      ("handwritten", [], 32), ("glyphs", [], 32)])
def test_an_image_of_a_dataset_without_files(root, tmp_path, name, factor, size):
    reader = create_reader(name, root, factor, "all")
    [source, *_] = reader.listing().sources[0]
    image = reader.prepare(source, size)
    path = tmp_path / "image.png"
    Image.fromarray(image[0] if len(image) == 1 else image.transpose(1, 2, 0)).save(path)
    assert np.array_equal(reader.prepare_file(path, size), image)
    if name in ("mnist", "mpi3d"):
        assert np.array_equal(reader.prepare_file(path, 40), reader.prepare(source, 40))


def test_what_has_no_alpha_is_opaque_and_on_white(root, tmp_path):
    reader = create_reader("views", root / "views", [], "all")
    path = tmp_path / "wide.png"
    Image.new("RGB", (32, 16), (200, 0, 0)).save(path)
    layers = reader.prepare_file(path, 16)
    assert layers.shape == (4, 16, 16)
    assert (layers[3] == 255).all()
    assert (layers[:3, 4:12] == np.array([200, 0, 0])[:, None, None]).all()
    assert (layers[:3, :4] == 255).all()
    # With alpha, nothing is around it.
    half = Image.new("RGBA", (32, 16), (200, 0, 0, 255))
    half.putpixel((0, 0), (0, 0, 0, 0))
    half.save(path)
    assert (reader.prepare_file(path, 16)[3, :4] == 0).all()
    Image.fromarray(np.ones((9, 9), np.uint16)).save(path)
    assert "image of mode I;16; allowed: 8 bits per channel" in refused(reader.prepare_file, path, 16)
