from pathlib import Path

import pytest
from runs import configs

from autoencoder.config import AutoencoderConfig
from experiment.config import load_config
from paper.placement import departures, paper_name, paper_row
from paper.published import TABLE_4_3, TABLE_S5, TABLE_S6, TABLE_S7

CONFIGS = configs()


def config(training=None, model=None, dataset=None):
    return AutoencoderConfig.model_validate({
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
    assert not departures(found)


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
    assert departures(found)


def test_the_configs_of_the_papers_tables_have_exactly_their_rows():
    found = {"s5": set(), "s6": set(), "s7": set(), "4.3": set()}
    for path in CONFIGS:
        if place := paper_row(load_config(path)):
            found[place[0]].add(place[1])
    # Rows of our own beside the paper's.
    frozen = {(name, "frozen features (pca)") for name in ("VGG-11", "ResNet-50", "DenseNet-121")}
    found["s6"], found["s7"] = found["s6"] ^ frozen, found["s7"] ^ {("frozen features (pca)",)}
    assert (found["s5"], found["s7"]) == (set(TABLE_S5), set(TABLE_S7))
    # Beside the table's rows, those of the reconstruction figure.
    figure = {(name, "E-AE") for name in ("VGG-11", "ResNet-50", "DenseNet-121")}
    figure |= {("VGG-11", "I-E-AE"), ("VGG-11", "II-E-AE")}
    assert found["s6"] == set(TABLE_S6) | figure
    assert found["4.3"] == set(TABLE_4_3)


def test_swapping_autoencoders_say_in_what_they_are_not_those_of_table_4_3():
    folder = CONFIGS[0].parent
    for path in folder.glob("carla_cityscapes_*.toml"):
        assert departures(load_config(path)) == []
    found = departures(load_config(folder / "town07_camvid_small_out1.toml"))
    assert {"target.name = camvid (cityscapes)", "dataset.image_size = (128, 64) ((512, 256))",
            "model.discriminator_capacity = 0.03125 (1)", "training.average = 0.995 (0)"} <= set(found)
    assert paper_row(load_config(folder / "carla_cityscapes_in5_out1.toml")) == ("4.3", ("1", "5"))
    assert paper_row(load_config(folder / "carla_cityscapes_in5_out1.toml", ["dataset.name=cityscapes"])) is None


@pytest.mark.parametrize("path", [path for path in CONFIGS if path.stem.startswith(("nocar", "mpi3d", "mnist"))],
                         ids=lambda path: path.stem)
def test_the_configs_of_the_papers_tables_depart_in_nothing_but_batchnorm(path):
    norms = ("vgg11" not in path.stem and path.stem.startswith("nocar")
             and not path.stem.endswith(("scratch", "features")))
    assert departures(load_config(path)) == (["model.batchnorm = frozen (reference)"] if norms else [])
    assert not norms or not departures(load_config(path, ["model.batchnorm=reference"]))


S6, S7 = "nocar_resnet50_ii_e_tae", "mnist_ii_e_ae"


@pytest.mark.parametrize(("name", "overrides", "row", "found"), [
    (S7, ["dataset.limit=10000"], ("II-E-AE",), ["dataset.limit = 10000 (none)"]),
    (S7, ["model.extractor=resnet18", "model.batchnorm=reference", "model.weights=a/resnet18.pth"], ("II-E-AE",),
     ["model.extractor = resnet18 (vgg11)"]),
    (S7, ["training.loss=ssim", "model.knn=5", "training.epochs=5"], ("II-E-AE",),
     ["training.epochs = 5 (20)", "model.knn = 5 (115)", "training.loss = ssim (mse)"]),
    (S7, ["dataset.split=test"], ("II-E-AE",), ["dataset.split = test (train)"]),
    (S7, ["model.type=conv", "model.layer=-2", "model.weights=none"], ("II-AE",), []),
    (S6, ["model.batchnorm=reference", "model.weights=results/letters/1-a"], ("ResNet-50", "II-E-TAE"),
     ["model.weights = results/letters/1-a (imagenet)"]),
    (S6, ["model.batchnorm=reference", "model.layer=-2", "model.normalize=true"], ("ResNet-50", "II-E-TAE"),
     ["model.normalize = true (false)", "model.layer = -2 (-3)"]),
    (S6, ["model.extractor=resnet18", "model.batchnorm=reference", "training.make_instance_impossible=false"],
     ("resnet18", "E-TAE"), []),
    (S6, ["model.variation=features", "model.features=mean", "training.loss=l1", "model.knn=5"],
     ("ResNet-50", "frozen features (mean)"), ["model.knn = 5 (115)"]),
    (S7, ["model.variation=features", "training.batch_size=7", "model.activation=elu", "model.weights=none"],
     ("frozen features (flat)",), ["model.weights = none (imagenet)"]),
    (S6, ["model.type=conv", "training.learning_rate=5e-4"], ("-", "II-TAE"),
     ["training.learning_rate = 0.0005 (0.0001)"]),
    ("nocar_vgg11_scratch", ["training.frequency=2"], ("VGG-11", "Scratch"), []),
    ("nocar_vgg11_pretrained", ["training.seed=7", "training.gpu=1", "dataset.root=elsewhere"],
     ("VGG-11", "Pre-trained"), []),
])
def test_row_and_departures_follow_from_the_config(name, overrides, row, found):
    changed = load_config(Path(__file__).parents[2] / "cfg" / f"{name}.toml", overrides)
    assert paper_row(changed)[1] == row
    assert departures(changed) == found


@pytest.mark.parametrize("found", [
    config(dataset={"factor": "real"}), config(dataset={"name": "sviro", "factor": "x5"}),
    config(dataset={"name": "glyphs"}), config(model={**E_AE, "variation": "features"}),
])
def test_other_training_data_belongs_to_no_table(found):
    assert paper_row(found) is None
