"""The typed, strict config: one TOML file, four sections."""

import json
import re
import tomllib
from pathlib import Path
from typing import Annotated, Any, Literal

import toml
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from errors import UserError, choice_error, shortened
from experiment import published_config
from files import read_text

DATASET_ALIASES = {"seats_and_people_nocar": "sviro_nocar"}
VARIATION_ALIASES = {"factor-vae": "factorvae", "factor_vae": "factorvae"}

VARIATIONS = {"conv": ("ae", "tae", "vae", "factorvae"), "extractor": ("ae", "tae"),
              "classifier": ("scratch", "pretrained")}

# Keys that say where an experiment runs, not what it is.
PLACES = ("training.device", "training.gpu", "training.devices", "dataset.root", "dataset.cache")

DEEPEST = 10
# The parser takes hours for long ones.
LONG_KEY = re.compile(r"""(?<![\w-])(["']?[\w-]+["']?[ \t]*\.[ \t]*){30}""")


def _lower(value: Any) -> Any:
    return value.lower() if isinstance(value, str) else value


def _zero_one(value: Any) -> Any:
    """Accept 0 and 1 for a switch, as older config files write them."""
    return bool(value) if type(value) is int and value in (0, 1) else value


def _bits(value: Any) -> Any:
    return str(value) if type(value) is int else _lower(value)


def _device(value: Any) -> Any:
    value = _lower(value)
    if isinstance(value, str) and not re.fullmatch(r"auto|cpu|cuda(:\d{1,9})?", value):
        raise ValueError(f"allowed: auto, cpu, cuda, cuda:N (found '{shortened(value)}')")
    return value


def _as_list(value: Any) -> Any:
    """Accept one factor, several, or the empty string for 'no factor'."""
    if isinstance(value, str):
        return [value] if value else []
    return value


def _canonical_dataset(value: Any) -> Any:
    value = _lower(value)
    return DATASET_ALIASES.get(value, value) if isinstance(value, str) else value


def _canonical_activation(value: Any) -> Any:
    value = _lower(value)
    return "leaky_relu" if value == "leakyrelu" else value


def _canonical_variation(value: Any) -> Any:
    value = _lower(value)
    return VARIATION_ALIASES.get(value, value) if isinstance(value, str) else value


Switch = Annotated[bool, BeforeValidator(_zero_one)]
DatasetName = Annotated[str, BeforeValidator(_canonical_dataset), Field(min_length=1)]
Factor = Annotated[list[str], BeforeValidator(_as_list)]
Split = Annotated[Literal["train", "test", "all"], BeforeValidator(_lower)]
Activation = Annotated[str, BeforeValidator(_canonical_activation), Field(min_length=1)]
Variation = Annotated[Literal["ae", "tae", "vae", "factorvae", "scratch", "pretrained"],
                      BeforeValidator(_canonical_variation)]
Classifier = Annotated[Literal["knn", "forest", "svm"], BeforeValidator(_lower)]


class Section(BaseModel):
    """Base of all sections: unknown keys fail, values are not coerced, nothing changes after loading."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)


class TargetDataset(Section):
    """A dataset to evaluate on: `[[evaluation.datasets]]`. `root` falls back to the one of `[dataset]`.

    skip_bad: leave out names without a label and images that cannot be read, instead of refusing them.
    """

    name: DatasetName
    factor: Factor = []
    split: Split | None = None
    root: str | None = None
    limit: Annotated[int, Field(gt=0)] | None = None
    skip_bad: Switch = False


class Dataset(TargetDataset):
    """The dataset to train on: `[dataset]`.

    name: reader; factor: part of the dataset (a car, or several); split: train, test, all, or the reader's default;
    limit: use at most so many sceneries, drawn at random with a fixed seed; image_size: pixels, a multiple of 16;
    root: folder of the downloaded datasets; cache: folder for prepared images and frozen features.
    """

    root: str = "data"
    cache: str = "cache"
    image_size: Annotated[int, Field(ge=16, multiple_of=16)] = 128


class Model(Section):
    """The network: `[model]`.

    type: `conv` (Table S1), `extractor` (Tables S3, S4) or `classifier`; variation: `ae`, `tae` (adds the triplet
    loss), with `conv` also `vae`, `factorvae`, with `classifier` instead `scratch`, `pretrained`;
    extractor: torchvision name or `small_cnn`; layer: cut as in `children()[0:layer]`; weights: `imagenet`, `none`,
    a file, or the run folder of a classifier; dimension: latent size; knn: neighbours of the k-nearest-neighbour
    evaluation; activation: name of an elementwise one of torch.nn, in any case, which building the model checks;
    batchnorm: statistics of BatchNorm layers that do not train: `frozen` (those that came with the weights),
    `recalibrated` (estimated once on the training images), `reference` (batch statistics while training, as in the
    published runs; evaluation takes the running ones); normalize: subtract ImageNet's mean from what the network sees
    and divide by its standard deviation.
    """

    type: Annotated[Literal["conv", "extractor", "classifier"], BeforeValidator(_lower)]
    variation: Variation
    extractor: str = "vgg11"
    layer: Annotated[int, Field(lt=0)] = -3
    weights: str = "imagenet"
    dimension: Annotated[int, Field(gt=0)] = 64
    knn: Annotated[int, Field(gt=0)] = 115
    activation: Activation = "relu"
    batchnorm: Annotated[Literal["frozen", "recalibrated", "reference"], BeforeValidator(_lower)] = "frozen"
    normalize: Switch = False

    @model_validator(mode="after")
    def _variation_fits_type(self) -> "Model":
        allowed = VARIATIONS[self.type]
        if self.variation not in allowed:
            raise ValueError(f"variation '{self.variation}' does not go with type '{self.type}'; "
                             f"allowed: {', '.join(allowed)}")
        if self.variation == "pretrained" and self.weights == "none":
            raise ValueError("variation 'pretrained' would freeze random weights; allowed with it: weights that are "
                             "imagenet, a file or a run folder")
        return self


class Training(Section):
    """How it is trained: `[training]`.

    loss: reconstruction loss; frequency: epochs between evaluations; augment: photometric changes of the input
    beside the mirror images; variants: an epoch sees one `random` variant of each scenery, or `all` of them;
    make_scene_impossible: target under another variant (I-); make_instance_impossible:
    target is another scenery of the class, under another variant (II-, which wins where both are set);
    kl_weight, tc_weight: weights of the KL divergence (beta) and of the FactorVAE's total correlation (gamma), which
    other models do without;
    device: `auto`, `cpu`, `cuda` or `cuda:N`; gpu: the GPU that `auto` takes where there is one; devices: the
    GPUs (from that one on), or processes on a CPU, that share each batch; precision: `32` bits, or `bf16` for mixed
    precision.
    """

    batch_size: Annotated[int, Field(gt=0)] = 64
    optimizer: Annotated[Literal["adamw", "adam", "sgd"], BeforeValidator(_lower)] = "adamw"
    learning_rate: Annotated[float, Field(gt=0)] = 1e-4
    weight_decay: Annotated[float, Field(ge=0)] = 1e-5
    epochs: Annotated[int, Field(gt=0)]
    frequency: Annotated[int, Field(gt=0)] = 1
    loss: Annotated[Literal["ssim", "bce", "mse", "l1"], BeforeValidator(_lower)] = "ssim"
    augment: Switch = False
    variants: Annotated[Literal["random", "all"], BeforeValidator(_lower)] = "random"
    make_scene_impossible: Switch = False
    make_instance_impossible: Switch = False
    kl_weight: Annotated[float, Field(ge=0)] = 1.0
    tc_weight: Annotated[float, Field(ge=0)] = 0.0
    seed: Annotated[int, Field(ge=0, lt=2**31)] = 1
    device: Annotated[str, BeforeValidator(_device)] = "auto"
    gpu: Annotated[int, Field(ge=0)] = 0
    devices: Annotated[int, Field(ge=1)] = 1
    precision: Annotated[Literal["32", "bf16"], BeforeValidator(_bits)] = "32"

    @property
    def impossible(self) -> Literal["none", "scene", "instance"]:
        """Which partially impossible target is asked for: none, I (`scene`) or II (`instance`)."""
        if self.make_instance_impossible:
            return "instance"
        return "scene" if self.make_scene_impossible else "none"


class Evaluation(Section):
    """What a model is judged by: `[evaluation]`. Its first dataset chooses the best checkpoint.

    Autoencoders by the accuracy of kNN, classifiers by that of the network.
    """

    classifiers: Annotated[list[Classifier], Field(min_length=1)] = ["knn", "forest", "svm"]
    datasets: list[TargetDataset] = []


class Config(Section):
    """A whole experiment."""

    dataset: Dataset
    model: Model
    training: Training
    evaluation: Evaluation = Evaluation()

    def targets(self) -> list[TargetDataset]:
        """Return the evaluation datasets with `root` filled in."""
        return [target if target.root else target.model_copy(update={"root": self.dataset.root})
                for target in self.evaluation.datasets]


def load_config(path: str | Path, overrides: list[str] | tuple[str, ...] = (), seed: int | None = None) -> Config:
    """Read a TOML file, apply `section.key=value` overrides and the seed, and check everything.

    A file of the published code is first said in the words of this config; see `experiment.published_config`.
    Raises UserError in one line: file and key, what was found, what is allowed, the nearest match.
    """
    path = Path(path)
    raw = read_toml(path)
    # By the file alone: an override makes no config of this project a published one.
    published = published_config.is_published(_move_gpu(raw))
    changes = [*overrides, *([f"training.seed={seed}"] if seed is not None else [])]
    changed = [_apply(raw, change) for change in changes]
    _check_values(raw, str(path))
    raw = _move_gpu(raw)
    if published:
        raw = published_config.translate(raw, str(path))
    try:
        return Config.model_validate(raw)
    except ValidationError as error:
        raise _one_line(error, str(path), changed) from None


def read_toml(path: Path) -> dict[str, Any]:
    """Return what a TOML file holds; UserError where it is none."""
    try:
        return _parse(read_text(path))
    except FileNotFoundError:
        near = sorted(str(p) for p in path.parent.glob("*.toml")) if path.parent.is_dir() else []
        raise choice_error("config file", path, near) from None
    except OSError as error:
        raise UserError(f"{path}: not readable as TOML: {error.strerror}") from None
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise UserError(f"{path}: not readable as TOML: {error}") from None


def _parse(text: str) -> dict[str, Any]:
    """Return what a TOML text holds; TOMLDecodeError also for one that the parser chokes on."""
    if LONG_KEY.search(text):
        raise tomllib.TOMLDecodeError("a key of more than 30 parts")
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        raise
    except (ValueError, RecursionError):
        raise tomllib.TOMLDecodeError("nested too deeply, or a number of too many digits") from None


def _check_values(value: Any, path: str, key: str = "", depth: int = 0) -> None:
    """Refuse what no key takes and other code trips over: deep nesting, numbers beyond 64 bits, NUL in a text."""
    if depth > DEEPEST:
        raise UserError(f"{path}: {shortened(key)}: nested more than {DEEPEST} deep")
    if isinstance(value, int) and not -(2**63) <= value < 2**63:
        raise UserError(f"{path}: {key}: found an integer of {value.bit_length()} bits; allowed: up to 64")
    if isinstance(value, str) and "\0" in value:
        raise UserError(f"{path}: {key}: found a NUL character in {shortened(repr(value))}")
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for name, item in items:
        _check_values(item, path, f"{key}.{name}" if key else str(name), depth + 1)


def dump_config(config: Config) -> str:
    """Return the resolved config as TOML that `load_config` reads back to an equal config."""
    encoder = toml.TomlEncoder()
    encoder.dump_funcs[str] = _toml_string
    return toml.dumps(config.model_dump(exclude_none=True), encoder)


def toml_value(value: Any) -> str:
    """Return a value as TOML in one line, as an override takes it; keys of tables that are None are left out."""
    if isinstance(value, dict):
        return f"{{{', '.join(f'{key} = {toml_value(item)}' for key, item in value.items() if item is not None)}}}"
    if isinstance(value, list):
        return f"[{', '.join(map(toml_value, value))}]"
    return _toml_string(value) if isinstance(value, str) else str(value).lower()


def _toml_string(text: str) -> str:
    """Quote a text for TOML; the toml package's own quoting damages backslashes and control characters."""
    # JSON escapes all that TOML wants escaped, but for one character.
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


def differences(first: Config, second: Config, ignore: tuple[str, ...] = ()) -> list[str]:
    """Return the dotted keys in which two configs differ, less those that are or lie below a name in `ignore`."""
    a, b = flatten(first.model_dump()), flatten(second.model_dump())
    keys = sorted(key for key in a.keys() | b.keys() if a.get(key) != b.get(key))
    return [key for key in keys if not any(key == name or key.startswith(name + ".") for name in ignore)]


def flatten(values: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Return nested dictionaries as one with dotted keys."""
    flat: dict[str, Any] = {}
    for key, value in values.items():
        flat.update(flatten(value, f"{prefix}{key}.") if isinstance(value, dict) else {prefix + key: value})
    return flat


def _move_gpu(raw: dict[str, Any]) -> dict[str, Any]:
    """Move a `gpu` key at the top or in a section of its own to `training.gpu`."""
    device = raw.get("device")
    gpu = raw.get("gpu", device.get("gpu") if isinstance(device, dict) else None)
    if gpu is None or not isinstance(raw.get("training"), dict):
        return raw
    alone = {"gpu": gpu}
    rest = {key: value for key, value in raw.items() if key != "gpu" and not (key == "device" and value == alone)}
    return rest | {"training": {"gpu": gpu} | raw["training"]}


def _apply(raw: dict[str, Any], override: str) -> str:
    """Set one `section.key=value` and return the key; the value is TOML, or plain text where it is not valid TOML."""
    key, equals, text = override.partition("=")
    parts = key.strip().split(".")
    if not equals or not all(parts):
        raise UserError(f"--set {override}: expected section.key=value")
    try:
        value = _parse(f"value = {text.strip()}")["value"]
    except tomllib.TOMLDecodeError:
        value = text.strip()
    table = raw
    for part in parts[:-1]:
        table = table.setdefault(part, {})
        if not isinstance(table, dict):
            raise UserError(f"--set {override}: '{part}' is not a section")
    table[parts[-1]] = value
    return ".".join(parts)


def _one_line(error: ValidationError, path: str, changed: list[str]) -> UserError:
    """Turn pydantic's most telling complaint into one line; `changed`: keys that --set gave."""
    # An unknown key is the likely reason for a missing one, so it goes first.
    first = min(error.errors(), key=lambda each: each["type"] != "extra_forbidden")
    key = ".".join(str(part) for part in first["loc"])
    source = f"{path} (--set)" if any(key == name or key.startswith(name + ".") for name in changed) else path
    more = f" (and {error.error_count() - 1} more)" if error.error_count() > 1 else ""
    if first["type"] == "extra_forbidden":
        return UserError(f"{choice_error(f'{source}: key', key, _keys_beside(first['loc']))}{more}")
    if first["type"] == "missing":
        return UserError(f"{source}: key {key} is missing{more}")
    if first["type"] == "model_type":
        return UserError(f"{source}: {key}: expected a section (found {shortened(repr(first['input']))}){more}")
    if first["type"] == "literal_error":
        allowed = [name.strip().strip("'") for name in first["ctx"]["expected"].replace(" or ", ", ").split(",")]
        return UserError(f"{choice_error(f'{source}: {key}', first['input'], allowed)}{more}")
    message = first["msg"].removeprefix("Value error, ")
    found = "" if first["type"] == "value_error" else f" (found {shortened(repr(first['input']))})"
    return UserError(f"{source}: {key}: {message}{found}{more}")


def _keys_beside(location: tuple[int | str, ...]) -> list[str]:
    """Return the dotted keys allowed where an unknown one was found."""
    if len(location) == 1:
        return list(Config.model_fields)
    below = TargetDataset if location[:2] == ("evaluation", "datasets") else Config.model_fields[location[0]].annotation
    prefix = ".".join(str(part) for part in location[:-1])
    return [f"{prefix}.{name}" for name in below.model_fields]
