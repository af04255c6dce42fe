"""The config files of the published code: what they stand for here, and that they train."""

import pytest
import torch
import torchvision
from published_files import BACKBONES, all_files, autoencoder, classifier, toml_text
from refusals import refused

from errors import UserError
from experiment.config import load_config
from paper.placement import departures, paper_row
from paper.published import TABLE_S6
from pretrained_model import build_classifier

FILES = all_files()
VEHICLES = ["ticam", "sviro", "sviro_illumination"]


def load(folder, tables, *overrides):
    path = folder / "published.toml"
    path.write_text(toml_text(tables))
    return load_config(path, overrides)


def refusal(folder, tables, *overrides):
    message = refused(load, folder, tables, *overrides)
    assert "published.toml" in message
    return message


def with_value(tables, section, **values):
    """The tables with some keys of a section changed, without those that are None."""
    changed = {key: value for key, value in (tables[section] | values).items() if value is not None}
    return tables | {section: changed}


KINDS = {"conv_ae": ("conv", "ae"), "extractor_ae": ("extractor", "ae"), "vae": ("conv", "vae"),
         "factorvae": ("conv", "factorvae"), "pretrained_classifier": ("classifier", "pretrained"),
         **dict.fromkeys(BACKBONES, ("classifier", "scratch")),
         **{f"{backbone}-{name}": ("extractor", name.rpartition("-")[2].lower().removeprefix("e-"))
            for backbone in BACKBONES for name in ("E-AE", "E-TAE", "I-E-TAE", "II-E-TAE")}}


@pytest.mark.parametrize("name", FILES)
def test_what_a_file_says_stays_and_what_it_leaves_out_is_as_in_the_published_code(tmp_path, name):
    tables, config = FILES[name], load(tmp_path, FILES[name])
    written = tables["training"]
    for key, value in written.items():
        expected = {"gpu": 0}.get(key, value.lower() if isinstance(value, str) else value)
        assert getattr(config.training, key) == expected, key
    for key in {"dimension", "knn", "layer", "extractor"} & tables["model"].keys():
        assert getattr(config.model, key) == tables["model"][key]
    arm, digits = "mpi3d" in tables["dataset"].values(), "mnist" in tables["dataset"].values()
    assert config.dataset.image_size == (64 if arm else 128)
    assert config.dataset.factor == (["toy"] if arm else [])
    assert [target.name for target in config.evaluation.datasets] == (
        [] if arm else ["digit_photos"] if digits else VEHICLES)
    assert getattr(config.evaluation, "classifiers", ["knn"]) == ["knn"]
    assert config.model.weights == "imagenet"
    assert (config.model.type, config.model.variation) == KINDS[name]
    impossible = "instance" if "-II-" in name else "scene" if "-I-" in name else "none"
    assert getattr(config.training, "impossible", "none") == impossible
    assert config.dataset.split is None
    assert "seed" not in config.training.model_fields_set
    assert departures(config) == []


def test_the_vehicle_files_are_rows_of_the_papers_table(tmp_path):
    vehicles = [tables for tables in FILES.values() if tables["dataset"]["name"] == "seats_and_people_nocar"]
    vehicles += [classifier(backbone) for backbone in BACKBONES]
    rows = {paper_row(load(tmp_path, tables)) for tables in vehicles}
    without_ae = {(table, row) for table, row in rows if row[1] != "E-AE"}
    assert without_ae == {("s6", row) for row in TABLE_S6}


@pytest.mark.parametrize("backbone", BACKBONES)
def test_so_many_frozen_layers_are_the_cut_of_that_network(tmp_path, backbone):
    model = build_classifier(load(tmp_path, classifier(backbone)).model.model_copy(update={"weights": "none"}), 3)
    trained = [parameter.requires_grad for parameter in model.pre_trained_model.parameters()]
    assert trained == [i >= BACKBONES[backbone] for i in range(len(trained))]
    own = torchvision.models.get_model(backbone, num_classes=3)
    assert len(trained) == len(list(own.parameters())) > BACKBONES[backbone]


@pytest.mark.parametrize(("tables", "pieces"), [
    (classifier("resnet50", frozen=100), ["freeze_n_first_layers: found 100", "allowed: 129 "]),
    (classifier("vgg11", frozen=0), ["freeze_n_first_layers: found 0", "allowed: 14 "]),
    (classifier("resnet50", pretrained=False, frozen=129), ["found 129", "allowed: 0 "]),
    (classifier("densenet112"), ["model.architecture: 'densenet112'", "did you mean 'densenet121'"]),
    (with_value(classifier("vgg11"), "model", architecture=None, architectur="vgg11"),
     ["key: 'model.architectur' is not known", "did you mean 'model.architecture'"]),
    (with_value(classifier("vgg11"), "model", use_pretrained=None), ["key model.use_pretrained is missing"]),
    (with_value(classifier("vgg11"), "model", use_pretrained="yes"), ["use_pretrained: found 'yes'", "true, false"]),
    (with_value(classifier("vgg11"), "model", architecture=[1]), ["model.architecture: '[1]'"]),
    (with_value(FILES["vgg11-E-TAE"], "model", dimensoin=3), ["did you mean 'model.dimension'"]),
    (with_value(FILES["conv_ae"], "training", epoch=3), ["did you mean 'training.epochs'"]),
    (with_value(FILES["conv_ae"], "training", gpu="first"), ["training.gpu", "(found 'first')", "integer"]),
    (with_value(FILES["conv_ae"], "training", gpu="-1"), ["training.gpu", "(found '-1')"]),
    (with_value(FILES["conv_ae"], "training", gpu="9" * 5000), ["training.gpu"]),
    (with_value(FILES["vae"], "model", variation="tae"), ["model.variation: found 'tae'", "type 'vae'"]),
    (with_value(classifier("vgg11"), "model", variation="tae"), ["variation: 'tae'", "allowed: scratch, pretrained"]),
    (with_value(FILES["conv_ae"], "model", type="convolution"), ["model.type", "did you mean 'conv'"]),
])
def test_a_mistake_is_one_line_that_names_key_and_allowed_values(tmp_path, tables, pieces):
    message = refusal(tmp_path, tables)
    assert [piece for piece in pieces if piece not in message] == []


@pytest.mark.parametrize("section", ["dataset", "model", "training"])
@pytest.mark.parametrize("name", ["vgg11-E-TAE", "vae", "resnet50"])
def test_a_section_that_is_none_is_named(tmp_path, name, section):
    text = toml_text({key: table for key, table in FILES[name].items() if key != section})
    for replaced in (text, f"{section} = 3\n{text}"):
        (tmp_path / "published.toml").write_text(replaced)
        with pytest.raises(UserError, match=section):
            load_config(tmp_path / "published.toml")


def test_overrides_say_more_in_the_words_of_either(tmp_path):
    config = load(tmp_path, FILES["resnet50"], "model.use_pretrained=true", "model.freeze_n_first_layers=129")
    assert config.model.variation == "pretrained"
    config = load(tmp_path, FILES["pretrained_classifier"], "model.extractor=small_cnn", "model.batchnorm=frozen",
                  "training.gpu=3", "dataset.image_size=32", 'evaluation.datasets=[{name="ticam"}]')
    assert (config.model.extractor, config.model.batchnorm, config.training.gpu) == ("small_cnn", "frozen", 3)
    assert config.dataset.image_size == 32
    assert [target.name for target in config.evaluation.datasets] == ["ticam"]
    config = load(tmp_path, FILES["vgg11-E-TAE"], "dataset.name=mnist")
    assert [target.name for target in config.evaluation.datasets] == ["digit_photos"]


def test_a_config_of_this_project_gets_nothing_filled_in_and_no_laxer(tmp_path):
    own = autoencoder("extractor", "tae", training={"gpu": 0})
    config = load(tmp_path, own)
    assert (config.evaluation.datasets, config.model.batchnorm) == ([], "frozen")
    assert "integer" in refusal(tmp_path, own, 'training.gpu="0"')
    assert "''" in refusal(tmp_path, own, 'model.variation=""')
    assert "'model.architecture' is not known" in refusal(tmp_path, own, "model.architecture=vgg11")
    assert "did you mean" in refusal(tmp_path, own, "model.type=classification")
    plain = with_value(autoencoder("conv"), "model", variation="ae")
    assert "integer" in refusal(tmp_path, plain)
    evaluated = autoencoder("extractor", "tae") | {"evaluation": {"classifiers": ["knn"]}}
    assert "integer" in refusal(tmp_path, evaluated)


SMALL = ("model.knn=3", "training.batch_size=4", "training.device=cpu", "dataset.limit=12")


@pytest.fixture
def train(succeed, standins, cache, tmp_path):
    """Train as a published file says, on small stand-ins; returns what is printed."""

    def run(script, tables, *options, overrides=()):
        path = tmp_path / "published.toml"
        path.write_text(toml_text(tables))
        small = [change for change in SMALL if "knn" in tables["model"] or "knn" not in change]
        return succeed(script, path, *options, "--set", *small, f"dataset.root={standins}", f"dataset.cache={cache}",
                       *overrides)

    return run


@pytest.mark.parametrize("name", ["vae", "factorvae", "extractor_ae", "vgg11-II-E-TAE"])
def test_autoencoders_of_every_kind_train(train, name):
    overrides = "model.extractor=small_cnn", "model.weights=none"
    assert "config, data, one batch and evaluation work" in train("train_ae.py", FILES[name], "--dry-run",
                                                                  overrides=overrides)


@pytest.mark.parametrize("pretrained", [True, False])
def test_classifiers_train(train, tmp_path, pretrained):
    torch.save(torchvision.models.resnet18(weights=None).state_dict(), tmp_path / "weights.pth")
    overrides = "model.extractor=resnet18", f"model.weights={tmp_path / 'weights.pth'}"
    assert "config, data, one batch and evaluation work" in train(
        "train_classifier.py", classifier("resnet50", pretrained), "--dry-run", overrides=overrides)


def test_a_run_that_was_trained_from_a_published_file_is_one_of_this_project(train, tmp_path, no_pictures):
    run = tmp_path / "run"
    train("train_ae.py", FILES["conv_ae"], "--out", run, overrides=["training.epochs=1"])
    config = load_config(run / "cfg.toml")
    assert (config.model.variation, config.dataset.image_size, config.training.seed) == ("ae", 64, 1)
    assert load_config(run / "cfg.toml") == config
