import math
import tomllib
from pathlib import Path

import pytest
from refusals import refused
from runs import MINIMAL, configs

from autoencoder.config import AutoencoderConfig
from experiment.config import PLACES, differences, dump_config, load_config
from readers import READERS

PROJECT = Path(__file__).parents[2]

FULL = """
[dataset]
name = "sviro"
factor = ["x5", "i3"]
split = "all"
limit = 100
skip_bad = true
root = "some/data"
cache = "some/cache"
image_size = 64

[model]
type = "extractor"
variation = "tae"
extractor = "resnet18"
features = "mean"
layer = -2
weights = "none"
dimension = 10
knn = 7
activation = "leaky_relu"
batchnorm = "reference"
normalize = true

[training]
batch_size = 32
optimizer = "sgd"
learning_rate = 3e-7
weight_decay = 0.0
epochs = 5
frequency = 2
loss = "bce"
augment = true
variants = "all"
make_scene_impossible = true
make_instance_impossible = true
kl_weight = 4.0
tc_weight = 1.5
seed = 12
device = "cuda:1"
gpu = 3
devices = 2
precision = "bf16"

[evaluation]
classifiers = ["svm", "knn"]

[[evaluation.datasets]]
name = "sviro"
factor = "tucson"
split = "test"
limit = 10

[[evaluation.datasets]]
name = "handwritten"
root = "elsewhere"
"""


def write(folder, text, name="experiment.toml"):
    (folder / name).write_text(text, encoding="utf-8")
    return folder / name


def load(folder, text=MINIMAL, *overrides, seed=None):
    return load_config(write(folder, text), overrides, seed)


def refusal(folder, text=MINIMAL, *overrides, seed=None):
    """The one line with which a config is refused."""
    return refused(load, folder, text, *overrides, seed=seed)


@pytest.mark.parametrize("path", configs(), ids=lambda path: path.stem)
def test_every_file_in_cfg_loads_and_names_known_datasets(path):
    config = load_config(path)
    assert {config.dataset.name, *(target.name for target in config.evaluation.datasets)} <= set(READERS)
    assert {*tomllib.loads(path.read_text())} <= {"dataset", "target", "model", "training", "evaluation"}


def test_values_are_those_of_the_file(tmp_path):
    config = load(tmp_path, FULL)
    raw = tomllib.loads(FULL)
    for section in ("dataset", "model", "training"):
        assert getattr(config, section).model_dump() == raw[section]
    assert config.evaluation.classifiers == ["svm", "knn"]
    first, second = config.evaluation.datasets
    assert (first.name, first.factor, first.split, first.limit, first.root) == ("sviro", ["tucson"], "test", 10, None)
    assert (second.name, second.factor, second.split, second.limit) == ("handwritten", [], None, None)


def test_what_a_file_leaves_out_is_what_the_paper_used(tmp_path):
    config = load(tmp_path)
    training = config.training
    assert (training.batch_size, training.optimizer) == (64, "adamw")
    assert (training.learning_rate, training.weight_decay) == (1e-4, 1e-5)
    assert (config.model.dimension, config.model.knn, config.model.layer) == (64, 115, -3)
    assert (config.dataset.image_size, config.model.activation, training.seed) == (128, "relu", 1)
    assert config.evaluation_datasets() == []


def test_keys_of_a_section_that_may_be_missing_are_named():
    found = refused(load_config, PROJECT / "cfg" / "sviro_cyclegan.toml", ["evaluation.target.nam='sviro'"])
    assert "allowed: evaluation.target.name, " in found
    assert "did you mean 'evaluation.target.name'" in found


@pytest.mark.parametrize(("change", "pieces"), [
    ("training.epoch=3", ["training.epoch", "training.epochs", "did you mean 'training.epochs'"]),
    ("dataset.nmae='x'", ["dataset.nmae", "dataset.factor", "did you mean 'dataset.name'"]),
    ("evaluation.classifier=['knn']", ["evaluation.classifier", "did you mean 'evaluation.classifiers'"]),
    ("evaluation.datasets=[{name='sviro', facto='x5'}]",
     ["evaluation.datasets.0.facto", "did you mean 'evaluation.datasets.0.factor'"]),
    ("epochs=3", ["key: 'epochs'", "dataset, model, training, evaluation, ", "did you mean 'training.epochs'"]),
    ("trainning.epochs=3", ["'trainning'", "dataset, model, training, evaluation", "did you mean 'training'"]),
    ("model.seed=3", ["model.seed", "model.type"])])
def test_an_unknown_key_names_the_allowed_ones_and_the_nearest(tmp_path, change, pieces):
    message = refusal(tmp_path, MINIMAL, change)
    assert "experiment.toml" in message
    assert "is not known; " in message
    assert [piece for piece in ("allowed: ", *pieces) if piece not in message] == []


@pytest.mark.parametrize(("line", "told"), [
    ('name = "glyphs"', "dataset.name is missing"), ('type = "conv"', "model.type is missing"),
    ('variation = "ae"', "model.variation is missing"), ("[training]\nepochs = 2", "training is missing"),
    (MINIMAL, "dataset is missing (and 2 more)")])
def test_a_missing_key_or_section_is_named_and_others_are_counted(tmp_path, line, told):
    assert line in MINIMAL
    message = refusal(tmp_path, MINIMAL.replace(line, ""))
    assert "experiment.toml" in message
    assert f"key {told}" in message


# Each kind of value once, and each limit.
@pytest.mark.parametrize(("key", "value", "found", "wanted"), [
    ("training.epochs", '"3"', "'3'", "integer"), ("training.epochs", "3.0", "3.0", "integer"),
    ("training.epochs", "true", "True", "integer"), ("training.epochs", "0", "0", "greater than 0"),
    ("training.frequency", "0", "0", "greater than 0"), ("training.batch_size", "-4", "-4", "greater than 0"),
    ("training.learning_rate", '"1e-4"', "'1e-4'", "number"), ("training.learning_rate", "0.0", "0.0", "than 0"),
    ("training.learning_rate", "nan", "nan", "finite"), ("training.kl_weight", "inf", "inf", "finite"),
    ("training.weight_decay", "-1.0", "-1.0", "greater than or equal to 0"),
    ("training.augment", '"yes"', "'yes'", "boolean"), ("training.augment", "2", "2", "boolean"),
    ("training.make_scene_impossible", "1.0", "1.0", "boolean"), ("training.seed", "-1", "-1", "or equal to 0"),
    ("training.seed", "2147483648", "2147483648", "less than 2147483648"), ("training.gpu", '"0"', "'0'", "integer"),
    ("training.device", '"gpu"', "'gpu'", "cuda"), ("training.device", '"cuda:x"', "'cuda:x'", "cuda"),
    ("model.dimension", "0", "0", "greater than 0"), ("model.layer", "0", "0", "less than 0"),
    ("model.extractor", "18", "18", "string"), ("dataset.image_size", "100", "100", "multiple of 16"),
    ("dataset.image_size", "0", "0", "16"), ("dataset.limit", "0", "0", "greater than 0"),
    ("dataset.factor", "3", "3", "list"), ("dataset.factor", '["x5", 3]', "3", "string"),
    ("evaluation.classifiers", "[]", "[]", "at least 1"), ("evaluation.datasets", "{name = 'a'}", "'a'", "list"),
    ("evaluation.datasets", '["sviro"]', "'sviro'", "section"), ("model", "3", "3", "section")])
def test_a_wrong_value_is_refused_with_key_found_and_wanted(tmp_path, key, value, found, wanted):
    message = refusal(tmp_path, FULL, f"{key}={value}")
    assert "experiment.toml" in message
    assert key in message
    assert found in message.split("(found ")[1]
    assert wanted in message


@pytest.mark.parametrize(("key", "value", "allowed", "nearest"), [
    ("training.loss", "ssm", ["ssim", "bce", "mse", "l1"], "ssim"),
    ("training.optimizer", "adamx", ["adamw", "adam", "sgd"], "adam"),
    ("training.precision", "bf-16", ["32", "bf16"], "bf16"),
    ("model.type", "extracter", ["conv", "extractor", "classifier"], "extractor"),
    ("model.variation", "atae", ["ae", "tae", "vae", "factorvae", "features"], "tae"),
    ("dataset.split", "trian", ["train", "test", "all"], "train"),
    ("evaluation.classifiers", ["knn", "forrest"], ["knn", "knn_cosine", "forest", "svm", "logistic"], "forest")])
def test_a_wrong_choice_names_all_allowed_ones_and_the_nearest(tmp_path, key, value, allowed, nearest):
    message = refusal(tmp_path, MINIMAL, f"{key}={value!r}")
    assert "experiment.toml" in message
    assert key in message
    assert f"'{value[1] if isinstance(value, list) else value}' is not known" in message
    assert f"allowed: {', '.join(allowed)}" in message
    assert f"did you mean '{nearest}'" in message


@pytest.mark.parametrize("line", ['loss = "a\\nb"', 'seed = "a\\nb"', '"x\\ny" = 1', 'device = "cuda\\n"'])
def test_a_refusal_stays_one_line_whatever_was_found(tmp_path, line):
    assert "experiment.toml" in refusal(tmp_path, MINIMAL + line)


def test_several_mistakes_are_counted(tmp_path):
    assert "(and 2 more)" in refusal(tmp_path, MINIMAL, "training.loss=x", "model.knn=0", "dataset.limit=0")


@pytest.mark.parametrize("value", ["[some/data, other]", "{a"])
def test_a_list_whose_quotes_the_shell_took_is_no_text(tmp_path, value):
    assert """put all of it into others: --set 'dataset.root=["one", "two"]'""" in refusal(tmp_path, MINIMAL,
                                                                                           f"dataset.root={value}")


def test_a_mistake_in_toml_is_shown_with_its_line(tmp_path):
    assert "(at line 1, column 10): epochs = many" in refusal(tmp_path, "epochs = many\n" + MINIMAL)


def test_a_missing_file_names_the_nearest_one(tmp_path):
    write(tmp_path, MINIMAL, "demo_ae.toml")
    message = refused(load_config, tmp_path / "demo_a.toml")
    assert str(tmp_path / "demo_a.toml") in message
    assert f"did you mean '{tmp_path / 'demo_ae.toml'}'" in message


@pytest.mark.parametrize("content", [b"[dataset\nname = 3", b"name = ", b"\xff\xfe", b"a = 1\na = 2"])
def test_a_file_that_is_no_toml_is_one_line_that_names_it(tmp_path, content):
    path = tmp_path / "broken.toml"
    path.write_bytes(content)
    message = refused(load_config, path)
    assert str(path) in message
    assert "TOML" in message
    assert "not readable" in refused(load_config, tmp_path)


@pytest.mark.parametrize(("override", "expected"), [
    ("training.epochs=7", 7), ("training.learning_rate = 1e-3 ", 1e-3), ("training.learning_rate=1", 1.0),
    ("training.precision=32", "32"), ("training.augment=true", True), ("training.loss = mse ", "mse"),
    ('training.loss="mse"', "mse"),
    ("dataset.factor=x5", ["x5"]), ('dataset.factor=["x5", "i3"]', ["x5", "i3"]), ("dataset.factor=", []),
    ("dataset.root=/data/my sets=2", "/data/my sets=2"), ("model.layer=-5", -5),
    ("evaluation.classifiers=['svm']", ["svm"]), ('dataset.factor=""', []), ("dataset.factor=[]", []),
    *((f"training.{name}={written}", value) for name in ("augment", "make_scene_impossible", "make_instance_impossible")
      for written, value in ((0, False), (1, True), ("false", False)))])
def test_an_override_is_toml_or_else_plain_text(tmp_path, override, expected):
    section, name = override.partition("=")[0].strip().split(".")
    assert getattr(getattr(load(tmp_path, MINIMAL, override), section), name) == expected


def test_an_override_may_be_a_list_of_inline_tables(tmp_path):
    override = 'evaluation.datasets=[{name="sviro", factor="i3", split="all"}, {name="handwritten", limit=5}]'
    targets = load(tmp_path, FULL, override).evaluation.datasets
    assert [(each.name, each.factor, each.split, each.limit) for each in targets] == [
        ("sviro", ["i3"], "all", None), ("handwritten", [], None, 5),
    ]  # fmt: skip


def test_later_overrides_win_and_leave_the_rest_alone_and_the_seed_argument_wins_over_all(tmp_path):
    before = load(tmp_path, FULL)
    after = load(tmp_path, FULL, "training.epochs=3", "training.epochs=4")
    assert after.training.epochs == 4
    assert differences(before, after) == ["training.epochs"]
    assert before.training.seed == 12
    assert load(tmp_path, FULL, "training.seed=5").training.seed == 5
    assert load(tmp_path, FULL, "training.seed=5", seed=0).training.seed == 0
    assert "training.seed" in refusal(tmp_path, FULL, seed=-3)
    with pytest.raises(ValueError, match="frozen"):
        before.training.epochs = 3


@pytest.mark.parametrize(("override", "told"), [
    *((text, f"--set {text}: expected section.key=value") for text in (
        "training.epochs", "=3", "training.=3", ".epochs=3", "training..epochs=3", "")),
    ("training.epochs.x=3", "is not a section"), ("dataset.name.x=3", "is not a section")])
def test_an_override_that_is_no_assignment_to_a_key_is_refused(tmp_path, override, told):
    assert told in refusal(tmp_path, MINIMAL, override)


PUBLISHED = """
{top}
[dataset]
name = "seats_and_people_nocar"
factor = ""
split = "ALL"

[model]
type = "Extractor"
variation = "TAE"
activation = "ReLU"

[training]
epochs = 250
optimizer = "AdamW"
loss = "SSIM"
make_scene_impossible = 1
make_instance_impossible = 0
{inside}
{section}
"""


def published(top="", inside="", section=""):
    return PUBLISHED.format(top=top, inside=inside, section=section)


@pytest.mark.parametrize(("places", "gpu"), [
    ({"top": "gpu = 2"}, 2), ({"inside": "gpu = 2"}, 2), ({"section": "[device]\ngpu = 2"}, 2), ({}, 0),
    ({"top": "gpu = 1", "inside": "gpu = 2"}, 2)])
def test_a_published_file_loads_wherever_it_names_the_gpu(tmp_path, places, gpu):
    config = load(tmp_path, published(**places))
    assert config.training.gpu == gpu
    assert config.dataset.name == "sviro_nocar"
    assert (config.dataset.split, config.model.type, config.model.variation) == ("all", "extractor", "tae")
    assert (config.model.activation, config.training.optimizer, config.training.loss) == ("relu", "adamw", "ssim")


@pytest.mark.parametrize(("places", "told"), [
    ({"top": 'gpu = "first"'}, "training.gpu"), ({"section": "[device]\ngpu = -1"}, "training.gpu"),
    ({"section": "[device]\ngpu = 1\nname = 'x'"}, "'device' is not known")])
def test_a_wrong_gpu_and_more_than_a_gpu_are_refused_wherever_they_stand(tmp_path, places, told):
    assert told in refusal(tmp_path, published(**places))


@pytest.mark.parametrize(("trained", "tested", "own"), [
    ([], "name='sviro', factor='x5', split='test'", True), ([], "name='sviro', factor=['x5', 'tucson']", False),
    (["dataset.factor=[]"], "name='sviro', factor='tucson'", True), ([], "name='sviro'", False),
    ([], "name='sviro', factor='x5', root='real'", False), ([], "name='ticam'", False),
    (["dataset.root=['a', 'b']"], "name='sviro', factor='x5'", True),
    (["dataset.root=['a', 'b']"], "name='sviro', factor='x5', root='b'", True)])
def test_what_chooses_the_best_weights_is_of_the_source_or_an_oracle(tmp_path, trained, tested, own):
    config = load(tmp_path, FULL, *trained, f"evaluation.datasets=[{{{tested}}}, {{name='sviro', factor='x5'}}]")
    assert config.chosen_on_source is own


def test_evaluation_takes_the_root_that_is_trained_on_and_of_several_the_first(tmp_path):
    alone = load(tmp_path, FULL)
    assert [target.root for target in alone.evaluation_datasets()] == ["some/data", "elsewhere"]
    assert alone.evaluation.datasets[0].root is None
    for kept in (False, True):
        config = load(tmp_path, FULL, f"dataset.skip_bad={kept}".lower())
        assert [target.skip_bad for target in config.evaluation_datasets()] == [kept, kept]
        own = f"evaluation.datasets=[{{name='sviro', skip_bad={not kept}}}, {{name='mnist'}}]".lower()
        config = load(tmp_path, FULL, f"dataset.skip_bad={kept}".lower(), own)
        assert [target.skip_bad for target in config.evaluation_datasets()] == [not kept, kept]
    one, other, both = (load(tmp_path, FULL, f"dataset.root={roots}") for roots in ('"a"', '["b"]', '["a", "b"]'))
    assert (one.dataset.root, other.dataset.root, both.dataset.root) == ("a", "b", ["a", "b"])
    assert [each.dataset.roots for each in (one, other, both)] == [["a"], ["b"], ["a", "b"]]
    assert [target.root for target in both.evaluation_datasets()] == ["a", "elsewhere"]
    assert load_config(write(tmp_path, dump_config(both), "again.toml")) == both
    assert differences(one, other, PLACES) == []
    turned = load(tmp_path, FULL, 'dataset.root=["b", "a"]')
    assert [differences(both, each, PLACES) for each in (one, other, turned)] == [["dataset.root"]] * 3
    for roots, told in [("[]", "allowed: a folder, or a list of folders (found [])"), ("3", "(found 3)"),
                        ('["a", 3]', "a list of folders"), ('["a", "b", "a"]', "allowed: each folder once")]:
        assert told in refusal(tmp_path, FULL, f"dataset.root={roots}")
    message = refusal(tmp_path, FULL, 'evaluation.datasets=[{name="sviro", root=["a", "b"]}]')
    assert "evaluation.datasets.0.root: Input should be a valid string (found ['a', 'b'])" in message


@pytest.mark.parametrize(("changes", "key"), [
    (("C:\\xampp\\data", "C:\\new\\table", "a\u00a0b", "\u00a0", "it's \"data\"", "größe/データ", "[dataset]", "# no",
      "a = b", "tab\there", "", "\x7f", "line\u2028break", "data\\"), "root"),
    ((1e-4, 3e-07, 1e22, 5e-324, 0.1 + 0.2, math.pi), "learning_rate")])
def test_any_text_and_any_number_survive_dumping_and_loading(tmp_path, changes, key):
    for value in changes:
        raw = tomllib.loads(FULL)
        raw["training" if key == "learning_rate" else "dataset"][key] = value
        if key == "root":
            raw["dataset"]["factor"] = [value, "x5"]
            raw["evaluation"]["datasets"][1]["root"] = value
        config = AutoencoderConfig.model_validate(raw)
        assert load_config(write(tmp_path, dump_config(config), "again.toml")) == config


def test_a_dumped_config_spells_out_every_default(tmp_path):
    config = load(tmp_path)
    raw = tomllib.loads(dump_config(config))
    assert load_config(write(tmp_path, dump_config(config), "again.toml")) == config
    for section in ("dataset", "model", "training"):
        optional = {"split", "limit"} if section == "dataset" else set()
        assert set(raw[section]) == set(AutoencoderConfig.model_fields[section].annotation.model_fields) - optional


@pytest.mark.parametrize(("changes", "ignored", "found"), [
    ([], (), []), (["dataset.limit=5"], (), ["dataset.limit"]),
    (["training.seed=13", "model.knn=9", "evaluation.datasets=[{name='sviro'}]"], (),
     ["evaluation.datasets", "model.knn", "training.seed"]),
    (["training.seed=13", "model.knn=9"], ("training.seed",), ["model.knn"]),
    (["training.seed=13", "evaluation.datasets=[{name='sviro'}]", "model.knn=9"], ("training", "evaluation"),
     ["model.knn"]),
    (["training.gpu=1", "training.seed=2"], ("training.se", "train"), ["training.gpu", "training.seed"])])
def test_differences_are_the_dotted_keys_that_differ_less_those_below_ignored_ones(tmp_path, changes, ignored, found):
    first, second = load(tmp_path), load(tmp_path, MINIMAL, *changes)
    assert differences(first, second, ignored) == differences(second, first, ignored) == found


@pytest.mark.parametrize(("line", "message"), [
    ("a = " + "[" * 5000 + "]" * 5000, "not readable as TOML: nested too deeply"),
    ("a = " + "{a=" * 5000 + "1" + "}" * 5000, "not readable as TOML: nested too deeply"),
    (".".join("a" * 20000) + " = 1", "not readable as TOML: a key of more than 30 parts"),
    ("a = " + "[" * 20 + "]" * 20, "nested more than 10 deep"),
    ("a = " + "9" * 5000, "not readable as TOML: Exceeds the limit"),
    ("a = 0x" + "f" * 5000, "a: found an integer of 20000 bits; allowed: up to 64"),
    ("a = 9223372036854775808", "a: found an integer of 64 bits"),
    ('a = ["b\\u0000"]', "a.0: found a NUL character in 'b\\x00'"),
    ("x" * 10**6 + " = 1", "key: 'xxx"),
])
def test_what_the_parser_or_other_code_chokes_on_is_refused_in_a_short_line(tmp_path, line, message):
    found = refusal(tmp_path, f"{line}\n{MINIMAL}")
    assert "experiment.toml" in found
    assert message in found
    assert len(found) < 1000


@pytest.mark.parametrize("change", ["training.batch_size=99999999999999999999", "dataset.cache='\\u0000'",
                                    "dataset.cache=\"a\\u0000\"", "training.epochs=" + "9" * 5000,
                                    "model.knn=" + "[" * 5000, "model.type=" + "x" * 10**6,
                                    "training.device=cuda:" + "9" * 5000])
def test_the_same_on_the_command_line(tmp_path, change):
    if "'" in change:
        # A literal string, in which nothing is escaped.
        assert load(tmp_path, MINIMAL, change).dataset.cache == "\\u0000"
    else:
        assert len(refusal(tmp_path, MINIMAL, change)) < 1000
