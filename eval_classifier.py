"""Evaluate trained classifiers: score the network's own predictions on the evaluation datasets."""

import torch

from classifier.judge import NetworkEvaluation, rebuild_classifier
from dataset import Scenes, open_evaluation_datasets
from errors import run_script
from evaluation.command import Evaluation, create_parser, eval_command
from experiment.run import Run
from experiment.systems import CLASSIFIER


def main() -> None:
    eval_command(create_parser(__doc__).parse_args(), CLASSIFIER, build)


def build(run: Run, device: torch.device) -> Evaluation:
    """Build data and model from a run's config; the model waits for its weights."""
    config = run.config
    train = Scenes(config.dataset, config.dataset.image_size, config.dataset.cache, device)
    classes = train.class_labels
    model = rebuild_classifier(config, len(classes), device)
    return Evaluation(model, NetworkEvaluation(model, classes, open_evaluation_datasets(config, train)).outcomes)


if __name__ == "__main__":
    run_script(main)
