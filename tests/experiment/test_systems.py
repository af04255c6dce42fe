"""What configs of each system hold, also those of older runs, and where its scripts are."""

import json
import tomllib
from pathlib import Path
from typing import get_args

import pytest
import toml
from test_config import MINIMAL, load, refusal, write

from errors import UserError
from experiment.config import dump_config, load_config
from experiment.systems import BY_TYPE, imported

PROJECT = Path(__file__).parents[2]


def test_every_type_of_model_has_its_scripts():
    for kind, system in BY_TYPE.items():
        assert kind in get_args(system.config(kind).model_fields["model"].annotation.model_fields["type"].annotation)
        assert (PROJECT / system.train).is_file()
        assert (PROJECT / system.evaluate).is_file()
        assert all(callable(imported(name)) for name in (system.recogniser, system.predictor) if name)


@pytest.mark.parametrize("epochs", ["epochs = 20", ""])
def test_frozen_features_have_one_epoch_whatever_a_file_says(tmp_path, epochs):
    text = f'[dataset]\nname = "glyphs"\n[model]\ntype = "extractor"\nvariation = "tae"\n[training]\n{epochs}\n'
    config = load(tmp_path, text, "model.variation=Features")
    assert (config.training.epochs, config.model.variation) == (1, "features")


FITTING = {"conv": {"ae", "tae", "vae", "factorvae"}, "extractor": {"ae", "tae", "features"},
           "classifier": {"scratch", "pretrained"}}


@pytest.mark.parametrize("type", FITTING)
@pytest.mark.parametrize("variation", sorted(set.union(*FITTING.values())))
def test_each_type_has_variations_of_its_own(tmp_path, type, variation):
    overrides = f"model.type={type}", f"model.variation={variation}"
    if variation in FITTING[type]:
        assert load(tmp_path, MINIMAL, *overrides).model.variation == variation
    else:
        message = refusal(tmp_path, MINIMAL, *overrides)
        assert f"'{variation}'" in message
        assert ("allowed: scratch, pretrained" if type == "classifier" else "allowed: ae, tae") in message


CLASSIFIER = MINIMAL.replace('"conv"', '"classifier"').replace('"ae"', '"scratch"')
FLAT = {"model": {"features": "flat", "dimension": 64, "knn": 115, "activation": "relu"},
        "training": {"loss": "ssim", "make_scene_impossible": False, "make_instance_impossible": False,
                     "kl_weight": 1.0, "tc_weight": 0.0},
        "evaluation": {"classifiers": ["knn", "forest", "svm"]}}


@pytest.mark.parametrize("key", [f"{section}.{name}" for section, table in FLAT.items() for name in table])
def test_keys_of_one_system_are_unknown_in_another_and_known_in_its_old_runs(tmp_path, key):
    section, name = key.split(".")
    change = f"{key}={json.dumps(FLAT[section][name])}"
    assert getattr(getattr(load(tmp_path, MINIMAL, change), section), name) == FLAT[section][name]
    message = refusal(tmp_path, CLASSIFIER, change)
    assert f"'{key}' is not known; allowed: " in message
    assert {"model": "model.variation", "training": "training.epochs", "evaluation": "evaluation.datasets"}[
        section] in message
    kept = dump_config(load(tmp_path, CLASSIFIER))
    old = write(tmp_path, toml.dumps({part: table | FLAT.get(part, {}) for part, table in tomllib.loads(kept).items()}))
    assert load_config(old, kept=True) == load(tmp_path, CLASSIFIER)


def test_only_retired_keys_are_left_out_of_a_runs_config(tmp_path):
    for text, line in ((MINIMAL, "scratch = 1"), (CLASSIFIER, "losses = 1")):
        with pytest.raises(UserError, match="is not known"):
            load_config(write(tmp_path, f"{text}{line}"), kept=True)
    with pytest.raises(UserError, match=r"'model\.knn' is not known"):
        load_config(write(tmp_path, CLASSIFIER), ["model.knn=3"], kept=True)


def test_a_run_with_statistics_of_the_training_images_has_them_in_its_weights(tmp_path):
    path = write(tmp_path, MINIMAL.replace("[model]", '[model]\nbatchnorm = "recalibrated"'))
    assert load_config(path, kept=True).model.batchnorm == "frozen"
    with pytest.raises(UserError, match="'recalibrated' is not known; allowed: frozen, reference"):
        load_config(path)


@pytest.mark.parametrize("spelling", ["factorvae", "FactorVAE", "Factor-VAE", "factor_vae"])
def test_the_factor_vae_may_be_spelled_in_several_ways(tmp_path, spelling):
    config = load(tmp_path, MINIMAL, "model.type=conv", f"model.variation={spelling}")
    assert config.model.variation == "factorvae"


@pytest.mark.parametrize(("scene", "instance", "kind"), [(0, 0, "none"), (1, 0, "scene"), (0, 1, "instance"),
                                                         (1, 1, "instance")])
def test_the_other_instance_wins_over_the_other_scene(tmp_path, scene, instance, kind):
    overrides = f"training.make_scene_impossible={scene}", f"training.make_instance_impossible={instance}"
    assert load(tmp_path, MINIMAL, *overrides).training.impossible == kind
