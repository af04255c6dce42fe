"""The models of this room by `model.type`: networks, step, and how images are translated with them."""

from functools import partial
from typing import TYPE_CHECKING

import torch
from torch import nn

from errors import UserError
from evaluation.recogniser import Recogniser, open_recogniser
from training.optimising import SingleOptimizerStep
from translation.config import TranslationConfig
from translation.cyclegan import CycleGan
from translation.cyclegan_step import CycleGanStep
from translation.data import LABELS, Domain, Pairs, Truth, open_evaluation
from translation.hybrids import Hybrids, hybrid_sheet
from translation.judge import Translate, TranslationJudge
from translation.swapping import SwappingAutoencoder
from translation.swapping_config import SwappingConfig
from translation.swapping_step import SwappingStep

if TYPE_CHECKING:
    from training.fabric import Fabric


def create_model(config: TranslationConfig, source: Domain, target: Domain) -> nn.Module:
    """Return the networks of a config; UserError where they do not go with the data."""
    section = config.model
    if section.type == "swapping":
        return _swapping(config, source)
    lacking = [domain.title for domain in (source, target) if not domain.has_masks]
    if section.alpha != "none" and lacking:
        raise UserError(f"model.alpha: found '{section.alpha}', but {lacking[0]} has no masks; allowed: none, or "
                        "datasets with an alpha map")
    return CycleGan(source.channels, section)


def _swapping(config: SwappingConfig, source: Domain) -> SwappingAutoencoder:
    training = config.training
    if source.channels != 3:
        raise UserError(f"model.type: found 'swapping', but {source.title} is grey; allowed: images in colour")
    if training.lambda_in and LABELS not in source.maps:
        raise UserError(f"training.lambda_in: found {training.lambda_in:g}, but {source.title} has no label maps; "
                        "allowed: 0, or a dataset with a class per pixel")
    classes = len(source.classes) if training.lambda_in else 0
    return SwappingAutoencoder(config.model, config.size, classes, training.average > 0)


def open_truths(config: TranslationConfig, source: Domain, target: Domain,
                recogniser: Recogniser | None) -> tuple[Truth | None, Truth | None]:
    """Return the labels of rendered and of real images that a training needs."""
    truth = Truth(source, recogniser, "training.semantic") if recogniser else None
    if not getattr(config.training, "lambda_in", 0):
        return truth, None
    real = config.training.real_labels and LABELS in target.maps
    if real and source.classes != target.classes:
        raise UserError(f"target.class_map: {target.title} has the classes {', '.join(target.classes)}, {source.title} "
                        f"{', '.join(source.classes)}; allowed: the same in the same order, or training.real_labels = "
                        "false")
    return Truth(source), Truth(target) if real else None


def create_step(model: nn.Module, config: TranslationConfig, recogniser: Recogniser | None, batches: Pairs,
                fabric: "Fabric") -> SingleOptimizerStep:
    """Return the step that trains them."""
    if config.model.type == "swapping":
        return SwappingStep(model, config.training, config.model.patch_size, recogniser, fabric, len(batches))
    if config.training.devices > 1:
        raise UserError(f"training.devices: found {config.training.devices}; allowed for a CycleGAN, whose pools of "
                        "images are one process's: 1")
    return CycleGanStep(model, config.training, config.model.alpha, recogniser, batches.shape, fabric)


def translations(model: nn.Module, target: Domain, textures: int = 1) -> tuple[list[Translate], Translate | None]:
    """Return how images are translated, and back, None where there is no way back.

    target: real images; textures: of how many of them each image takes the texture, where a model has such.
    """
    if isinstance(model, SwappingAutoencoder):
        return [Hybrids(model, target, turn=turn) for turn in range(textures)], None
    return ([lambda images, mask, index: model.translate(images, mask)],
            lambda images, mask, index: model.translate_back(images, mask))


def open_judge(config: TranslationConfig, model: nn.Module, device: torch.device) -> TranslationJudge:
    """Open what a translation is judged by: evaluation datasets, real images, and `evaluation.judge`, if there is one.
    """
    section = config.evaluation
    recognisers = {name: (open_recogniser(folder, f"evaluation.{name}judge", device), f"evaluation.{name}judge")
                   for name, folder in (("", section.judge), ("second_", section.second_judge)) if folder}
    datasets, target = open_evaluation(config, device)
    ways, sheet = translations(model, target, getattr(section, "textures", 1)), None
    if isinstance(model, SwappingAutoencoder):
        sheet = partial(hybrid_sheet, model, target)
    return TranslationJudge(*ways, datasets, target, recognisers, section.samples, sheet)
