"""Evaluate networks for shape and pose: Chamfer distance, errors of poses, masks; beside an untrained network and what
says the same of every image. Keeps the errors of all images, and draws figures."""

import torch

from errors import run_script
from evaluation.command import Evaluation, create_parser, eval_command
from experiment.run import Run
from experiment.systems import SHAPE_POSE
from shape_pose.data import open_evaluation_shapes, open_training
from shape_pose.judge import Judged, ShapePoseJudge, constant, of_network
from shape_pose.step import create_network
from utils import seed_everything


def main() -> None:
    parser = create_parser(__doc__)
    parser.add_argument("--floors", action="store_true",
                        help="judge the network before training, and a constant cloud and pose, too")
    arguments = parser.parse_args()
    eval_command(arguments, SHAPE_POSE, lambda run, device: build(run, device, arguments.floors))


def build(run: Run, device: torch.device, floors: bool) -> Evaluation:
    """Build data and model from a run's config; the model waits for its weights."""
    config = run.config
    section, tests = config.dataset, open_evaluation_shapes(config, device)
    validation = open_training(section, config.model, device, "val") if any(each.posed for each in tests) else None
    # As training begins.
    seed_everything("model", config.training.seed)
    model, untrained = (create_network(config.model, section.image_size).to(device).eval() for _ in range(2))
    untrained.load_state_dict(model.state_dict())
    predictors = [of_network(model)]
    if floors:
        shapes = open_training(section, config.model, device)
        predictors += [of_network(untrained, "untrained"), constant(shapes, config.model.points)]

    def outcomes() -> list[Judged]:
        return [found for predictor in predictors for found in ShapePoseJudge(
            predictor, tests, validation, config.model, config.evaluation.alignment_models).outcomes()]

    return Evaluation(model, outcomes)


if __name__ == "__main__":
    run_script(main)
