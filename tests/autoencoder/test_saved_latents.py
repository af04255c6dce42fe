import dataclasses
import json
import os

import numpy as np
import pytest
from refusals import Trap

from autoencoder.saved_latents import ABOUT, SavedLatents, find, load, path_of, save, saved_checkpoints
from errors import UserError


def make(role="training", weights="abc", **changes):
    """Three sceneries, the first in two variants, and their mirror images."""
    about = dict.fromkeys(ABOUT, "x") | {"version": 1, "role": role, "weights": weights, "factor": "x5", "seed": 1,
                                         "epoch": 3, "environment": {}}
    labels = np.array([[3, 0], [3, 0], [1, 2], [0, 0]])
    values = {
        "latents": np.random.default_rng(0).normal(size=(8, 5)).astype(np.float32),
        "labels": np.concatenate([labels, labels[:, ::-1]]), "codes": np.arange(8),
        "scenery": np.array([0, 0, 1, 2] * 2), "flip": np.arange(8) >= 4,
        "sources": np.array([f"/data/ü {i}.png" for i in range(4)] * 2),
        "classes": np.array(["empty", "infant seat", "child seat", "adult"]), "about": about,
    }  # fmt: skip
    return SavedLatents(**values | changes)


def test_what_is_saved_is_read_back_alike(tmp_path):
    path = path_of(tmp_path, "sviro_x5_train", "last")
    save(path, make())
    assert path == tmp_path / "latents" / "sviro_x5_train_last.npz"
    for field in dataclasses.fields(SavedLatents):
        saved, read = getattr(make(), field.name), getattr(load(path), field.name)
        np.testing.assert_array_equal(saved, read)
        assert field.name == "about" or saved.dtype == read.dtype


def test_one_unmirrored_image_of_each_scenery_stands_for_it():
    saved, seen = make(), set()
    for seed in range(20):
        chosen = saved.one_per_scenery(seed)
        rows = [int(np.flatnonzero((saved.latents == latent).all(axis=1))[0]) for latent in chosen]
        assert rows[1:] == [2, 3]
        seen.add(rows[0])
    assert seen == {0, 1}


@pytest.mark.parametrize(("damage", "reason"), [
    (lambda path: path.write_bytes(path.read_bytes()[:300]), ""),
    (lambda path: path.write_text("no archive"), ""),
    (lambda path: np.savez(path.open("wb"), latents=np.zeros((2, 2))), "codes"),
    (lambda path: save(path, make(about=make().about | {"version": 2})), "expected version 1"),
    (lambda path: path.unlink() or os.mkfifo(path), "not a regular file"),
    (lambda path: np.save(path.open("wb"), np.ones(3)), "not a zip file"),
    (lambda path: save(path, make(about="[" * 10**5)), "expected version 1"),
    (lambda path: save(path, make(about=make().about | {"seed": "x"})), "is of other types"),
    (lambda path: save(path, make(labels=np.zeros((8, 0), dtype=int))), r"labels has shape \(8, 0\)"),
    (lambda path: save(path, make(latents=np.ones((8, 0)))), r"latents has shape \(8, 0\)"),
    (lambda path: save(path, make(latents=np.full((8, 2), 1e38))), r"beyond 1e\+15"),
    (lambda path: save(path, make(latents=np.ones((8, 2), dtype=complex))), "of complex128"),
    (lambda path: save(path, make(scenery=np.arange(8) / 2)), "scenery holds float64"),
    (lambda path: save(path, make(classes=np.arange(4))), "classes holds int64"),
    (lambda path: save(path, make(flip=np.zeros(3, dtype=bool))), r"flip has shape \(3,\)"),
    (lambda path: save(path, make(classes=np.array(["empty"]))), "labels go beyond 1 classes"),
    (lambda path: save(path, make(latents=np.full((8, 5), np.nan))), "not finite")])
def test_a_damaged_or_foreign_file_is_refused_in_one_line(tmp_path, damage, reason):
    path = path_of(tmp_path, "sviro", "last")
    save(path, make())
    damage(path)
    with pytest.raises(UserError, match=f"{path}: no file of saved latents, or a damaged one .*{reason}"):
        load(path)


def test_pickles_in_a_file_are_not_executed(tmp_path):
    path = tmp_path / "x.npz"
    arrays = {field.name: getattr(make(), field.name) for field in dataclasses.fields(SavedLatents)}
    arrays |= {"about": np.array(json.dumps(make().about)), "sources": np.array([Trap(tmp_path / "ran")], dtype=object)}
    np.savez(path, **arrays)
    with pytest.raises(UserError, match="damaged"):
        load(path)
    assert not (tmp_path / "ran").exists()


def test_the_latents_of_a_run_come_with_the_training_dataset_first(tmp_path):
    for name, role in (("a_photos", "evaluation"), ("mnist", "training"), ("z_photos", "evaluation")):
        save(path_of(tmp_path, name, "last"), make(role, sources=np.array([name] * 8)))
    assert saved_checkpoints(tmp_path) == ["last"]
    assert [each.sources[0] for each in find(tmp_path, "last")] == ["mnist", "a_photos", "z_photos"]
    assert [each.sources[0] for each in find(tmp_path, "last", ["z_photos"])] == ["mnist", "z_photos"]
    with pytest.raises(UserError, match="'b_photos' is not known; allowed: a_photos, z_photos; did you mean"):
        find(tmp_path, "last", ["b_photos"])


def test_latents_that_do_not_belong_together_are_refused(tmp_path):
    with pytest.raises(UserError, match=r"no latents are saved there; make them with recon_and_save"):
        saved_checkpoints(tmp_path)
    save(path_of(tmp_path, "photos", "best"), make("evaluation"))
    with pytest.raises(UserError, match="no latents of the training dataset under the best weights"):
        find(tmp_path, "best")
    save(path_of(tmp_path, "mnist", "best"), make(weights="other"))
    with pytest.raises(UserError, match=r"photos_best.npz: comes from other weights than mnist_best.npz"):
        find(tmp_path, "best")
    save(path_of(tmp_path, "letters", "best"), make())
    with pytest.raises(UserError, match=r"several training datasets \(letters, mnist\)"):
        find(tmp_path, "best")
