"""Evaluate trained autoencoders: fit classifiers on the training latents, score them on the target datasets."""

import torch

from dataset import Scenes, open_targets
from errors import run_script
from experiment.run import Run
from experiment.schema import Config
from latent.command import Evaluation, create_parser, eval_command
from latent.evaluate import LatentEvaluation
from latent.trained import has_own_statistics, rebuild_autoencoder
from training.features import create_inputs


def main() -> None:
    parser = create_parser(__doc__)
    parser.add_argument("--classifiers", nargs="+", choices=("knn", "forest", "svm"),
                        help="default: evaluation.classifiers of the run's config")
    arguments = parser.parse_args()
    eval_command(arguments, "train_ae.py", ("conv", "extractor"),
                 lambda run, config, device: build(run, config, device, arguments.classifiers))


def build(run: Run, config: Config, device: torch.device, classifiers: list[str] | None) -> Evaluation:
    """Build data and model from a run's config; the model waits for its weights."""
    cache = config.dataset.cache
    train = Scenes(config.dataset, config.dataset.image_size, cache, device)
    scenes = [train, *open_targets(config, train)]
    model = rebuild_autoencoder(config, train)

    def outcomes():
        feeds = [(each, create_inputs(model, each, cache, once=has_own_statistics(run, model))) for each in scenes]
        evaluation = LatentEvaluation(feeds[0], feeds[1:], config.model.knn, config.training.seed)
        return evaluation.outcomes(model, classifiers or config.evaluation.classifiers)

    return Evaluation(model, outcomes)


if __name__ == "__main__":
    run_script(main)
