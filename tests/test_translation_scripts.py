"""Translations by their scripts: trained, stopped and resumed, evaluated, and datasets translated with them."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from runs import configs
from sklearn.datasets import load_digits
from small_views import write_cut_outs, write_views

import train_translation
from experiment import records
from experiment.config import load_config
from experiment.run import open_run
from readers import create_reader
from readers.prepare import prepare
from standin import write_standin
from training.command import create_fabric

CONFIG = """
[dataset]
name = "glyphs"
limit = 4
image_size = 16
cache = "{cache}"

[target]
name = "handwritten"
split = "train"
limit = 40

[model]
type = "cyclegan"
width = 4
blocks = 1
layers = 1

[training]
batch_size = 8
epochs = 2
iterations = 6
mirror = false
device = "cpu"

[evaluation]
samples = 12

[evaluation.target]
name = "handwritten"
split = "test"
limit = 20

[[evaluation.datasets]]
name = "glyphs"
split = "test"
limit = 2
"""
CARS = ["dataset.name=views", "target.name=cut_outs", 'target.split="all"', 'dataset.split="train"', "dataset.limit=3",
        'evaluation={datasets=[{name="views", split="test"}], target={name="cut_outs"}, samples=8}']


@pytest.fixture
def config(tmp_path: Path, cache: Path) -> Path:
    """A tiny translation's TOML file."""
    path = tmp_path / "tiny.toml"
    path.write_text(CONFIG.format(cache=cache))
    return path


@pytest.fixture(scope="module")
def trained(tmp_path_factory, cache) -> Path:
    """A finished run, to be left as it is."""
    from conftest import start

    folder = tmp_path_factory.mktemp("trained")
    (folder / "tiny.toml").write_text(CONFIG.format(cache=cache))
    assert start("train_translation.py", folder / "tiny.toml", "--out", folder / "run", "--seed", 1) == 0
    return folder / "run"


def rows_of(run: Path, **wanted) -> dict[str, float]:
    """Return metric -> value of the records that are so."""
    return {row["metric"]: row["value"] for row in records.read(run)
            if all(row[key] == value for key, value in wanted.items())}


def test_a_run_records_its_terms_and_distances_before_and_after(trained):
    losses = rows_of(trained, checkpoint="epoch", epoch=2)
    assert {name for name in losses if name.startswith("loss/")} == {f"loss/{name}" for name in (
        "total", "adversarial_g", "adversarial_f", "cycle_a", "cycle_b", "identity_a", "identity_b", "discriminator_a",
        "discriminator_b")}
    found = rows_of(trained, checkpoint="last")
    assert set(found) == {f"{name}/{of}" for name in ("kernel", "frechet")
                          for of in ("translated", "untranslated", "floor")}
    assert found["kernel/floor"] < found["kernel/untranslated"]
    assert (trained / "images" / "translation_glyphs_test_last.png").stat().st_size > 5000


def test_a_run_that_was_killed_ends_where_an_undisturbed_one_does(trained, config, tmp_path, script, succeed,
                                                                        monkeypatch):
    from training.loop import Loop

    save = Loop._save

    def save_and_stop(loop, progress, *rest):
        save(loop, progress, *rest)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Loop, "_save", save_and_stop)
        assert script("train_translation.py", config, "--out", tmp_path / "run", "--seed", 1)[0] == 130
    succeed("train_translation.py", "--resume", tmp_path / "run")
    for name in ("last.pth", "last_model.pth"):
        one, other = (torch.load(run / "checkpoints" / name, weights_only=True) for run in (trained, tmp_path / "run"))
        assert one.pop("frozen", "") == other.pop("frozen", "")
        torch.testing.assert_close(one, other, rtol=0, atol=0)
    state = torch.load(trained / "checkpoints" / "last.pth", weights_only=True)["step"]
    assert {name: int(state[name]["filled"]) for name in ("pool_a", "pool_b")} == {"pool_a": 48, "pool_b": 48}


def test_labels_that_are_found_count_under_a_judge_of_its_own(config, finished, tmp_path, succeed, fail):
    semantic, judge = (finished("classifier", "scratch", "dataset.image_size=16", "training.epochs=1",
                                *changes) for changes in ((), ("training.learning_rate=2e-3",)))
    changes = [f"training.semantic={semantic}", "training.lambda_semantic=2", f"evaluation.judge={judge}"]
    (tmp_path / "link").symlink_to(semantic)
    for same in (semantic, f"{semantic}/", tmp_path / "link"):
        said = fail("train_translation.py", config, "--set", *changes[:2], f"evaluation.judge={same}")
        assert f"{same} is training.semantic, too" in said
    succeed("train_translation.py", config, "--out", tmp_path / "run", "--set", *changes)
    assert rows_of(tmp_path / "run", checkpoint="epoch", epoch=1)["loss/semantic"] > 0
    found = rows_of(tmp_path / "run", checkpoint="last")
    assert {f"agreement/{of}" for of in ("translated", "untranslated", "real")} <= set(found)
    said = succeed("eval_translation.py", tmp_path / "run", "--checkpoint", "last")
    assert "label agreement, translated" in said
    assert rows_of(tmp_path / "run", checkpoint="last") == pytest.approx(found)


def test_a_translated_copy_has_names_labels_and_what_the_network_makes(trained, tmp_path, succeed, fail, config):
    said = succeed("translate_dataset.py", trained, "--out", tmp_path / "copy")
    assert f"train on them with --set dataset.root={tmp_path / 'copy'}; it holds this split alone" in said
    note = json.loads((tmp_path / "copy" / "translation.json").read_text())
    assert (note["run"], note["checkpoint"], note["images"], note["epoch"]) == (str(trained), "last", 40, 2)
    original, copy = (prepare(create_reader("glyphs", root, [], "train"), 16, tmp_path / "cache", 4)
                      for root in ("nowhere", tmp_path / "copy"))
    assert original.names == copy.names
    assert np.array_equal(original.labels, copy.labels)
    assert np.array_equal(original.count, copy.count)
    network = torch.load(trained / "checkpoints" / "last_model.pth", weights_only=True)
    from translation.cyclegan import Generator

    generator = Generator(1, 4, 1, 0.0)
    generator.load_state_dict({name[4:]: value for name, value in network.items() if name.startswith("G_A.")})
    images = torch.from_numpy(np.array(original.images)).float() / 127.5 - 1
    expected = (generator(images).detach().clamp(-1, 1) + 1) * 127.5
    assert np.abs(copy.images - expected.numpy()).max() <= 0.51
    assert "exists" in fail("translate_dataset.py", trained, "--out", tmp_path / "copy")
    assert "dataset.root: found 2 roots; a copy is made of one, for example --set dataset.root=a" in fail(
        "translate_dataset.py", trained, "--out", tmp_path / "third", "--set", 'dataset.root=["a", "b"]')
    torch.save(generator.state_dict() | {"model.2.num_batches_tracked": torch.tensor(3)}, tmp_path / "net_G_A.pth")
    succeed("translate_dataset.py", config, "--generator", tmp_path / "net_G_A.pth", "--out", tmp_path / "other")
    one, other = (sorted((tmp_path / name).rglob("*.png")) for name in ("copy", "other"))
    assert [path.read_bytes() for path in one] == [path.read_bytes() for path in other]


@pytest.mark.parametrize(("name", "factor"), [("handwritten", "[]"), ("mpi3d", "real"), ("ticam", "[]"),
                                              ("glyfs", "[]")])
def test_what_cannot_be_copied_is_refused_before_anything_is_written(config, tmp_path, fail, name, factor):
    said = fail("translate_dataset.py", config, "--generator", tmp_path / "none.pth", "--out", tmp_path / "copy",
                "--set", f"dataset.name={name}", f"dataset.factor={factor}")
    reason = "is equalised and cut out of larger images as it is read" if name == "ticam" else (
        "keeps many images in one file")
    assert ("did you mean 'glyphs'?" if name == "glyfs" else
            f"dataset.name: {name} {reason}, so no copy of it can be written; allowed: other datasets") in said
    assert [path.name for path in tmp_path.iterdir()] == [config.name]


@pytest.mark.parametrize("name", ["glyphs", "handwritten"])
def test_images_that_are_squares_alone_are_refused_in_another_shape(config, tmp_path, fail, name):
    said = fail("train_translation.py", config, "--out", tmp_path / "run", "--set", f"dataset.name={name}",
                "dataset.image_size=[64, 32]")
    assert f"dataset.image_size: found 64x32; allowed for {name}: squares, for example 32" in said


def test_a_stopped_copy_goes_on_and_another_translation_does_not(trained, tmp_path, succeed, fail):
    succeed("translate_dataset.py", trained, "--out", tmp_path / "copy")
    partial = (tmp_path / "copy").rename(tmp_path / "copy.partial")
    files = sorted(partial.rglob("*.png"))
    kept, gone = files[0], files[1]
    content = gone.read_bytes()
    kept.write_bytes(b"as it was")
    gone.unlink()
    said = fail("translate_dataset.py", trained, "--out", tmp_path / "copy", "--set", "dataset.limit=3")
    assert "was left by a translation with other dataset" in said
    note = partial / "translation.json"
    about = note.read_text()
    note.write_text(about[:-1])
    assert "no translation that was left (no readable translation.json)" in fail(
        "translate_dataset.py", trained, "--out", tmp_path / "copy")
    note.write_text(about)
    succeed("translate_dataset.py", trained, "--out", tmp_path / "copy")
    assert not partial.exists()
    assert (tmp_path / "copy" / kept.relative_to(partial)).read_bytes() == b"as it was"
    assert (tmp_path / "copy" / gone.relative_to(partial)).read_bytes() == content


def test_alpha_keeps_outlines_and_copies_have_alpha_poses_and_clouds(config, cache, tmp_path, succeed):
    data, real = write_views(tmp_path / "cars", models=10), write_cut_outs(tmp_path / "real", count=12)
    changes = [*CARS, f"dataset.root={data}", f"target.root={real}", "model.alpha=composite"]
    succeed("train_translation.py", config, "--out", tmp_path / "run", "--set", *changes)
    found = rows_of(tmp_path / "run", checkpoint="last")
    assert found["outline/translated"] == 0
    counts = {row["metric"]: row["n"] for row in records.read(tmp_path / "run") if row["checkpoint"] == "last"}
    # Six views are tested; floors are of eight of the cut-outs.
    assert (counts["kernel/translated"], counts["kernel/untranslated"], counts["kernel/floor"]) == (6, 6, 8)
    moved = f"target.root={real.rename(tmp_path / 'moved')}"
    succeed("eval_translation.py", tmp_path / "run", "--checkpoint", "last", "--set", moved)
    assert rows_of(tmp_path / "run", checkpoint="last") == pytest.approx(found, rel=1e-4)
    succeed("translate_dataset.py", tmp_path / "run", "--out", tmp_path / "copy", "--set", moved)
    files = sorted((tmp_path / "copy" / "views").rglob("*.png"))
    assert len(files) == 9
    for file in files:
        original = data / file.relative_to(tmp_path / "copy")
        with Image.open(original) as before, Image.open(file) as after:
            assert np.array_equal(before.getchannel("A"), after.getchannel("A"))
            assert before.size == after.size
            assert not np.array_equal(before, after)
        cameras = original.with_name("cameras.json").read_bytes()
        assert file.with_name("cameras.json").read_bytes() == cameras
        model = file.parent.name
        assert (tmp_path / "copy" / "points" / f"{model}.npy").read_bytes() == (
            data / "points" / f"{model}.npy").read_bytes()
    names = [prepare(create_reader("views", root, [], "train"), 16, cache, limit).names
             for root, limit in ((data, 3), (tmp_path / "copy", None))]
    assert names[0] == names[1]


@pytest.mark.parametrize("name", ["carla", "sviro", "mnist", "digit_photos"])
def test_copies_of_every_kind_are_read_as_the_originals_are(name, config, tmp_path, succeed):
    data = tmp_path / "data"
    write_standin(name, data, sceneries=12)
    size = "[32, 16]" if name == "carla" else "16"
    real = "camvid" if name == "carla" else "handwritten"
    if name == "carla":
        write_standin("camvid", data, sceneries=12)
    split = "train"
    succeed("train_translation.py", config, "--out", tmp_path / "run", "--set", f"dataset.name={name}",
            f"dataset.root={data}", f"dataset.image_size={size}", f"target.name={real}", "dataset.limit=8",
            f"target.root={data}", 'evaluation={datasets=[]}', f'dataset.split="{split}"', "training.iterations=2",
            "training.batch_size=4")
    succeed("translate_dataset.py", tmp_path / "run", "--out", tmp_path / "copy")
    size, limit = (32, 16) if name == "carla" else 16, None if name in ("carla", "digit_photos") else 8
    before, after = (prepare(create_reader(name, root, [], split), size, tmp_path / "cache", count)
                     for root, count in ((data, limit), (tmp_path / "copy", None)))
    assert before.splits == after.splits
    assert np.array_equal(before.labels, after.labels)
    assert not np.array_equal(before.images, after.images)
    if name != "mnist":
        assert before.names == after.names
    if name == "carla":
        assert np.array_equal(before.images[:, 3], after.images[:, 3])
        for file in (data / "CARLA").rglob("seg/*.png"):
            assert (tmp_path / "copy" / file.relative_to(data)).read_bytes() == file.read_bytes()


def test_what_is_translated_can_be_looked_at_first(config, tmp_path, succeed, fail):
    said = succeed("inspect_dataset.py", config, "--out", tmp_path / "look")
    assert "| 4 " in said.replace("│", "|") or " 4 " in said
    assert {path.name for path in (tmp_path / "look").iterdir()} == {
        "data_glyphs_train.png", "data_handwritten_train.png", "data_handwritten_test.png", "data_glyphs_test.png"}
    assert "make demo-translation" in fail("try_config.py", config)


def test_handwritten_digits_have_halves():
    scans = load_digits().target
    halves = [create_reader("handwritten", ".", [], split).listing() for split in ("train", "test", "all")]
    assert [label for half in halves[:2] for (label,) in half.labels] == scans.tolist()
    assert [len(half.labels) for half in halves] == [899, 898, 1797]


def refusals(tmp_path: Path, finished) -> dict[str, tuple[list[str], str]]:
    """Return what is wrong -> changes of the config, and what is said."""
    cars, real = write_views(tmp_path / "cars", models=10), write_cut_outs(tmp_path / "real", count=6)
    (tmp_path / "empty" / "cut_outs").mkdir(parents=True)
    blank = write_cut_outs(tmp_path / "blank", count=6)
    Image.new("RGBA", (16, 16)).save(blank / "cut_outs" / "3.png")
    letters = finished("classifier", "scratch", "dataset.name=letters", "evaluation.datasets=[]")
    views = [*CARS, f"dataset.root={cars}"]
    return {
        "channels": (["dataset.name=views", f"dataset.root={cars}"], "handwritten has 1 channel(s), views cars 3"),
        "empty": ([*views, f"target.root={tmp_path / 'empty'}"], "no images found"),
        "few": ([*views, f"target.root={real}", "training.batch_size=7"],
                "training.batch_size: found 7; allowed: up to 6, the images of cut_outs real"),
        "mask": ([*views, f"target.root={blank}"], "3.png: the mask is empty"),
        "no mask": (["model.alpha=soft"], "model.alpha: found 'soft', but glyphs has no masks"),
        "classes": ([f"training.semantic={letters}", "training.lambda_semantic=1"],
                    "which its run does not know; its classes: A, B, C, D, E, F, ..."),
        "judge": ([f"evaluation.judge={letters}"], "evaluation.judge: glyphs shows class"),
        "kind": ([*views, f"target.root={real}", "training.batch_size=2", f"evaluation.judge={letters}"],
                 "views cars has no labels"),
        "no run": (["training.semantic=nowhere"], "training.semantic: found 'nowhere', which is no folder"),
        "weight": (["training.lambda_semantic=1"], "lambda_semantic needs a run that finds labels"),
        "mirror": (["training.mirror=true", f"training.semantic={finished('classifier', 'scratch')}"],
                   "training.mirror: a mirrored image of glyphs is none of its class"),
        "crop": (["training.crop=32"], "training.crop: found 32x32; allowed: up to 16x16"),
        "size": (["dataset.image_size=18"], "multiple of 4"),
        "decay": (["training.decay=3"], "decay = 3; allowed: up to epochs = 2"),
        "devices": (["training.devices=2"], "training.devices: found 2"),
    }


def test_what_cannot_be_is_refused_in_one_line(config, tmp_path, fail, finished):
    for name, (changes, said) in refusals(tmp_path, finished).items():
        line = fail("train_translation.py", config, "--out", tmp_path / "run", "--set", *changes)
        assert said in line, name
        assert not (tmp_path / "run").exists()


def test_a_run_that_is_not_finished_translates_nothing(trained, tmp_path, fail, finished):
    run = Path(shutil.copytree(trained, tmp_path / "run"))
    (run / "done").unlink()
    said = fail("translate_dataset.py", run, "--out", tmp_path / "copy")
    assert f"{run}: not finished; continue it with train_translation.py --resume {run}" in said
    other = finished("classifier", "scratch")
    assert "which train_classifier.py trains" in fail("translate_dataset.py", other, "--out", tmp_path / "copy")
    torch.save({"model.1.weight": torch.zeros(1)}, tmp_path / "net.pth")
    said = fail("translate_dataset.py", trained / "cfg.toml", "--generator", tmp_path / "net.pth", "--out",
                tmp_path / "copy")
    assert "does not fit the generator of the config" in said
    assert not (tmp_path / "copy").exists()
    assert not (tmp_path / "copy.partial").exists()


CONFIGS = configs('type = "cyclegan"')


def small(name, run, root):
    """Data of a config of CycleGANs in a few images, drawn in `root`, and the changes that go with it.

    run: folder of a classifier of digits, the judge.
    """
    if name.startswith("cars"):
        data, real = write_views(root / "cars", models=10), write_cut_outs(root / "real", count=6)
        light = [] if name == "cars_cyclegan" else ["training.features=efficientnet_lite0"]
        return [f"dataset.root={data}", f"target.root={real}", "dataset.image_size=16", *light]
    if name.startswith("sviro"):
        write_standin("sviro", root, sceneries=8, factors=["i3", "escape", "tucson", "lexus", "x5"])
        return [f"dataset.root={root}", f"target.root={root}", "dataset.image_size=32"]
    if name.startswith("town07"):
        write_standin("carla", root, sceneries=20, factors=["Town07"])
        write_standin("camvid", root, sceneries=20)
        return [f"dataset.root={root}", "dataset.image_size=[32,16]"]
    real = 'name="handwritten", limit=20'
    if name.startswith("digits"):
        write_standin("digit_photos", root, sceneries=40)
        real = f'name="digit_photos", root="{root}"'
    return ["dataset.image_size=32", f"evaluation.judge={run}", f'target={{{real}, split="train"}}',
            f'evaluation.target={{{real}, split="test"}}',
            'evaluation.datasets=[{name="glyphs", split="test", factor="bright", limit=2}]']


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_every_config_trains_a_step_of_all_its_networks_and_is_judged(path, tmp_path, cache, finished):
    run = finished("classifier", "scratch", "training.epochs=1")
    changes = [*small(path.stem, run, tmp_path), "training.pool=4", "training.batch_size=2", "model.width=2",
               "model.blocks=1", "model.layers=1", f"dataset.cache={cache}", "dataset.limit=5", "evaluation.samples=4"]
    if load_config(path).training.semantic:
        other = finished("classifier", "scratch", "training.epochs=1", "training.learning_rate=2e-3")
        changes += [f"training.semantic={other}"]
    job = train_translation.build(load_config(path, changes), create_fabric(torch.device("cpu")))
    before = {name: weight.clone() for name, weight in job.step.model.named_parameters()}
    losses = job.step.update(next(job.batches.epoch(1)))
    assert all(loss.isfinite() for loss in losses.values())
    unmoved = [name for name, weight in job.step.model.named_parameters()
               if weight.requires_grad and torch.equal(weight, before[name])]
    assert unmoved == []
    judged = any(change.startswith("evaluation.judge") for change in changes)
    assert job.rows()[0]["metric"] == ("agreement/translated" if judged else "kernel/translated")


def test_the_published_settings_are_those_of_the_table():
    for name, alpha, feature in (("constrained", 2.0, 1.75), ("less_constrained", 1.0, 1.25)):
        training = load_config(Path(__file__).parent.parent / "cfg" / f"cars_aist_{name}.toml").training
        assert (training.lambda_a, training.lambda_b, training.lambda_identity) == (10, 10, 0.1)
        assert {training.lambda_alpha_g, training.lambda_alpha_f} == {alpha}
        assert {training.lambda_feature_g, training.lambda_feature_f} == {feature}
        assert (training.batch_size, training.epochs, training.decay, training.learning_rate) == (4, 44, 0, 2e-4)


def test_a_run_says_of_what_type_it_is(trained):
    assert open_run(trained).config.model.type == "cyclegan"
