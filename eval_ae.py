"""Evaluate trained autoencoders: fit classifiers on the training latents, score them on the evaluation datasets."""

import torch

from autoencoder.config import CLASSIFIERS
from autoencoder.judge import TrainedAutoencoder
from errors import run_script
from evaluation.command import Evaluation, create_parser, eval_command
from experiment.run import Run
from experiment.systems import AUTOENCODER


def main() -> None:
    parser = create_parser(__doc__)
    parser.add_argument("--classifiers", nargs="+", choices=CLASSIFIERS,
                        help="default: evaluation.classifiers of the run's config")
    arguments = parser.parse_args()
    eval_command(arguments, AUTOENCODER, lambda run, device: build(run, device, arguments.classifiers))


def build(run: Run, device: torch.device, classifiers: list[str] | None) -> Evaluation:
    """Build data and model from a run's config; the model waits for its weights."""
    trained, names = TrainedAutoencoder(run, device), classifiers or run.config.evaluation.classifiers
    return Evaluation(trained.model, lambda: trained.evaluation().outcomes(trained.model, names))


if __name__ == "__main__":
    run_script(main)
