"""Evaluate trained segmentation networks: mIoU, accuracies and IoU per class on whole images, with figures."""

import torch

from errors import run_script
from evaluation.command import Evaluation, create_parser, eval_command
from experiment.run import Run
from experiment.systems import SEGMENTATION
from segmentation.data import open_evaluation_frames, trained_classes
from segmentation.deeplab import create_deeplab
from segmentation.judge import SegmentationJudge


def main() -> None:
    eval_command(create_parser(__doc__).parse_args(), SEGMENTATION, build)


def build(run: Run, device: torch.device) -> Evaluation:
    """Build data and model from a run's config; the model waits for its weights."""
    config = run.config
    datasets = open_evaluation_frames(config, device)
    section = config.model.model_copy(update={"weights": "none"})
    model = create_deeplab(section, len(trained_classes(config.dataset))).to(device)
    return Evaluation(model, SegmentationJudge(model, datasets).outcomes)


if __name__ == "__main__":
    run_script(main)
