"""The typed, strict config: one TOML file, four sections. Here is what all systems share; each has its own class."""

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, get_args

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from errors import UserError, choice_error, shortened
from experiment import published_config, toml_text
from experiment.systems import BY_TYPE

# Keys that say where an experiment runs, not what it is.
PLACES = ("training.device", "training.gpu", "training.devices", "dataset.root", "target.root", "dataset.cache")


def lower(value: Any) -> Any:
    return value.lower() if isinstance(value, str) else value


def _zero_one(value: Any) -> Any:
    """Accept 0 and 1 for a switch, as older config files write them."""
    return bool(value) if type(value) is int and value in (0, 1) else value


def _bits(value: Any) -> Any:
    return str(value) if type(value) is int else lower(value)


def _device(value: Any) -> Any:
    value = lower(value)
    if isinstance(value, str) and not re.fullmatch(r"auto|cpu|cuda(:\d{1,9})?", value):
        raise ValueError(f"allowed: auto, cpu, cuda, cuda:N (found '{shortened(value)}')")
    return value


def _as_list(value: Any) -> Any:
    """Accept one factor, several, or the empty string for 'no factor'."""
    return [part for part in (value,) if part] if isinstance(value, str) else value


def _roots(value: Any) -> Any:
    """Accept a list of one root for that root."""
    if isinstance(value, str):
        return value
    if not isinstance(value, list) or not value or not all(isinstance(each, str) for each in value):
        raise ValueError(f"allowed: a folder, or a list of folders (found {shortened(repr(value))})")
    if len(set(value)) < len(value):
        raise ValueError(f"allowed: each folder once (found {shortened(repr(value))})")
    return value if len(value) > 1 else value[0]


def pair(value: Any) -> Any:
    """Accept one number for both of a pair, and a list for the tuple that it is."""
    if isinstance(value, list):
        return tuple(value)
    return (value, value) if type(value) in (int, float) else value


def spelled(others: dict[str, str]) -> BeforeValidator:
    """Return what accepts a text in any case, and other spellings of it."""
    return BeforeValidator(lambda value: others.get(value.lower(), value.lower()) if isinstance(value, str) else value)


Switch = Annotated[bool, BeforeValidator(_zero_one)]
DatasetName = Annotated[str, spelled({"seats_and_people_nocar": "sviro_nocar"}), Field(min_length=1)]
Factor = Annotated[list[str], BeforeValidator(_as_list)]
Split = Annotated[Literal["train", "test", "all"], BeforeValidator(lower)]
SplitWithVal = Annotated[Literal["train", "val", "test", "all"], BeforeValidator(lower)]
Roots = Annotated[str | list[str], BeforeValidator(_roots)]


class Section(BaseModel):
    """Base of all sections: unknown keys fail, values are not coerced, nothing changes after loading."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)


class EvaluationDataset(Section):
    """A dataset to evaluate on: `[[evaluation.datasets]]`. `root` falls back to the one of `[dataset]`.

    skip_bad: leave out names without a label and images that cannot be read, instead of refusing them; by default as
    `[dataset]` says.
    """

    name: DatasetName
    factor: Factor = []
    split: Split | None = None
    root: str | None = None
    limit: Annotated[int, Field(gt=0)] | None = None
    skip_bad: Switch | None = None


class MappedDataset(EvaluationDataset):
    """A dataset to evaluate on, with label maps or not, in images of any shape.

    class_map: what the ids in label maps mean, see `readers.class_maps`, by default the reader's own; image_size: width
    and height; this and `root` fall back to those of `[dataset]`.
    """

    split: SplitWithVal | None = None
    class_map: str | None = None
    image_size: tuple[int, int] | None = None


class Places(Section):
    """Where the dataset to train on is: a part of `[dataset]`.

    root: folder of the downloaded datasets, or several, whose images of the dataset are trained on together, see
    `readers.joined`; cache: folder for prepared images and frozen features.
    """

    root: Roots = "data"
    cache: str = "cache"
    skip_bad: Switch = False

    @property
    def roots(self) -> list[str]:
        """All roots; evaluation datasets without a root of their own take the first."""
        return [self.root] if isinstance(self.root, str) else self.root


class Dataset(Places, EvaluationDataset):
    """The dataset to train on: `[dataset]`.

    name: reader; factor: part of the dataset (a car, or several); split: train, test, all, or the reader's default;
    limit: use at most so many sceneries of each root, drawn at random with a fixed seed; image_size: pixels.
    """

    image_size: Annotated[int, Field(ge=16, multiple_of=16)] = 128


class Model(Section):
    """The network of an autoencoder or classifier: `[model]`.

    type: see `experiment.systems`; extractor: torchvision name, `small_cnn` or `efficientnet_lite0`; layer: cut as in
    `children()[0:layer]`;
    weights: `imagenet`, `none`, a file, or the run folder of a classifier;
    batchnorm: statistics of BatchNorm layers that do not train: `frozen` (those that came with the weights),
    `reference` (batch statistics while training, as in the published runs; evaluation takes the running ones);
    normalize: subtract ImageNet's mean from what the network sees and divide by its standard deviation; for
    `efficientnet_lite0`, 127/255 and 128/255, which its weights were trained with.
    """

    type: str
    extractor: str = "vgg11"
    layer: Annotated[int, Field(lt=0)] = -3
    weights: str = "imagenet"
    batchnorm: Annotated[Literal["frozen", "reference"], BeforeValidator(lower)] = "frozen"
    normalize: Switch = False


class Training(Section):
    """How it is trained: `[training]`.

    frequency: epochs between evaluations; device: `auto`, `cpu`, `cuda` or `cuda:N`; gpu: the GPU that `auto` takes
    where there is one; devices: the GPUs (from that one on), or processes on a CPU, that share each batch; precision:
    `32` bits, or `bf16` for mixed precision.
    """

    batch_size: Annotated[int, Field(gt=0)] = 64
    optimizer: Annotated[Literal["adamw", "adam", "sgd"], BeforeValidator(lower)] = "adamw"
    learning_rate: Annotated[float, Field(gt=0)] = 1e-4
    weight_decay: Annotated[float, Field(ge=0)] = 1e-5
    epochs: Annotated[int, Field(gt=0)]
    frequency: Annotated[int, Field(gt=0)] = 1
    seed: Annotated[int, Field(ge=0, lt=2**31)] = 1
    device: Annotated[str, BeforeValidator(_device)] = "auto"
    gpu: Annotated[int, Field(ge=0)] = 0
    devices: Annotated[int, Field(ge=1)] = 1
    precision: Annotated[Literal["32", "bf16"], BeforeValidator(_bits)] = "32"


class IterationTraining(Training):
    """How what sees a stream of images is trained: `[training]`.

    iterations: batches in all, in which case an epoch is an equal share of them and not a pass over the images.
    """

    iterations: Annotated[int, Field(gt=0)] | None = None

    @model_validator(mode="after")
    def _shared_evenly(self) -> "IterationTraining":
        if self.iterations is not None and self.iterations % self.epochs:
            raise ValueError(f"iterations = {self.iterations} cannot be shared out evenly over epochs = {self.epochs}")
        return self


class SceneryTraining(Training):
    """How what sees sceneries is trained: `[training]`.

    augment: photometric changes of the input beside the mirror images; variants: an epoch sees one `random` variant of
    each scenery, or `all` of them.
    """

    augment: Switch = False
    variants: Annotated[Literal["random", "all"], BeforeValidator(lower)] = "random"


class Evaluation(Section):
    """What a model is judged by: `[evaluation]`. Its first dataset chooses the best checkpoint."""

    datasets: list[EvaluationDataset] = []


class Config(Section):
    """A whole experiment; a system's own class has its own sections.

    retired: keys that the cfg.toml of older runs of the system may hold, and that mean nothing to it.
    """

    retired: ClassVar[tuple[str, ...]] = ()

    dataset: Dataset
    model: Section
    training: Training
    evaluation: Evaluation = Evaluation()

    def evaluation_datasets(self) -> list[EvaluationDataset]:
        """Return the evaluation datasets with `root` and `skip_bad` filled in, and `image_size` where they have one."""
        own = {"root": self.dataset.roots[0], "image_size": self.dataset.image_size, "skip_bad": self.dataset.skip_bad}
        return [section.model_copy(update={key: own[key] for key in own if getattr(section, key, own[key]) is None})
                for section in self.evaluation.datasets]

    @property
    def chosen_on_source(self) -> bool:
        """Whether the first evaluation dataset, which chooses the best weights, is of what is trained on.

        Of another split, say. Then no label of a target has a part in the choice.
        """
        if not self.evaluation.datasets:
            return False
        first, own = self.evaluation_datasets()[0], self.dataset
        within = not own.factor or (bool(first.factor) and set(first.factor) <= set(own.factor))
        return first.name == own.name and first.root in own.roots and within


class _Typed(Section, extra="allow"):
    type: Annotated[Literal[*BY_TYPE], BeforeValidator(lower)]


class _Outline(Section, extra="allow"):
    """What the file of any system holds, whatever stands in its other sections."""

    dataset: Any
    model: _Typed
    training: Any
    evaluation: Any = None


def load_config(path: str | Path, overrides: list[str] | tuple[str, ...] = (), seed: int | None = None,
                kept: bool = False) -> Config:
    """Read a TOML file, apply `section.key=value` overrides and the seed, and check everything.

    The class of the config is that of the system of `model.type`. kept: the file is a run's cfg.toml, whose retired
    keys are left out.

    A file of the published code is first said in the words of this config; see `experiment.published_config`.
    Raises UserError in one line: file and key, what was found, what is allowed, the nearest match.
    """
    path = Path(path)
    raw = toml_text.read(path)
    if kept:
        _drop_retired(raw)
    # By the file alone: an override makes no config of this project a published one.
    published = published_config.is_published(_move_gpu(raw))
    changes = [*overrides, *([f"training.seed={seed}"] if seed is not None else [])]
    changed = [_apply(raw, change) for change in changes]
    toml_text.check(raw, str(path))
    raw = _move_gpu(raw)
    if published:
        raw = published_config.translate(raw, str(path))
    model = raw.get("model")
    name = str(model.get("type")).lower() if isinstance(model, dict) else ""
    # Where the type is none, the outline tells.
    kind = BY_TYPE[name].config(name) if name in BY_TYPE else _Outline
    try:
        return kind.model_validate(raw)
    except ValidationError as error:
        raise _one_line(error, str(path), changed, kind) from None


def _drop_retired(raw: dict[str, Any]) -> None:
    sections = {name: section for name, section in raw.items() if isinstance(section, dict)}
    model = sections.get("model", {})
    kind = str(model.get("type"))
    for key in BY_TYPE[kind].config(kind).retired if kind in BY_TYPE else ():
        section, name = key.split(".")
        sections.get(section, {}).pop(name, None)
    # Statistics of the training images, which are in such a run's weights.
    if model.get("batchnorm") == "recalibrated":
        model["batchnorm"] = "frozen"


def dump_config(config: Config) -> str:
    """Return the resolved config as TOML that `load_config` reads back to an equal config."""
    return toml_text.dump(config.model_dump(exclude_none=True))


def differences(first: Config, second: Config, ignore: tuple[str, ...] = ()) -> list[str]:
    """Return the dotted keys in which two configs differ, less those that are or lie below a name in `ignore`.

    Several roots are no mere place: which they are is what is trained on.
    """
    a, b = flatten(first.model_dump()), flatten(second.model_dump())
    keys = sorted(key for key in a.keys() | b.keys() if a.get(key) != b.get(key))
    return [key for key in keys if not is_below(key, ignore) or (
        key == "dataset.root" and list in (type(a.get(key)), type(b.get(key))))]


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
    table = raw
    for part in parts[:-1]:
        table = table.setdefault(part, {})
        if not isinstance(table, dict):
            raise UserError(f"--set {override}: '{part}' is not a section")
    table[parts[-1]] = value = toml_text.value_of(text)
    if isinstance(value, str) and text.lstrip()[:1] in ("[", "{"):
        raise UserError(f"--set {shortened(override)}: not readable as TOML; a shell takes quotes away, so put all of "
                        f"it into others: --set '{shortened(key)}=[\"one\", \"two\"]'")
    return ".".join(parts)


def _one_line(error: ValidationError, path: str, changed: list[str], kind: type[Section]) -> UserError:
    """Turn pydantic's most telling complaint about a `kind` into one line; `changed`: keys that --set gave."""
    # An unknown key is the likely reason for a missing one, so it goes first.
    first = min(error.errors(), key=lambda each: each["type"] != "extra_forbidden")
    key = ".".join(str(part) for part in first["loc"])
    source = f"{path} (--set)" if is_below(key, changed) else path
    message, found = first["msg"], f" (found {shortened(repr(first['input']))})"
    if first["type"] == "extra_forbidden":
        told = choice_error(f"{source}: key", key, _keys_beside(first["loc"], kind))
    elif first["type"] == "literal_error":
        expected = first["ctx"]["expected"]
        # Numbers are not in quotes.
        known = re.findall("'(.*?)'", expected) or re.split(", | or ", expected)
        told = choice_error(f"{source}: {key}", first["input"], known)
    elif first["type"] == "missing":
        told = f"{source}: key {key} is missing"
    elif first["type"] == "value_error":
        # Of a whole config the message says itself which key is wrong.
        told = f"{source}: {key + ': ' if key else ''}{message.removeprefix('Value error, ')}"
    else:
        told = f"{source}: {key}: {'expected a section' if first['type'] == 'model_type' else message}{found}"
    return UserError(f"{told} (and {error.error_count() - 1} more)" if error.error_count() > 1 else str(told))


def is_below(key: str, names: Iterable[str]) -> bool:
    """Say whether a dotted key is one of some names, or lies below one."""
    return any(f"{key}.".startswith(f"{name}.") for name in names)


def _keys_beside(location: tuple[int | str, ...], kind: type[Section]) -> list[str]:
    """Return the dotted keys allowed where an unknown one was found."""
    if len(location) == 1:
        return [*kind.model_fields, *(
            f"{section}.{location[0]}" for section, field in kind.model_fields.items()
            if location[0] in getattr(field.annotation, "model_fields", ()))]
    below = kind
    for part in location[:-1]:
        if isinstance(part, str):
            # A section, one that may be missing, or a list of them.
            found = below.model_fields[part].annotation
            below = next((each for each in get_args(found) if isinstance(each, type)
                          and issubclass(each, Section)), found)
    prefix = ".".join(str(part) for part in location[:-1])
    return [f"{prefix}.{name}" for name in below.model_fields]
