import pytest

from experiment.naming import is_as_published, paper_name
from experiment.schema import Config
from reporting.published import TABLE_S5


def config(training=None, model=None, dataset=None):
    return Config.model_validate({
        "dataset": {"name": "mpi3d", "factor": "toy", "image_size": 64, **(dataset or {})},
        "model": {"type": "conv", "variation": "ae", "dimension": 10, **(model or {})},
        "training": {"epochs": 100, "loss": "bce", **(training or {})},
    })  # fmt: skip


E_AE = {"type": "extractor"}
TABLE = [
    (config(), "AE", "BCE"),
    (config({"loss": "ssim"}), "AE", "SSIM"),
    (config(model=E_AE), "E-AE", "BCE"),
    (config({"loss": "ssim"}, E_AE), "E-AE", "SSIM"),
    (config(model={"variation": "vae"}), "VAE", "BCE"),
    *[(config({"kl_weight": beta}, {"variation": "vae"}), "β-VAE", f"BCE, β = {beta:.0f}") for beta in (4.0, 8.0)],
    *[(config({"tc_weight": gamma}, {"variation": "factorvae"}), "FactorVAE", f"BCE, γ = {gamma:.0f}")
      for gamma in (10.0, 30.0, 50.0)],
]


@pytest.mark.parametrize(("found", "model", "variant"), TABLE)
def test_the_models_of_table_s5_have_their_names(found, model, variant):
    assert paper_name(found) == (model, variant)
    assert is_as_published(found)


def test_all_rows_of_table_s5_have_a_config():
    assert {(source, *name) for source in ("toy", "realistic") for _, *name in TABLE} == set(TABLE_S5)


@pytest.mark.parametrize(("found", "name"), [
    (config({"kl_weight": 4.0, "loss": "ssim"}, {"variation": "vae"}), ("β-VAE", "SSIM, β = 4")),
    (config({"kl_weight": 0.5, "tc_weight": 10.0}, {"variation": "factorvae"}), ("FactorVAE", "BCE, γ = 10, β = 0.5")),
    (config({"make_instance_impossible": True}, {**E_AE, "variation": "tae"}), ("II-E-TAE", "BCE")),
    (config({"make_scene_impossible": True}, {"variation": "tae"}), ("I-TAE", "BCE")),
])
def test_other_models_have_names_that_table_s5_does_not_know(found, name):
    assert paper_name(found) == name
    assert not {(source, *name) for source in ("toy", "realistic")} & set(TABLE_S5)


@pytest.mark.parametrize("found", [
    config(dataset={"image_size": 128}), config(model={"dimension": 64}), config(model={**E_AE, "layer": -2}),
    config(model={**E_AE, "extractor": "resnet50"}), config(model={**E_AE, "weights": "none"}),
    config({"epochs": 99}), config({"batch_size": 32}), config(dataset={"limit": 1000}),
    config(model={**E_AE, "normalize": True}), config(model={"activation": "elu"}),
])
def test_other_sizes_networks_and_courses_are_not_those_of_table_s5(found):
    assert not is_as_published(found)
