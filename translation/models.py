"""The models of this room by `model.type`: networks, step, and how images are translated with them."""

import torch
from lightning_fabric import Fabric
from torch import nn

from errors import UserError
from evaluation.recogniser import Recogniser, open_recogniser
from training.optimising import SingleOptimizerStep
from translation.config import TranslationConfig
from translation.cyclegan import CycleGan
from translation.cyclegan_step import CycleGanStep
from translation.data import Domain, open_evaluation
from translation.judge import Translate, TranslationJudge


def create_model(config: TranslationConfig, source: Domain, target: Domain) -> nn.Module:
    """Return the networks of a config; UserError where they do not go with the data."""
    section = config.model
    lacking = [domain.title for domain in (source, target) if not domain.has_masks]
    if section.alpha != "none" and lacking:
        raise UserError(f"model.alpha: found '{section.alpha}', but {lacking[0]} has no masks; allowed: none, or "
                        "datasets with an alpha map")
    return CycleGan(source.channels, section)


def create_step(model: nn.Module, config: TranslationConfig, recogniser: Recogniser | None,
                shape: tuple[int, int, int], fabric: Fabric) -> SingleOptimizerStep:
    """Return the step that trains them; shape: of a batch's images (channels, height, width)."""
    if config.training.devices > 1:
        raise UserError(f"training.devices: found {config.training.devices}; allowed for a CycleGAN, whose pools of "
                        "images are one process's: 1")
    return CycleGanStep(model, config.training, config.model.alpha, recogniser, shape, fabric)


def translations(model: nn.Module) -> tuple[Translate, Translate | None]:
    """Return how images are translated, and back, None where there is no way back."""
    return (lambda images, mask, index: model.translate(images, mask),
            lambda images, mask, index: model.translate_back(images, mask))


def open_judge(config: TranslationConfig, model: nn.Module, device: torch.device) -> TranslationJudge:
    """Open what a translation is judged by: evaluation datasets, real images, and `evaluation.judge`, if there is one.
    """
    section = config.evaluation
    recogniser = open_recogniser(section.judge, "evaluation.judge", device) if section.judge else None
    return TranslationJudge(*translations(model), *open_evaluation(config, device), recogniser, section.samples)
