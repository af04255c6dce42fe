"""Evaluate trained classifiers: score the network's own predictions on the target datasets."""

import torch

from dataset import Scenes, open_targets
from experiment.command import run_script
from experiment.schema import Config
from latent.command import Evaluation, create_parser, eval_command
from latent.network import NetworkEvaluation
from pairing import Pairing
from pretrained_model import build_classifier


def main() -> None:
    eval_command(create_parser(__doc__).parse_args(), "train_classifier.py", ("classifier",), build)


def build(config: Config, device: torch.device) -> Evaluation:
    """Build data and model from a run's config; the model waits for its weights."""
    train = Scenes(config.dataset, config.dataset.image_size, config.dataset.cache, device)
    targets = open_targets(config, train)
    # Which output stands for which class follows from the training data, as it did in training.
    classes = Pairing(train.first, train.count, train.labels, train.mirrors, train.empty).classes
    model = build_classifier(config.model.model_copy(update={"weights": "none"}), len(classes)).to(device)
    evaluation = NetworkEvaluation(classes, targets)
    return Evaluation(model, lambda: evaluation.accuracies(model))


if __name__ == "__main__":
    run_script(main)
