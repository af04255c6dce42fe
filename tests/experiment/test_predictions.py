import os
from dataclasses import fields, replace

import numpy as np
import pytest
from refusals import Trap

from errors import UserError
from experiment.predictions import FOLDER, Predictions, check_writable, read, save

FOUND = Predictions("e_tae", 3, "sviro", "i3, x5", "all", "knn", "last",
                    np.array([[0, 3, 1], [2, 0, 0]], dtype=np.uint8), np.array([[0, 3, 2], [2, 0, 0]], dtype=np.uint8),
                    np.array(["empty", "infant seat", "child seat", "adult"]))


def same(a, b):
    return all(np.array_equal(getattr(a, each.name), getattr(b, each.name)) for each in fields(Predictions))


def test_what_is_saved_is_read_back_and_replaced_by_what_is_saved_later(tmp_path):
    assert read(tmp_path) == []
    for found in (FOUND, replace(FOUND, predicted=FOUND.true)):
        save(tmp_path, found)
        [back] = read(tmp_path)
        assert same(back, found)
    assert [path.name for path in (tmp_path / FOLDER).iterdir()] == ["sviro,i3+x5,all,knn,last.npz"]


@pytest.mark.parametrize("change", [{"dataset": "ticam"}, {"factor": "i3"}, {"split": "train"}, {"classifier": "svm"},
                                    {"checkpoint": "best"}, {"dataset": "../sviro"}, {"factor": "i3/x5"},
                                    {"factor": "i3+x5"}, {"factor": "i3,x5"}, {"dataset": "sviro,i3", "factor": "x5"},
                                    {"factor": "i3 x5"}, {"factor": "i3_x5"}, {"factor": "caf\udce9"}])
def test_other_evaluations_have_files_of_their_own(tmp_path, change):
    save(tmp_path, FOUND)
    save(tmp_path, replace(FOUND, **change))
    assert len(read(tmp_path)) == len(list((tmp_path / FOLDER).iterdir())) == 2


def content(**changes):
    return {each.name: np.asarray(getattr(FOUND, each.name)) for each in fields(Predictions)} | changes


@pytest.mark.parametrize("changes", [
    {"predicted": np.zeros((3, 3), dtype=np.uint8)}, {"predicted": np.full((2, 3), 4, dtype=np.uint8)},
    {"predicted": np.zeros((2, 3))}, {"true": np.zeros(2, dtype=np.uint8)}, {"classes": np.arange(4)},
    {"predicted": np.zeros((2, 0), dtype=np.uint8), "true": np.zeros((2, 0), dtype=np.uint8)},
    {"predicted": np.zeros((2, 3), dtype=complex)}, {"seed": np.array("x")}, {"dataset": np.array(["a", "b"])},
    {"predicted": np.zeros((0, 3), dtype=np.uint8), "true": np.zeros((0, 3), dtype=np.uint8)}])
def test_files_with_other_content_are_refused(tmp_path, changes):
    (tmp_path / FOLDER).mkdir()
    np.savez(tmp_path / FOLDER / "a.npz", **content(**changes))
    with pytest.raises(UserError, match=r"a\.npz: holds no predictions, or is damaged"):
        read(tmp_path)


def test_damaged_files_and_code_are_refused_and_the_code_is_not_run(tmp_path):
    path = tmp_path / FOLDER / "a.npz"
    path.parent.mkdir()
    whole = tmp_path / "whole.npz"
    np.savez(whole, **content())
    missing = {name: value for name, value in content().items() if name != "true"}
    for write in (lambda: path.write_bytes(b""), lambda: path.write_text("no archive"),
                  lambda: np.save(path.open("wb"), np.ones(3)), lambda: path.write_bytes(whole.read_bytes()[:-50]),
                  lambda: np.savez(path, **missing),
                  lambda: np.savez(path, **content(dataset=np.array(Trap(tmp_path / "ran"), dtype=object))),
                  lambda: path.unlink() or os.mkfifo(path)):
        write()
        (tmp_path / "ran").unlink(missing_ok=True)
        with pytest.raises(UserError, match=r"a\.npz: holds no predictions, or is damaged"):
            read(tmp_path)
        assert not (tmp_path / "ran").exists()


def test_a_place_that_cannot_be_written_is_named_beforehand(tmp_path, monkeypatch):
    check_writable(tmp_path)
    (tmp_path / FOLDER).write_text("a file")
    with pytest.raises(UserError, match="predictions: cannot be written"):
        check_writable(tmp_path)
    (tmp_path / FOLDER).unlink()
    monkeypatch.setattr(os, "access", lambda *_: False)
    with pytest.raises(UserError, match="predictions: cannot be written"):
        check_writable(tmp_path)
