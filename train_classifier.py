"""Train a classifier: one config, one run. A finished run can serve as extractor (`model.weights`)."""

from pathlib import Path

from classifier.config import ClassifierConfig
from classifier.judge import NetworkEvaluation
from classifier.step import ClassifierStep
from dataset import Batches, Scenes, open_evaluation_datasets
from errors import run_script
from evaluation.sheets import draw_data
from experiment.systems import CLASSIFIER
from frozen.inputs import LiveInputs
from pretrained_model import build_classifier
from training.command import Job, train_command
from training.fabric import Fabric


def build(config: ClassifierConfig, fabric: Fabric, dry: bool = False) -> Job:
    """Build data, model, step and evaluation from a config; dry: for a dry run."""
    section, training = config.model, config.training
    scenes = Scenes(config.dataset, config.dataset.image_size, config.dataset.cache, fabric.device)
    tests = open_evaluation_datasets(config, scenes)
    inputs = LiveInputs(None, scenes, training.augment)
    batches = Batches(scenes, inputs, training.batch_size, training.seed, reconstruct=False,
                      every_variant=training.variants == "all")
    classes = batches.pairing.class_labels
    model = build_classifier(section, len(classes)).to(fabric.device)
    judge = NetworkEvaluation(model, classes, tests)

    def draw(folder: Path) -> None:
        for each in (scenes, *tests):
            draw_data(each, folder)

    return Job(ClassifierStep(model, training, fabric), batches, judge.rehearse, judge.rows, batches.identity,
               batches.about, draw)


if __name__ == "__main__":
    run_script(lambda: train_command(__doc__, CLASSIFIER, build))
