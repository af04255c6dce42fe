import io
import os
import pickle
import zipfile

import numpy as np
import pytest
import torch

from errors import UserError
from experiment.checkpoint import load, save


class Harmful:
    """Makes a folder when it is unpickled."""

    def __init__(self, path):
        self.path = str(path)

    def __reduce__(self):
        return os.mkdir, (self.path,)


def content():
    generator = torch.Generator().manual_seed(3)
    return {
        "model": {"weight": torch.randn(4, 3, generator=generator), "count": torch.tensor(7)},
        "half": torch.randn(5, generator=generator).to(torch.bfloat16),
        "progress": {"epoch": 3, "best": 0.25, "name": "knn", "none": None, "list": [1, 2.5, True]},
    }


def refusal(path):
    with pytest.raises(UserError) as caught:
        load(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_tensors_and_plain_values_come_back_as_they_were(tmp_path):
    save(content(), tmp_path / "a.pth")
    found, expected = load(tmp_path / "a.pth"), content()
    assert found["progress"] == expected["progress"]
    assert found["half"].dtype == torch.bfloat16
    for there, here in zip((*found["model"].values(), found["half"]), (*expected["model"].values(), expected["half"]),
                           strict=True):
        assert torch.equal(there, here)


def test_the_state_of_a_network_and_its_optimiser_comes_back(tmp_path):
    network = torch.nn.Sequential(torch.nn.Conv2d(1, 2, 3), torch.nn.BatchNorm2d(2))
    optimiser = torch.optim.AdamW(network.parameters())
    network(torch.ones(2, 1, 5, 5)).square().sum().backward()
    optimiser.step()
    save({"network": network.state_dict(), "optimiser": optimiser.state_dict()}, tmp_path / "a.pth")
    found = load(tmp_path / "a.pth")
    assert all(torch.equal(found["network"][name], value) for name, value in network.state_dict().items())
    moments = optimiser.state_dict()["state"]
    assert all(torch.equal(found["optimiser"]["state"][i]["exp_avg"], moments[i]["exp_avg"]) for i in moments)


@pytest.mark.parametrize("zipped", [True, False])
def test_a_file_with_code_is_refused_and_its_code_is_not_run(tmp_path, zipped):
    torch.save({"model": Harmful(tmp_path / "harm")}, tmp_path / "a.pth", _use_new_zipfile_serialization=zipped)
    assert "refused" in refusal(tmp_path / "a.pth")
    assert not (tmp_path / "harm").exists()


def test_a_plain_pickle_with_code_is_refused_and_its_code_is_not_run(tmp_path):
    (tmp_path / "a.pth").write_bytes(pickle.dumps(Harmful(tmp_path / "harm"), protocol=2))
    refusal(tmp_path / "a.pth")
    assert not (tmp_path / "harm").exists()


def test_the_harmful_file_does_run_code_where_it_is_trusted(tmp_path):
    torch.save(Harmful(tmp_path / "harm"), tmp_path / "a.pth")
    torch.load(tmp_path / "a.pth", weights_only=False)
    assert (tmp_path / "harm").exists()


def test_a_whole_module_is_refused(tmp_path):
    torch.save(torch.nn.Linear(2, 2), tmp_path / "a.pth")
    assert "refused" in refusal(tmp_path / "a.pth")


def test_a_state_dict_in_the_older_file_format_is_read(tmp_path):
    torch.save(content()["model"], tmp_path / "a.pth", _use_new_zipfile_serialization=False)
    assert torch.equal(load(tmp_path / "a.pth")["weight"], content()["model"]["weight"])


@pytest.mark.parametrize("zipped", [True, False])
def test_a_file_cut_anywhere_is_one_line_that_names_it(tmp_path, zipped):
    whole = io.BytesIO()
    torch.save(content(), whole, _use_new_zipfile_serialization=zipped)
    size = whole.getbuffer().nbytes
    for length in np.linspace(0, size - 1, 60, dtype=int):
        (tmp_path / "a.pth").write_bytes(whole.getvalue()[:length])
        refusal(tmp_path / "a.pth")


@pytest.mark.parametrize(
    "junk",
    [b"", b"hello", b"<html>", b"\x89PNG\r\n\x1a\n", b"PK\x03\x04", b"\x80\x02.", b"N.",
     b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n"],
    ids=["empty", "text", "html", "png", "zip head", "pickle head", "pickled None", "git-lfs pointer"],
)  # fmt: skip
def test_a_file_of_something_else_is_one_line_that_names_it(tmp_path, junk):
    (tmp_path / "a.pth").write_bytes(junk)
    refusal(tmp_path / "a.pth")


def test_another_zip_file_and_a_folder_are_one_line_that_names_them(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.pth", "w") as file:
        file.writestr("readme.txt", "nothing here")
    refusal(tmp_path / "a.pth")
    (tmp_path / "b.pth").mkdir()
    refusal(tmp_path / "b.pth")


def test_a_missing_file_is_named(tmp_path):
    assert "no such" in refusal(tmp_path / "nowhere.pth")


def test_a_save_that_fails_leaves_the_old_file(tmp_path):
    save(content(), tmp_path / "a.pth")
    before = (tmp_path / "a.pth").read_bytes()
    with pytest.raises((pickle.PicklingError, AttributeError)):
        save({"large": torch.zeros(1000), "bad": lambda: None}, tmp_path / "a.pth")
    assert (tmp_path / "a.pth").read_bytes() == before


def test_a_save_that_is_cut_short_leaves_the_old_file(tmp_path, monkeypatch):
    save(content(), tmp_path / "a.pth")
    before = (tmp_path / "a.pth").read_bytes()

    def half(content, path):
        path.write_bytes(b"half a fi")
        raise OSError("No space left on device")

    monkeypatch.setattr(torch, "save", half)
    with pytest.raises(OSError, match="No space"):
        save(content(), tmp_path / "a.pth")
    assert (tmp_path / "a.pth").read_bytes() == before


def test_a_save_replaces_the_old_file_and_leaves_no_other(tmp_path):
    save({"epoch": 1}, tmp_path / "a.pth")
    save({"epoch": 2}, tmp_path / "a.pth")
    assert load(tmp_path / "a.pth") == {"epoch": 2}
    assert [path.name for path in tmp_path.iterdir()] == ["a.pth"]
