"""Train a network for shape and pose (differentiable point clouds): one config, one run."""

from pathlib import Path

from errors import run_script
from experiment.systems import SHAPE_POSE
from shape_pose.config import ShapePoseConfig
from shape_pose.data import ViewBatches, open_evaluation_shapes, open_training
from shape_pose.judge import ShapePoseJudge, of_network
from shape_pose.step import ShapePoseStep, create_network
from training.command import Job, train_command
from training.fabric import Fabric


def build(config: ShapePoseConfig, fabric: Fabric, dry: bool = False) -> Job:
    """Build data, model, step and evaluation from a config."""
    section, training, device = config.dataset, config.training, fabric.device
    shapes = open_training(section, config.model, device)
    tests = open_evaluation_shapes(config, device)
    validation = open_training(section, config.model, device, "val") if any(each.posed for each in tests) else None
    batches = ViewBatches(shapes, training, config.model.grid)
    model = create_network(config.model, section.image_size).to(device)
    judge = ShapePoseJudge(of_network(model), tests, validation, config.model, config.evaluation.alignment_models)

    def draw(folder: Path) -> None:
        for found in judge.outcomes():
            found.draw(folder, "last", "last weights")

    return Job(ShapePoseStep(model, training, config.model, fabric, len(batches)), batches, judge.rehearse, judge.rows,
               batches.identity, batches.about, draw)


if __name__ == "__main__":
    run_script(lambda: train_command(__doc__, SHAPE_POSE, build))
