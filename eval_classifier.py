"""Evaluate trained classifiers: score the network's own predictions on the target datasets."""

import torch

from classifier.judge import NetworkEvaluation, rebuild_classifier
from dataset import Scenes, open_targets
from errors import run_script
from evaluation.command import Evaluation, create_parser, eval_command
from experiment.config import Config
from experiment.run import Run


def main() -> None:
    eval_command(create_parser(__doc__).parse_args(), "train_classifier.py", ("classifier",), build)


def build(_: Run, config: Config, device: torch.device) -> Evaluation:
    """Build data and model from a run's config; the model waits for its weights."""
    train = Scenes(config.dataset, config.dataset.image_size, config.dataset.cache, device)
    targets = open_targets(config, train)
    model, classes = rebuild_classifier(config, train)
    evaluation = NetworkEvaluation(classes, targets)
    return Evaluation(model, lambda: evaluation.outcomes(model))


if __name__ == "__main__":
    run_script(main)
