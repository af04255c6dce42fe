"""Evaluate trained translations: labels that are still found, distances to real images, outlines, with pictures."""

import torch

from errors import run_script
from evaluation.command import Evaluation, create_parser, eval_command
from experiment.run import Run
from experiment.systems import TRANSLATION
from translation.data import open_domains
from translation.models import create_model, open_judge


def main() -> None:
    eval_command(create_parser(__doc__).parse_args(), TRANSLATION, build)


def build(run: Run, device: torch.device) -> Evaluation:
    """Build data and networks from a run's config; the networks wait for their weights."""
    model = create_model(run.config, *open_domains(run.config, device)).to(device)
    return Evaluation(model, open_judge(run.config, model, device).outcomes)


if __name__ == "__main__":
    run_script(main)
