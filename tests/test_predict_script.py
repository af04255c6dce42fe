"""predict.py: what it writes is what evaluation finds; what it is given wrongly is one line and leaves nothing."""

import csv
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from bare_runs import SHAPES, STREETS, write_run
from PIL import Image
from scipy.spatial.transform import Rotation
from shape_views import write_views

from autoencoder.judge import TrainedAutoencoder
from autoencoder.saved_latents import load
from evaluation.segmentation_metrics import confusion
from evaluation.shape_metrics import pose_errors
from experiment import predictions
from experiment.run import open_run
from segmentation.data import Frames
from segmentation.judge import confusion_of, recogniser
from shape_pose.data import open_evaluation_shapes, open_training
from shape_pose.judge import ShapePoseJudge, of_network
from shape_pose.step import create_network
from standin import write_standin

PROJECT, CPU = Path(__file__).parent.parent, torch.device("cpu")

pytestmark = pytest.mark.usefixtures("no_pictures")


@pytest.fixture
def autoencoder(finished, tmp_path):
    return finished(copy=tmp_path / "results" / "tiny" / "ae")


@pytest.fixture
def classifier(finished, standins, tmp_path):
    """A classifier of three seats; there are TICaM's images to predict."""
    return finished("classifier", "scratch", "dataset.name=sviro", f"dataset.root={standins}", "evaluation.datasets=[]",
                    copy=tmp_path / "results" / "tiny" / "classifier")


@pytest.fixture(scope="session")
def streets(tmp_path_factory):
    root = tmp_path_factory.mktemp("street_images")
    write_standin("camvid", root, sceneries=6)
    return root


def rows_of(path):
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def kept_predictions(run, name):
    [found] = [each for each in predictions.read(run) if each.dataset == name and each.checkpoint == "last"]
    return [[str(found.classes[seat]) for seat in label] for label in found.predicted]


def is_drawn(path):
    return np.asarray(Image.open(path).convert("L")).std() > 10


@pytest.mark.parametrize("name", ["knn", "knn_cosine", "logistic", "svm"])
def test_an_autoencoder_predicts_files_as_its_evaluation_does(succeed, autoencoder, standins, tmp_path, name):
    succeed("eval_ae.py", autoencoder, "--checkpoint", "last", "--classifiers", name, "--set",
            f'evaluation.datasets=[{{name="digit_photos", root="{standins}"}}]')
    out = tmp_path / "found" / "photos.csv"
    said = succeed("predict.py", autoencoder, standins / "digit_photos", "--out", out, "--classifier", name)
    rows = rows_of(out)
    assert [[row["class"]] for row in rows] == kept_predictions(autoencoder, "digit_photos")
    assert len({row["class"] for row in rows}) > 1
    assert f"{out}: {len(rows)} images; pictures in {out.with_suffix('')}" in said
    assert is_drawn(tmp_path / "found" / "photos" / "overview.png")
    assert {path.name for path in (tmp_path / "found").iterdir()} == {"photos", "photos.csv"}
    # The nearest of all training latents, and what is known of it.
    train = load(autoencoder / "latents" / "glyphs_train_last.npz")
    assert all(row["nearest"] in train.sources and row["nearest_mirrored"] == "no" for row in rows)
    assert [row["nearest_class"] for row in rows] == [
        train.classes[train.labels[train.sources.tolist().index(row["nearest"])][0]] for row in rows]
    sure = [row["confidence"] for row in rows]
    assert set(sure) == {""} if name == "svm" else all(1 / 10 <= float(each) <= 1 for each in sure)
    assert {path.name for path in (autoencoder / "kept").glob("*")} == (
        {f"{name}_last.npz"} if name in ("logistic", "svm") else set())


def test_a_training_image_is_found_again(succeed, finished, standins, tmp_path):
    changes = ("dataset.name=digit_photos", f"dataset.root={standins}", "model.knn=1", "evaluation.datasets=[]")
    run, photos = finished("conv", "ae", *changes, copy=tmp_path / "run"), standins / "digit_photos" / "3"
    succeed("predict.py", run, *photos.iterdir(), photos, "--out", tmp_path / "own.csv")
    rows = rows_of(tmp_path / "own.csv")
    assert {row["file"] for row in rows} == {str(path) for path in photos.iterdir()}
    assert len(rows) == len(list(photos.iterdir()))
    for row in rows:
        assert (row["nearest"], row["class"], row["confidence"]) == (row["file"], "3", "1")
        assert float(row["distance"]) < 1e-5


def test_a_classifier_predicts_files_of_another_dataset_as_evaluation_does(succeed, fail, classifier, standins,
                                                                          tmp_path):
    succeed("eval_classifier.py", classifier, "--checkpoint", "last", "--set",
            f'evaluation.datasets=[{{name="ticam", root="{standins}", split="test"}}]')
    arguments = ("predict.py", classifier, standins / "TICaM" / "test", "--prepare-as", "ticam", "--out")
    succeed(*arguments, tmp_path / "seats.csv")
    rows = rows_of(tmp_path / "seats.csv")
    # Mirror images, which are test samples too, come behind.
    assert [[row[f"seat_{i}"] for i in (1, 2, 3)] for row in rows] == kept_predictions(classifier, "ticam")[: len(rows)]
    assert all(0 < float(row["confidence"]) <= 1 for row in rows)
    assert is_drawn(tmp_path / "seats" / "overview.png")
    # What its outputs are called is kept, so that the training data are needed no more.
    succeed(*arguments, tmp_path / "again.csv", "--set", "dataset.root=/nowhere")
    assert rows_of(tmp_path / "again.csv") == rows
    shutil.rmtree(classifier / "kept")
    assert "no sviro at /nowhere" in fail(*arguments, tmp_path / "no.csv", "--set", "dataset.root=/nowhere")


def test_a_segmentation_network_finds_in_files_what_it_finds_in_a_dataset(succeed, streets, cache, tmp_path):
    run = write_run(tmp_path / "streets" / "1", STREETS, streets, cache)
    shutil.copytree(streets / "CamVid" / "val", tmp_path / "images" / "a")
    shutil.copytree(streets / "CamVid" / "val", tmp_path / "images" / "b")
    succeed("predict.py", run, tmp_path / "images", "--out", tmp_path / "found.csv")
    section = open_run(run).config.dataset.model_copy(update={"split": "val"})
    frames, model = Frames(section, "street11", str(cache), CPU), recogniser(open_run(run), CPU).module
    model.load_state_dict(torch.load(run / "checkpoints" / "last_model.pth", weights_only=True))
    rows, truth = rows_of(tmp_path / "found.csv"), frames.rows.take(torch.arange(len(frames)))[:, 3].long()
    counts, names, folder = 0, [], tmp_path / "found"
    for row, labels in zip(rows, [*truth, *truth], strict=True):
        image = Image.open(row["file"])
        kept = np.asarray(Image.open(folder / "labels" / f"{row['name']}.png"))
        assert kept.shape == (image.height, image.width)
        small = np.array(Image.fromarray(kept).resize((64, 48), Image.Resampling.NEAREST))
        shares = [float(row[f"share/{name}"]) for name in frames.classes]
        assert shares == pytest.approx(np.bincount(small.reshape(-1), minlength=11) / small.size, abs=1e-5)
        over = np.asarray(Image.open(folder / "overlays" / f"{row['name']}.png")) / 255
        wanted = 0.4 * np.asarray(image.convert("RGB")) / 255 + 0.6 * frames.colours[kept] / 255
        assert np.abs(over - wanted).max() < 0.5 / 255 + 1e-6
        counts = counts + confusion(torch.from_numpy(small).long()[None], labels[None], 11)
        names.append(row["name"])
    assert torch.equal(counts, 2 * confusion_of(model, frames))
    assert (counts.sum(0) > 0).sum() > 2
    assert len(set(names)) == len(rows)
    assert is_drawn(folder / "overview.png")


def test_shape_and_pose_are_those_that_evaluation_finds(script, cache, tmp_path):
    root = write_views(tmp_path / "data", models=8)
    run = write_run(tmp_path / "cars" / "1", SHAPES, root, cache)
    opened = open_run(run, ['evaluation.datasets=[{name="views", split="test"}]'])
    model = create_network(opened.config.model, 32)
    model.load_state_dict(torch.load(run / "checkpoints" / "last_model.pth", weights_only=True))
    [shapes] = open_evaluation_shapes(opened.config, CPU)
    validation = open_training(opened.config.dataset, opened.config.model, CPU, "val")
    judge = ShapePoseJudge(of_network(model.eval()), [shapes], validation, opened.config.model, 50)
    [found] = judge.outcomes()
    bare = tmp_path / "bare.jpg"
    Image.new("RGB", (40, 30), "red").save(bare)
    code, _, err = script("predict.py", run, *shapes.sources, bare, "--out", tmp_path / "seen.csv")
    assert code == 0, err
    *rows, last = rows_of(tmp_path / "seen.csv")
    quaternions = np.array([[float(row[f"quaternion_{axis}"]) for axis in "wxyz"] for row in rows])
    # The table has six digits.
    assert pose_errors(quaternions, shapes.poses) == pytest.approx(found.values["angle"], abs=1e-2)
    assert [float(row["mask_iou"]) for row in rows] == pytest.approx(found.values["iou"].tolist(), abs=1e-5)
    assert last["mask_iou"] == ""
    looking = Rotation.from_quat(quaternions, scalar_first=True).as_matrix()[:, 0]
    assert [float(row["elevation"]) for row in rows] == pytest.approx(np.degrees(np.arcsin(-looking[:, 1])), abs=1e-2)
    first = np.load(tmp_path / "seen" / "points" / f"{rows[0]['name']}.npy", allow_pickle=False)
    assert np.abs(first - found.sights[0].cloud).max() < 1e-5
    silhouette = np.asarray(Image.open(tmp_path / "seen" / "silhouettes" / f"{rows[0]['name']}.png")) / 255
    image = found.sights[0].image.transpose(1, 2, 0)
    over = np.where(found.sights[0].found[..., None], 0.4 * image + 0.6 * np.array([0, 114, 178]) / 255, image)
    assert np.abs(silhouette - over).max() < 0.5 / 255 + 1e-6
    # Without the data that axes are aligned by, they are kept; without these, the network's own are told.
    arguments = ("predict.py", run, bare, "--set", "dataset.root=/nowhere", "--out")
    assert "warning" not in script(*arguments, tmp_path / "again.csv")[2]
    shutil.rmtree(run / "kept")
    code, _, err = script(*arguments, tmp_path / "own.csv")
    assert (code, "in axes of the network's own" in err) == (0, True)
    assert [rows_of(tmp_path / "own.csv")[0][name] for name in ("azimuth", "elevation", "mask_iou")] == [""] * 3


def test_a_changed_checkpoint_and_damaged_kept_files_are_noticed(script, fail, autoencoder, standins, tmp_path):
    photos, weights = standins / "digit_photos" / "1", autoencoder / "checkpoints" / "last_model.pth"
    arguments = ("predict.py", autoencoder, photos, "--classifier", "logistic", "--out")
    script(*arguments, tmp_path / "first.csv")
    torch.save({name: value * 1.5 if value.is_floating_point() else value for name, value in torch.load(
        weights, weights_only=True).items()}, weights)
    code, _, err = script(*arguments, tmp_path / "second.csv")
    assert code == 0, err
    for place in ("latents/glyphs_train_last.npz", "kept/logistic_last.npz"):
        assert f"{autoencoder / place}: is of other weights or training data than the run now has, and is" in err
    first, second = (rows_of(tmp_path / f"{name}.csv") for name in ("first", "second"))
    assert all(float(b["distance"]) > 1.01 * float(a["distance"]) for a, b in zip(first, second, strict=True))
    assert "warning" not in script(*arguments, tmp_path / "third.csv")[2]
    kept = autoencoder / "kept" / "logistic_last.npz"
    with np.load(kept) as arrays:
        good = dict(arrays)
    for change in ({"coefficients": good["coefficients"][:, :3]}, {"intercepts": good["intercepts"] * np.nan},
                   {"classes_": good["classes_"][:2]}, {"deviation": np.array("x")},
                   {"center": np.array([{}] * 8, dtype=object)}):
        np.savez(kept, **good | change)
        assert f"{kept}: damaged, or not what is kept there" in fail(*arguments, tmp_path / "no.csv")
    kept.write_bytes(kept.read_bytes()[:200])
    assert "delete it, and it is made anew" in fail(*arguments, tmp_path / "no.csv")
    latents = autoencoder / "latents" / "glyphs_train_last.npz"
    latents.write_bytes(latents.read_bytes()[:300])
    assert f"{latents}: no file of saved latents, or a damaged one" in fail(*arguments, tmp_path / "no.csv")
    assert not [path for path in tmp_path.iterdir() if "no" in path.name]


def write_classes(root, names):
    for number, name in enumerate(names):
        (root / name).mkdir(parents=True)
        for place in range(3):
            Image.new("L", (32, 32), 80 * number + 9 * place).save(root / name / f"{place}.png")
    return root


def test_classes_of_other_data_that_were_named_once_are_not_those_of_later_calls(script, fail, finished, tmp_path):
    own, other, more = (write_classes(tmp_path / name, names) for name, names in (
        ("own", "ab"), ("other", "cd"), ("more", "cde")))
    changes = ("dataset.name=folder", f"dataset.root={own}", "evaluation.datasets=[]", "training.epochs=1")
    run = finished("classifier", "scratch", *changes, copy=tmp_path / "run")
    arguments = ("predict.py", run, own, "--out")
    said = fail(*arguments, tmp_path / "no.csv", "--set", f"dataset.root={more}")
    assert "a classifier has an output per class of its training data" in said
    assert not (run / "kept").exists()
    found = {}
    for place, root in enumerate((other, own, own, other)):
        code, _, err = script(*arguments, tmp_path / f"{place}.csv", "--set", f"dataset.root={root}")
        assert (code, "warning" in err) == (0, place == 1), err
        found[place] = [row["class"] for row in rows_of(tmp_path / f"{place}.csv")]
    assert set(found[0]) <= {"c", "d"}
    assert found[1] == found[2] == found[3] == [{"c": "a", "d": "b"}[each] for each in found[0]]


def test_training_latents_of_several_roots_are_named_as_all_of_them(succeed, finished, tmp_path):
    roots = [str(write_classes(tmp_path / name, "ab")) for name in ("one", "two")]
    Image.new("L", (32, 32), 255).save(tmp_path / "two" / "a" / "0.png")
    changes = ("model.variation=features", "model.features=mean", "dataset.name=folder", f"dataset.root={roots}")
    run = finished("extractor", "tae", *changes, f'evaluation.datasets=[{{name="folder", root="{roots[0]}"}}]',
                   copy=tmp_path / "run")
    succeed("predict.py", run, roots[0], "--out", tmp_path / "found.csv")
    [latents] = (run / "latents").iterdir()
    # As recon_and_save_latent_space.py names them, which those of the evaluation dataset lie beside.
    assert latents.name == f"{TrainedAutoencoder(open_run(run), CPU).train.file_name}_last.npz"
    assert "one" in latents.name
    assert "two" in latents.name


def test_kept_classes_that_are_damaged_are_refused(succeed, fail, classifier, standins, tmp_path):
    succeed("predict.py", classifier, standins / "TICaM", "--prepare-as", "ticam", "--out", tmp_path / "a.csv")
    kept = classifier / "kept" / "classes_last.npz"
    with np.load(kept) as arrays:
        np.savez(kept, **dict(arrays) | {"classes": np.array(["empty"])})
    assert f"{kept}: damaged" in fail("predict.py", classifier, standins / "TICaM", "--out", tmp_path / "b.csv")


MISTAKES = {
    "no image": (["{tmp}/empty"], "empty: no images in it, nor in folders below"),
    "absent": (["{tmp}/nothing.png"], "nothing.png: no such image file or folder"),
    "unreadable": (["{tmp}/bad"], "bad/1.png: image cannot be read: none of the formats PNG, JPEG, BMP, TIFF, WEBP, "
                                  "PPM; --skip-bad leaves it out"),
    "floats": (["{tmp}/deep.tif"], "deep.tif: image holds floating-point values; allowed: 8 or 16 bit"),
    "channels": (["{good}", "--prepare-as", "mpi3d"], "--prepare-as (images of 1 channels, as those of glyphs): "
                                                      "'mpi3d' is not known; allowed: sviro"),
    "forest": (["{good}", "--classifier", "forest"], "--classifier: found 'forest'; allowed, as plain arrays can hold "
                                                     "them: knn, knn_cosine, logistic, svm"),
    "places": (["{good}", "--set", "model.knn=3"], "a finished run is evaluated as it was trained"),
    "table": (["{good}", "--out", "{tmp}/there.csv"], "there.csv exists; remove it, or name another file"),
    "pictures": (["{good}", "--out", "{tmp}/bad.csv"], "bad exists; remove it, or name another file"),
    "suffix": (["{good}", "--out", "{tmp}/new.txt"], "allowed: a name that ends with .csv"),
}


@pytest.mark.parametrize("kind", MISTAKES)
def test_a_mistake_is_one_line_and_leaves_nothing(fail, autoencoder, standins, tmp_path, kind):
    good = standins / "digit_photos" / "1"
    (tmp_path / "empty").mkdir()
    shutil.copytree(good, tmp_path / "bad")
    (tmp_path / "bad" / "1.png").write_text("no image")
    (tmp_path / "there.csv").touch()
    Image.fromarray(np.ones((9, 9), np.float32)).save(tmp_path / "deep.tif")
    before = sorted(tmp_path.iterdir())
    arguments, said = MISTAKES[kind]
    arguments = [each.format(tmp=tmp_path, good=good) for each in arguments]
    out = [] if "--out" in arguments else ["--out", tmp_path / "out.csv"]
    assert said in fail("predict.py", autoencoder, *arguments, *out)
    assert sorted(tmp_path.iterdir()) == before


def test_images_that_cannot_be_read_are_left_out_on_request(script, fail, autoencoder, standins, tmp_path):
    shutil.copytree(standins / "digit_photos" / "1", tmp_path / "photos")
    (tmp_path / "photos" / "bad.png").write_text("no image")
    code, out, err = script("predict.py", autoencoder, tmp_path / "photos", "--skip-bad", "--out", tmp_path / "a.csv")
    assert (code, "1 left out" in out) == (0, True), err
    assert f"warning: left out: {tmp_path}/photos/bad.png: image cannot be read" in err
    assert len(rows_of(tmp_path / "a.csv")) == len(list((tmp_path / "photos").iterdir())) - 1
    assert "none of the 1 images can be read" in fail("predict.py", autoencoder, tmp_path / "photos" / "bad.png",
                                                      "--skip-bad", "--out", tmp_path / "b.csv")


def test_runs_that_cannot_be_applied_are_refused(fail, autoencoder, classifier, standins, streets, cache, tmp_path):
    image = standins / "digit_photos" / "1"
    out = ("--out", tmp_path / "out.csv")
    assert "which takes none" in fail("predict.py", classifier, image, "--classifier", "knn", *out)
    (autoencoder / "done").unlink()
    assert "not finished; continue it with train_ae.py --resume" in fail("predict.py", autoencoder, image, *out)
    config = autoencoder / "cfg.toml"
    text = config.read_text()
    config.write_text(text.replace('"extractor"\n', '"transformer"\n', 1))
    assert "model.type: 'transformer' is not known; allowed: conv" in fail("predict.py", autoencoder, image, *out)
    shutil.copy(PROJECT / "cfg" / "cars_cyclegan.toml", config)
    assert "found 'cyclegan', a translation, which translate_dataset.py applies" in fail("predict.py", autoencoder,
                                                                                         image, *out)
    assert "not a run folder" in fail("predict.py", tmp_path, image, *out)
    run = write_run(tmp_path / "streets", STREETS, streets, cache)
    Image.fromarray(np.ones((9, 9), np.uint16)).save(tmp_path / "deep.png")
    assert "deep.png: image of mode I;16; allowed: 8 bits per channel" in fail("predict.py", run, tmp_path / "deep.png",
                                                                               *out)
    assert "has no best weights" in fail("predict.py", run, image, "--checkpoint", "best", *out)
    assert not (tmp_path / "out.csv").exists()
