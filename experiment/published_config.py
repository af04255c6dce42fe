"""Config files of the published code, put into the words of this project's config before that is checked.

They name no seed, split, image size, weights or evaluation datasets, which stood in the code, and call some things
otherwise; what they leave out is filled in as that code has it. All but the names is checked as in any config.
"""

import difflib
import re
from typing import Any

from errors import UserError, choice_error

Tables = dict[str, Any]

# Types that are a type and a variation here; "" as variation is the plain model.
VARIATIONAL = ("vae", "factorvae")
CLASSIFICATION = "classification"
CLASSIFIER_KEYS = ("architecture", "use_pretrained", "freeze_n_first_layers")
# How many parameter tensors lie below the cut at layer -3.
FROZEN_TENSORS = {"resnet50": 129, "vgg11": 14, "densenet121": 261}
CUT = -3
VEHICLES = ("seats_and_people_nocar", "sviro_nocar", "sviro", "sviro_illumination", "ticam")
# The first one chooses the best epoch.
TARGETS = {**dict.fromkeys(VEHICLES, ("ticam", "sviro", "sviro_illumination")), "mnist": ("digit_photos",)}
IMAGE_SIZES = {"mpi3d": 64}


def is_published(raw: Tables) -> bool:
    """Return whether a config file, as parsed, is one of the published code.

    It has a word that no config made here has or, where it has none (a TAE), a GPU in quotes and no [evaluation].
    """
    model, training = _section(raw, "model"), _section(raw, "training")
    variation = model.get("variation")
    if variation == "" or _kind(model) in VARIATIONAL or _classifies(model):
        return True
    return _word(variation) == "tae" and isinstance(training.get("gpu"), str) and "evaluation" not in raw


def translate(raw: Tables, source: str) -> Tables:
    """Return a published config as one of this project; keys that it has in this project's words stay as they are.

    source: the file, for messages. Raises UserError for what cannot be said here; unknown keys and wrong values are
    left to the check of any config.
    """
    dataset, model, training = (_section(raw, name) for name in ("dataset", "model", "training"))
    found = dict(raw)
    if model:
        found["model"] = _model(model, source)
    if dataset:
        name = _word(dataset.get("name"))
        found["dataset"] = ({"image_size": IMAGE_SIZES[name]} if name in IMAGE_SIZES else {}) | dataset
        targets = [{"name": target} for target in TARGETS.get(name, ())]
        if isinstance(raw.get("evaluation", {}), dict):
            judged = {} if _classifies(model) else {"classifiers": ["knn"]}
            found["evaluation"] = judged | {"datasets": targets} | raw.get("evaluation", {})
    if isinstance(training.get("gpu"), str) and re.fullmatch(r"[0-9]{1,4}", training["gpu"]):
        found["training"] = training | {"gpu": int(training["gpu"])}
    return found


def _model(model: Tables, source: str) -> Tables:
    kind, variation = _kind(model), model.get("variation", "")
    if kind in VARIATIONAL:
        if _word(variation) not in ("", kind):
            raise UserError(f"{source}: model.variation: found {variation!r}; allowed with type '{kind}': ''")
        return model | {"type": "conv", "variation": kind}
    if _classifies(model):
        model = _classifier(model, source)
    elif variation == "" and "variation" in model:
        model = model | {"variation": "ae"}
    # BatchNorm layers of frozen parts were left in training mode.
    return model if kind == "conv" else {"batchnorm": "reference"} | model


def _classifier(model: Tables, source: str) -> Tables:
    for key in CLASSIFIER_KEYS:
        if key not in model:
            near = difflib.get_close_matches(key, model, n=1, cutoff=0.7)
            raise (choice_error(f"{source}: key", f"model.{near[0]}", [f"model.{name}" for name in CLASSIFIER_KEYS])
                   if near else UserError(f"{source}: key model.{key} is missing"))
    name, pretrained, frozen = (model[key] for key in CLASSIFIER_KEYS)
    if pretrained not in (True, False):
        raise UserError(f"{source}: model.use_pretrained: found {pretrained!r}; allowed: true, false")
    if pretrained and name not in list(FROZEN_TENSORS):
        raise choice_error(f"{source}: model.architecture", name, FROZEN_TENSORS)
    allowed = FROZEN_TENSORS[name] if pretrained else 0
    if isinstance(frozen, bool) or frozen != allowed:
        what = f"a pre-trained {name} (all below layer {CUT})" if pretrained else "use_pretrained = false"
        raise UserError(f"{source}: model.freeze_n_first_layers: found {frozen!r}; allowed: {allowed} with {what}")
    rest = {key: value for key, value in model.items() if key not in CLASSIFIER_KEYS}
    if _kind(model) == CLASSIFICATION:
        rest["type"] = "classifier"
    rest["variation"] = model.get("variation") or ("pretrained" if pretrained else "scratch")
    return {"extractor": name, "layer": CUT} | rest


def _classifies(model: Tables) -> bool:
    return _kind(model) == CLASSIFICATION or not model.keys().isdisjoint(CLASSIFIER_KEYS)


def _section(raw: Tables, name: str) -> Tables:
    section = raw.get(name)
    return section if isinstance(section, dict) else {}


def _kind(model: Tables) -> str:
    return _word(model.get("type"))


def _word(value: Any) -> str:
    """Return a text in lower case, nothing for what is no text."""
    return value.lower() if isinstance(value, str) else ""
