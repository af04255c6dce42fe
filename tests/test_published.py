"""Folders in the layout of the published weights, made by hand from published names and the shapes of the tables."""

import csv
import io
import re
from pathlib import Path

import pytest
import torch
import torchvision
from published_files import Trap, autoencoder, classifier, conv_state, head_state, publish
from torch.nn import functional as F

from autoencoder.judge import rebuild_autoencoder
from dataset import Scenes
from errors import UserError
from evaluation.trained import restore
from experiment import records
from experiment.published_run import curve, epoch, number
from experiment.run import open_run
from pretrained_model import build_extractor
from standin import write_standin

SIZE, GRID, DIMENSION = 32, 2, 6
# Less than what the published files leave to the code: smaller images, half of the data.
LESS = (f"dataset.image_size={SIZE}", "dataset.split=train")
TARGET = 'evaluation.datasets=[{name="sviro_nocar", split="test"}]'


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    root = tmp_path_factory.mktemp("data")
    write_standin("sviro_nocar", root, sceneries=40, variants=2)
    return root


def conv_weights(generator, kind="conv"):
    return conv_state(generator, kind, GRID, DIMENSION)


def head_weights(generator, channels):
    return head_state(generator, channels, GRID, DIMENSION)


def affine(x, state, name):
    return x @ state[f"{name}.weight"].T + state[f"{name}.bias"]


def conv_latents(images, state):
    x = images
    for i in (0, 2, 4, 6):
        x = F.relu(F.conv2d(x, state[f"encoder.{i}.weight"], state[f"encoder.{i}.bias"], stride=2, padding=1))
    x = F.relu(affine(x.flatten(1), state, "encoder.9"))
    return affine(x, state, "encoder.11" if "encoder.11.weight" in state else "encoder_fc21")


def decoded(latents, state):
    x = F.relu(affine(F.relu(affine(latents, state, "decoder_fc.0")), state, "decoder_fc.2"))
    x = x.reshape(-1, 64, GRID, GRID)
    for i in (0, 2, 4, 6):
        x = F.conv_transpose2d(x, state[f"decoder_conv.{i}.weight"], state[f"decoder_conv.{i}.bias"], stride=2,
                               padding=1)
        x = torch.sigmoid(x) if i == 6 else F.relu(x)
    return x


def backbone(name):
    """The layers up to the cut at -3 as torchvision has them, with statistics that are not those of a new network."""
    torch.manual_seed(0)
    if name == "vgg11":
        return torchvision.models.vgg11(weights=None).features[:-3], 512
    network = torchvision.models.resnet18(weights=None)
    for norm in (module for module in network.modules() if isinstance(module, torch.nn.BatchNorm2d)):
        torch.nn.init.normal_(norm.running_mean, 0, 0.1)
        torch.nn.init.uniform_(norm.running_var, 0.5, 2)
    return torch.nn.Sequential(network.conv1, network.bn1, network.relu, network.maxpool, network.layer1,
                               network.layer2, network.layer3), 256


def extractor_latents(images, state, layers):
    x = F.interpolate(images.repeat(1, 3, 1, 1), (224, 224), mode="bilinear", align_corners=False)
    with torch.no_grad():
        x = F.avg_pool2d(layers.eval()(x), 2)
    x = F.relu(F.conv2d(x, state["conv.1.weight"], state["conv.1.bias"]))
    return affine(F.relu(affine(x.flatten(1), state, "encoder.2")), state, "encoder.4")


def tables(type="conv", variation="", **model):
    """A config with logs every third of twelve epochs."""
    return autoencoder(type, variation, {"dimension": DIMENSION, "knn": 3, **model}, {"epochs": 12, "frequency": 3})


def network(name):
    return classifier(name, pretrained=False, training={"epochs": 12, "frequency": 3})


def labels(data, split):
    """The labels in the names of the scenery folders."""
    folders = [path.name for path in data.glob(f"SVIRO-NoCar/*/{split}/*") if path.is_dir()]
    return [re.search(r"GT_(\d_\d_\d)", name)[1] for name in folders]


@pytest.fixture
def evaluated(succeed, data, cache):
    """Run a script on a published folder and the stand-ins; returns its stdout."""
    places = (f"dataset.root={data}", f"dataset.cache={cache}", "training.device=cpu")
    return lambda name, *runs, options=(): succeed(name, *runs, "--set", *LESS, TARGET, *places, *options)


@pytest.fixture
def opened(data, cache):
    """Open a folder: returns the model with its last weights, and the training images in [0, 1]."""

    def open_folder(folder):
        run = open_run(folder, [*LESS, f"dataset.root={data}", f"dataset.cache={cache}"])
        scenes = Scenes(run.config.dataset, SIZE, str(cache), torch.device("cpu"))
        model = rebuild_autoencoder(run.config, scenes.channels, scenes.device)
        restore(model, run, "last")
        return model.eval(), scenes.images.float() / 255

    return open_folder


@pytest.mark.parametrize("kind", ["conv", "vae", "factorvae"])
def test_convolutional_weights_give_the_latents_and_images_of_an_independent_pass(
        data, tmp_path, kind, generator, evaluated, opened):
    state = conv_weights(generator, kind)
    folder = publish(tmp_path / "paper" / "a", state, tables(kind))
    model, images = opened(folder)
    latents = conv_latents(images, state)
    reconstruction, ours = model(images)
    torch.testing.assert_close(ours, latents)
    torch.testing.assert_close(reconstruction, decoded(latents, state))
    assert latents.std(dim=0).min() > 1e-3
    evaluated("eval_ae.py", folder)
    rows = records.read(folder)
    assert {(row["checkpoint"], row["epoch"]) for row in rows} == {("last", 12), ("best", 6)}
    assert {row["n"] for row in rows} == {2 * len(labels(data, "test"))}


@pytest.mark.parametrize("name", ["resnet18", "vgg11"])
def test_extractor_weights_give_the_latents_and_images_of_an_independent_pass(
        tmp_path, name, generator, monkeypatch, opened):
    layers, channels = backbone(name)
    state = head_weights(generator, channels)
    state |= {f"extractor.{key}": value for key, value in layers.state_dict().items()}
    folder = publish(tmp_path / "a", state, tables("extractor", "tae", extractor=name, layer=-3))
    monkeypatch.setattr("pretrained_model._imagenet", lambda *_: pytest.fail("ImageNet weights were asked for"))
    model, images = opened(folder)
    latents = extractor_latents(images[:4], state, layers)
    reconstruction, ours = model(images[:4])
    torch.testing.assert_close(ours, latents, rtol=1e-3, atol=1e-4)
    torch.testing.assert_close(reconstruction, decoded(latents, state), rtol=1e-3, atol=1e-4)
    kept = {key: value for key, value in model.state_dict().items() if key.startswith("extractor.")}
    assert all(torch.equal(kept[key], state[key]) for key in kept)


def test_a_classifiers_outputs_stand_for_the_sorted_label_strings(data, tmp_path, evaluated):
    train, test = labels(data, "train"), labels(data, "test")
    classes = sorted({text for label in train for text in (label, label[::-1])})
    often = max(sorted(set(test) & set(classes)), key=test.count)
    torch.manual_seed(0)
    state = torchvision.models.resnet18(weights=None, num_classes=len(classes)).state_dict()
    state["fc.weight"].zero_()
    state["fc.bias"].copy_(torch.tensor([float(text == often) for text in classes]))
    state = {f"pre_trained_model.{key}": value for key, value in state.items()}
    folder = publish(tmp_path / "paper" / "a", state, network("resnet18"))
    out = evaluated("eval_classifier.py", folder, options=["--checkpoint", "best"])
    [row] = records.read(folder)
    assert row["value"] == pytest.approx(test.count(often) / len(test))
    assert 0 < row["value"] < 1
    assert (row["classifier"], row["checkpoint"], row["epoch"], row["experiment"]) == ("network", "best", 6, "paper")
    assert row["selection"] == "oracle: highest accuracy in the published training"
    assert "best (epoch 6)  network" in out


def test_a_classifier_with_another_number_of_outputs_is_refused_and_serves_as_extractor_weights(
        fail, data, cache, tmp_path):
    state = torchvision.models.resnet18(weights=None, num_classes=3).state_dict()
    folder = publish(tmp_path / "a", {f"pre_trained_model.{key}": value for key, value in state.items()},
                     network("resnet18"))
    message = fail("eval_classifier.py", folder, "--set", *LESS, TARGET, f"dataset.root={data}",
                   f"dataset.cache={cache}")
    assert "pre_trained_model.fc.weight has shape (3, 512), expected (" in message
    assert "an output per class of its training data" in message
    layers = build_extractor("resnet18", -3, str(folder), 128).layers
    assert torch.equal(layers[0].weight, state["conv1.weight"])
    assert torch.equal(layers[1].running_var, state["bn1.running_var"])


@pytest.fixture
def published(tmp_path, generator):
    """Make published folders of an AE, all with the same weights."""
    state = conv_weights(generator)
    return lambda name, **options: publish(tmp_path / "paper" / name, state, tables(), **options)


def test_runs_side_by_side_do_not_collide_and_keep_their_numbers(script, published, tmp_path, evaluated):
    folders = [published(f"2021081{i}-120000") for i in range(3)]
    evaluated("eval_ae.py", tmp_path / "paper", options=["--classifiers", "knn"])
    seeds = [{row["seed"] for row in records.read(folder)} for folder in folders]
    assert seeds == [{number(folder)} for folder in folders]
    assert len(set.union(*seeds)) == 3
    code, out, err = script("calculate_mean_and_var_accuracy.py", tmp_path / "paper", "--format", "csv")
    assert (code, err) == (0, "")
    header, *rows = csv.reader(io.StringIO(out))
    assert [row[header.index("seeds")] for row in rows] == ["3", "3"]
    assert [row[header.index("experiment")] for row in rows] == ["paper", "paper"]
    published("20210809-120000")
    assert [{open_run(folder).config.training.seed} for folder in folders] == seeds
    config = folders[0] / "cfg.toml"
    config.write_text(config.read_text().replace("epochs = 12", "epochs = 12\nseed = 7"))
    assert open_run(folders[0]).config.training.seed == 7


@pytest.mark.parametrize(("log", "last", "best", "drawn"), [
    ("0.25\n0.5\n0.5\n0.125\n", 12, 6, {3: 0.25, 6: 0.5, 9: 0.5, 12: 0.125}), ("71.5\n80\n", 6, 6, {3: 0.715, 6: 0.8}),
    # There may be one accuracy more than epochs.
    ("0.1\n0.2\n0.3\n0.4\n0.5\n", 12, 12, {3: 0.1, 6: 0.2, 9: 0.3, 12: 0.5}), (None, None, None, {}),
    ("", None, None, {}), ("0.5\nhello\n", None, None, {}), ("0.5\nnan\n", None, None, {})])
def test_epochs_and_curve_follow_from_the_log_of_accuracies_or_are_unknown(published, log, last, best, drawn):
    folder = published("a", accuracies=log)
    assert (epoch(folder, "last", 3, 12), epoch(folder, "best", 3, 12)) == (last, best)
    assert curve(folder, 3, 12) == pytest.approx(drawn)


def test_the_dataset_of_a_published_run_may_be_corrected_that_of_a_run_made_here_not(fail, published, evaluated):
    folder = published("a")
    evaluated("eval_ae.py", folder,
              options=["--classifiers", "knn", "--checkpoint", "last", "--set", "dataset.split=train"])
    (folder / "environment.json").write_text("{}")
    (folder / "done").touch()
    assert "a finished run is evaluated as it was trained" in fail("eval_ae.py", folder, "--set", "dataset.split=train")


def test_features_of_statistics_that_no_other_run_has_are_not_kept(published):
    from autoencoder.judge import has_own_statistics
    from model import ExtractorAE

    run = open_run(published("a"))
    for extractor, own in (("resnet18", True), ("vgg11", False)):
        assert has_own_statistics(run, ExtractorAE(128, 1, 8, "relu", extractor, -3, "none")) is own


def test_an_unknown_epoch_is_said_and_tabulated_and_logged_curves_are_drawn(succeed, published, tmp_path, evaluated):
    published("b")
    folder = published("a", accuracies=None)
    out = evaluated("eval_ae.py", folder, options=["--classifiers", "knn"])
    assert "last (epoch unknown)" in out
    assert {row["epoch"] for row in records.read(folder)} == {None}
    succeed("calculate_mean_and_var_accuracy.py", folder)
    out = succeed("plot_accuracy_over_time.py", folder.parent, "--metric", "accuracy", "--out", tmp_path)
    assert [Path(line).name for line in out.splitlines()] == ["accuracy.pdf", "accuracy.png"]
    assert (tmp_path / "accuracy.png").exists()


def counters(state):
    return {name for name in state if name.endswith("num_batches_tracked")}


@pytest.mark.parametrize("change", [
    lambda state: {f"module.{name}": value for name, value in state.items()},
    lambda state: {name: value for name, value in state.items() if name not in counters(state)},
    lambda state: state | {"conv.9.num_batches_tracked": torch.tensor(5)}], ids=["prefix", "no counters", "more"])
def test_names_may_differ_where_that_is_harmless(tmp_path, generator, change, opened):
    layers, channels = backbone("resnet18")
    state = head_weights(generator, channels)
    state |= {f"extractor.{key}": value for key, value in layers.state_dict().items()}
    folder = publish(tmp_path / "a", change(state), tables("extractor", "tae", extractor="resnet18", layer=-3))
    loaded = opened(folder)[0].state_dict()
    assert counters(loaded)
    assert all(torch.equal(loaded[name], state[name]) for name in loaded if name not in counters(loaded))


@pytest.mark.parametrize(("change", "piece"), [
    (lambda state: {name: value for name, value in state.items() if name != "decoder_fc.2.bias"},
     "decoder_fc.2.bias is missing"),
    (lambda state: state | {"encoder.13.weight": torch.zeros(1), "encoder.13.bias": torch.zeros(1)},
     "encoder.13.bias is not known (and 1 more)"),
    (lambda state: state | {"encoder.11.bias": torch.zeros(7)}, "encoder.11.bias has shape (7,), expected (6,)"),
    (lambda state: state | {"encoder.11.bias": torch.full((6,), torch.nan)}, "encoder.11.bias holds values that"),
    (lambda state: state | {"encoder.11.bias": torch.zeros(6).to_sparse()}, "encoder.11.bias is a tensor of"),
    (lambda state: state | {"encoder.11.bias": torch.zeros(6, device="meta")}, "encoder.11.bias is a tensor without"),
    (lambda state: state | {11: torch.zeros(6)}, "no state dict"),
    (lambda state: list(state.values()), "no state dict")])
def test_weights_of_another_model_are_refused(tmp_path, generator, change, piece, opened):
    folder = publish(tmp_path / "a", change(conv_weights(generator)), tables())
    with pytest.raises(UserError) as error:
        opened(folder)
    assert piece in str(error.value)


def test_a_published_run_is_not_trained_further_and_not_evaluated_without_weights_or_with_code(fail, data, published):
    folder = published("a")
    before, target = sorted(folder.rglob("*")), ("--set", TARGET, f"dataset.root={data}")
    assert "holds no training state" in fail("train_ae.py", "--resume", folder)
    assert sorted(folder.rglob("*")) == before
    torch.save({"encoder.0.weight": Trap(folder / "executed")}, folder / "checkpoints" / "last_model.pth")
    assert "refused: not a plain file of tensors" in fail("eval_ae.py", folder, *target)
    assert not (folder / "executed").exists()
    for name in ("last", "best"):
        (folder / "checkpoints" / f"{name}_model.pth").unlink()
    assert "holds no weights" in fail("eval_ae.py", folder, *target)
