"""Train a translation of rendered images into real-looking ones: one config, one run."""

from pathlib import Path

from errors import run_script
from evaluation.recogniser import open_recogniser
from experiment.systems import TRANSLATION
from training.command import Job, train_command
from training.fabric import Fabric
from translation.config import TranslationConfig
from translation.data import Pairs, open_domains
from translation.models import create_model, create_step, open_judge, open_truths


def build(config: TranslationConfig, fabric: Fabric, dry: bool = False) -> Job:
    """Build data, networks, step and evaluation from a config."""
    training = config.training
    source, target = open_domains(config, fabric.device)
    recogniser = open_recogniser(training.semantic, "training.semantic", fabric.device) if training.semantic else None
    batches = Pairs(source, target, training, *open_truths(config, source, target, recogniser))
    model = create_model(config, source, target).to(fabric.device)
    judge = open_judge(config, model, fabric.device)

    def draw(folder: Path) -> None:
        for found in judge.outcomes():
            found.draw(folder / f"translation_{found.domain.file_name}_last.png", "last weights")

    return Job(create_step(model, config, recogniser, batches, fabric), batches, judge.rehearse, judge.rows,
               batches.identity, batches.about, draw)


if __name__ == "__main__":
    run_script(lambda: train_command(__doc__, TRANSLATION, build))
