import io
import os
import pickle
import re
import zipfile

import numpy as np
import pytest
import torch
from refusals import Trap, refused

from errors import UserError
from experiment.checkpoint import Progress, load, load_training_state, misfit, save


def content():
    generator = torch.Generator().manual_seed(3)
    return {
        "model": {"weight": torch.randn(4, 3, generator=generator), "count": torch.tensor(7)},
        "half": torch.randn(5, generator=generator).to(torch.bfloat16),
        "progress": {"epoch": 3, "best": 0.25, "name": "knn", "none": None, "list": [1, 2.5, True]},
    }


def refusal(path):
    message = refused(load, path)
    assert str(path) in message
    return message


@pytest.mark.parametrize("older", [False, True])
def test_tensors_and_plain_values_come_back_as_they_were(tmp_path, older):
    if older:
        torch.save(content(), tmp_path / "a.pth", _use_new_zipfile_serialization=False)
    else:
        save(content(), tmp_path / "a.pth")
    found, expected = load(tmp_path / "a.pth"), content()
    assert found["progress"] == expected["progress"]
    assert found["half"].dtype == torch.bfloat16
    for there, here in zip((*found["model"].values(), found["half"]), (*expected["model"].values(), expected["half"]),
                           strict=True):
        assert torch.equal(there, here)


@pytest.mark.parametrize("write", [
    lambda harm, path: torch.save({"model": harm}, path), lambda harm, path: torch.save(torch.nn.Linear(2, 2), path),
    lambda harm, path: torch.save({"model": harm}, path, _use_new_zipfile_serialization=False),
    lambda harm, path: path.write_bytes(pickle.dumps(harm, protocol=2))], ids=["zip", "module", "older", "pickle"])
def test_a_file_with_code_is_refused_and_its_code_is_not_run(tmp_path, write):
    write(Trap(tmp_path / "harm"), tmp_path / "a.pth")
    assert re.search("refused|not a weights file", refusal(tmp_path / "a.pth"))
    assert not (tmp_path / "harm").exists()
    # It does run where it is trusted.
    pickle.loads(pickle.dumps(Trap(tmp_path / "harm")))
    assert (tmp_path / "harm").exists()


@pytest.mark.parametrize("zipped", [True, False])
def test_a_file_cut_anywhere_is_one_line_that_names_it(tmp_path, zipped):
    whole = io.BytesIO()
    torch.save(content(), whole, _use_new_zipfile_serialization=zipped)
    size = whole.getbuffer().nbytes
    for length in np.linspace(0, size - 1, 60, dtype=int):
        (tmp_path / "a.pth").write_bytes(whole.getvalue()[:length])
        refusal(tmp_path / "a.pth")


JUNK = (b"", b"hello", b"<html>", b"\x89PNG\r\n\x1a\n", b"PK\x03\x04", b"\x80\x02.", b"N.",
        b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n")


def zipped(path):
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("readme.txt", "nothing here")


@pytest.mark.parametrize(("make", "told"), [
    *((lambda path, junk=junk: path.write_bytes(junk), "not a weights file|refused") for junk in JUNK),
    (zipped, "not a weights file"), (os.mkdir, "not a regular file"), (os.mkfifo, "not a regular file"),
    (lambda path: path.symlink_to("/dev/zero"), "not a regular file"), (lambda path: None, "no such weights file")])
def test_what_is_no_weights_file_is_refused_at_once_in_one_line_that_names_it(tmp_path, make, told):
    make(tmp_path / "a.pth")
    assert re.search(told, refusal(tmp_path / "a.pth"))


def test_a_save_replaces_the_old_file_and_one_that_fails_leaves_it(tmp_path, monkeypatch):
    path = tmp_path / "a.pth"
    save({"epoch": 1}, path)
    save(content(), path)
    before = path.read_bytes()
    save(content(), path)
    assert path.read_bytes() == before, "the same content is another file"
    with pytest.raises((pickle.PicklingError, AttributeError)):
        save({"large": torch.zeros(1000), "bad": lambda: None}, path)

    def half(content, file):
        file.write(b"half a fi")
        raise OSError("No space left on device")

    monkeypatch.setattr(torch, "save", half)
    with pytest.raises(OSError, match="No space"):
        save({}, path)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


ODD = {
    "of float32, sparse_coo": lambda tensor: tensor.to_sparse(), "without content": lambda tensor: tensor.to("meta"),
    "of complex64": lambda tensor: tensor.to(torch.complex64), "of int64": lambda tensor: tensor.long(),
    "of bool": lambda tensor: tensor > 0, "not finite": lambda tensor: tensor / 0,
    "of float8_e5m2": lambda tensor: tensor.to(torch.float8_e5m2), "expected a tensor": lambda tensor: tensor.tolist(),
    r"has shape \(10000000000000,\)": lambda tensor: torch.zeros(1).expand(10**13),
    "values that are not finite": lambda tensor: tensor.double() * 1e300,
}  # fmt: skip


@pytest.mark.parametrize("problem", ODD)
def test_a_tensor_that_no_model_takes_is_named(problem):
    own = {"net": {"weight": torch.ones(2, 3), "count": torch.tensor(3)}}
    found = {"net": {"weight": ODD[problem](own["net"]["weight"]), "count": torch.tensor(5, dtype=torch.int32)}}
    assert re.match(rf"net\.weight .*{problem}", misfit(found, own))


def test_what_fits_fits_in_any_kind_of_finite_numbers():
    own = {"weight": torch.ones(2), "plain": [1, (2.0, None)]}
    for dtype in (torch.float16, torch.bfloat16, torch.float64):
        assert misfit({"weight": torch.ones(2, dtype=dtype), "plain": [7, (0.5, None)]}, own) == ""
    assert misfit({"weight": torch.ones(2), "plain": [7, (0.5,)]}, own) == "plain.1 has 1 entries, expected 2"
    assert misfit({"weight": torch.ones(2), "plain": [True, (0.5, None)]}, own) == (
        "plain.0 is of type bool, expected int")


def state(**changes):
    progress = {"epoch": 3, "best_epoch": 2, "best_score": 0.5} | changes.pop("progress", {})
    return {"trainable": {}, "step": {}, "frozen": "", "progress": progress} | changes


@pytest.mark.parametrize("damaged", [
    [1], 7, {}, state(more=1), state(frozen=torch.ones(3)), state() | {"progress": {}}, state() | {"progress": [1]},
    *(state(progress={"epoch": epoch}) for epoch in (0, 1, 6, "x", 3.0, True, torch.ones(2))),
    *(state(progress=change) for change in ({"best_score": float("nan")}, {"best_epoch": -1}, {"best_epoch": 0},
                                            {"best_score": float("-inf")}, {"best_score": 1}))])
def test_a_training_state_is_checked_whole(tmp_path, damaged):
    path = tmp_path / "last.pth"
    save(state(), path)
    assert load_training_state(path, 5)[1] == Progress(3, 2, 0.5)
    save(state(progress={"best_epoch": 0, "best_score": float("-inf")}), path)
    assert load_training_state(path, 5)[1] == Progress(3)
    save(damaged, path)
    with pytest.raises(UserError, match=r"last\.pth: (damaged: |not the state of a training run)"):
        load_training_state(path, 5)


def test_an_archive_that_unpacks_to_more_than_the_file_is_refused(tmp_path):
    save({"zeros": torch.zeros(10**6)}, tmp_path / "whole.pth")
    with zipfile.ZipFile(tmp_path / "whole.pth") as whole, zipfile.ZipFile(tmp_path / "a.pth", "w") as file:
        for name in whole.namelist():
            file.writestr(name, whole.read(name), zipfile.ZIP_DEFLATED)
    assert "damaged" in refusal(tmp_path / "a.pth")
