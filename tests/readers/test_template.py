from pathlib import Path

import pytest
from PIL import Image

from errors import UserError
from readers.prepare import prepare
from readers.template import Template


def test_the_template_reads_what_it_says(tmp_path):
    for split, name in (("train", "a_empty"), ("train", "b_taken"), ("test", "c_taken")):
        path = tmp_path / "template" / split / f"{name}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("L", (50, 40), 90).save(path)
    prepared = prepare(Template(tmp_path, [], "all"), 16, tmp_path / "cache")
    assert prepared.labels.tolist() == [[0], [1], [1]]
    assert prepared.names == ["a", "b", "c"]
    assert prepared.images.shape == (3, 1, 16, 16)
    path.rename(path.with_name("c_broken.png"))
    with pytest.raises(UserError, match=r"class 'broken' in the name; allowed: empty, taken"):
        Template(tmp_path, [], "all").listing()


def test_the_template_stays_short():
    source = Path(__file__).parent.parent.parent / "readers" / "template.py"
    assert len(source.read_text(encoding="utf-8").splitlines()) < 40
