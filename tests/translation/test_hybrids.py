"""Rendered images with the texture of real ones: which, in copies of datasets, and in evaluation."""

import json
from pathlib import Path

import pytest
import torch
from PIL import Image
from test_swapping_configs import PROJECT, SMALL

from standin import write_standin
from translation.hybrids import Hybrids

CONFIG = PROJECT / "cfg/town07_camvid_small_out0.toml"


class Model:
    """The structure of an image is itself, its texture its first pixel; an image of both is their sum."""

    def codes(self, images):
        return images, images[:, :, 0, 0]

    def decode(self, structure, texture, size):
        return structure + texture[:, :, None, None]


class Target:
    def __len__(self):
        return 7

    def take(self, index):
        return 10.0 * (1 + index)[:, None, None, None].expand(-1, 3, 4, 4), None


def test_each_image_has_a_texture_of_its_own_or_all_have_the_same():
    index, images = torch.arange(14), torch.zeros(14, 3, 4, 4)
    found = Hybrids(Model(), Target())(images, None, index)[:, 0, 0, 0]
    assert torch.equal(found.sort()[0], torch.arange(10.0, 80.0, 10.0).repeat_interleave(2))
    # Whichever images come with it, and in whatever order.
    assert torch.equal(Hybrids(Model(), Target())(images[:3], None, index[[4, 2, 9]])[:, 0, 0, 0], found[[4, 2, 9]])
    turns = torch.stack([Hybrids(Model(), Target(), turn=turn)(images, None, index)[:, 0, 0, 0] for turn in range(3)])
    assert all(len(set(column)) == 3 for column in turns.T.tolist())
    assert Hybrids(Model(), Target(), fixed=4)(images, None, index).unique().tolist() == [50.0]


@pytest.fixture(scope="module")
def streets(tmp_path_factory):
    root = tmp_path_factory.mktemp("hybrid_streets")
    write_standin("carla", root, sceneries=10, factors=["Town07"])
    write_standin("camvid", root, sceneries=20)
    return root


@pytest.fixture(scope="module")
def run(streets, tmp_path_factory, cache):
    """A tiny run of a swapping autoencoder."""
    from conftest import start

    out = tmp_path_factory.mktemp("hybrid_runs") / "run"
    assert start("train_translation.py", CONFIG, "--out", out, "--seed", 1, "--set", f"dataset.root={streets}",
                 f"dataset.cache={cache}", *SMALL, "training.average=0.5") == 0
    return out


def test_a_run_is_evaluated_with_several_textures_and_draws_its_combinations(run, succeed):
    assert {path.name for path in (run / "images").iterdir()} == {
        f"{name}_carla_Town07_test_last.png" for name in ("translation", "hybrids")}
    succeed("eval_translation.py", run, "--checkpoint", "last", "--set", "evaluation.textures=3")
    rows = [json.loads(line) for line in (run / "records.jsonl").read_text().splitlines()]
    counts = {row["metric"]: row["n"] for row in rows if row["checkpoint"] == "last"}
    assert counts["kernel/translated"] == 3 * counts["kernel/untranslated"] > 0


def test_copies_of_a_dataset_with_fixed_textures(run, streets, succeed, fail, tmp_path):
    succeed("translate_dataset.py", run, "--out", tmp_path / "all", "--textures", 2)
    copies = sorted((tmp_path / "all").iterdir())
    assert len(copies) == 2
    original = sorted(path.relative_to(streets) for path in (streets / "CARLA").rglob("*.png"))
    for copy in copies:
        assert sorted(path.relative_to(copy) for path in copy.rglob("*.png")) == original
        assert Path(json.loads((copy / "translation.json").read_text())["texture"]).parent.name == "train"
    pictures = [next((copy / "CARLA/Town07/rgb").iterdir()).read_bytes() for copy in copies]
    assert pictures[0] != pictures[1]
    # One that is whole is left alone, and the same textures make the same images.
    (copies[1] / "translation.json").rename(tmp_path / "kept.json")
    succeed("translate_dataset.py", run, "--out", tmp_path / "all", "--textures", 2)
    assert not (copies[1] / "translation.json").exists()
    place = copies[1].name.removeprefix("texture_")
    succeed("translate_dataset.py", run, "--out", tmp_path / "video", "--fixed-texture", place)
    for name in ("CARLA/Town07/rgb/standin_00000.png", "CARLA/Town07/rgb/standin_00009.png"):
        assert Image.open(tmp_path / "video" / name).tobytes() == Image.open(copies[1] / name).tobytes()
    assert "--fixed-texture: found 40; allowed: 0 to 11, as camvid has 12 images" in fail(
        "translate_dataset.py", run, "--out", tmp_path / "none", "--fixed-texture", 40)
    assert "--textures: found 0; allowed: 1 to 12" in fail(
        "translate_dataset.py", run, "--out", tmp_path / "none", "--textures", 0)
    assert not (tmp_path / "none").exists()


def test_a_checkpoint_of_the_published_code_translates(run, streets, cache, succeed, fail, tmp_path):
    state = torch.load(run / "checkpoints" / "last_model.pth", weights_only=True)
    own = {name.removeprefix("averaged."): value for name, value in state.items() if name.startswith("averaged.")}
    # What a run translates with, under the names of the published code.
    published = {name: own.get(name, value) for name, value in state.items() if not name.startswith("averaged.")}
    torch.save(published, tmp_path / "400k_checkpoint.pth")
    places = ["--set", f"dataset.root={streets}", f"dataset.cache={cache}"]
    succeed("translate_dataset.py", run, "--out", tmp_path / "run", "--fixed-texture", 3)
    succeed("translate_dataset.py", run / "cfg.toml", "--generator", tmp_path / "400k_checkpoint.pth", "--out",
            tmp_path / "published", "--fixed-texture", 3, *places)
    name = "CARLA/Town07/rgb/standin_00004.png"
    assert (tmp_path / "run" / name).read_bytes() == (tmp_path / "published" / name).read_bytes()
    del published["Dpatch.convs.0.Act.bias"]
    torch.save(published, tmp_path / "damaged.pth")
    assert "damaged.pth: does not fit the networks of the config: Dpatch.convs.0.Act.bias is missing" in fail(
        "translate_dataset.py", run / "cfg.toml", "--generator", tmp_path / "damaged.pth", "--out", tmp_path / "none",
        *places)
    assert not (tmp_path / "none").exists()
