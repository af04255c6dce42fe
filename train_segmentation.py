"""Train a segmentation network (DeepLabV3+): one config, one run."""

from pathlib import Path

from errors import run_script
from experiment.systems import SEGMENTATION
from segmentation.config import SegmentationConfig
from segmentation.data import Crops, Frames, open_evaluation_frames
from segmentation.deeplab import create_deeplab
from segmentation.judge import SegmentationJudge, draw_frames
from segmentation.step import SegmentationStep
from training.command import Job, train_command
from training.fabric import Fabric


def build(config: SegmentationConfig, fabric: Fabric, dry: bool = False) -> Job:
    """Build data, model, step and evaluation from a config."""
    training, section = config.training, config.dataset
    frames = Frames(section, section.classes, section.cache, fabric.device)
    tests = open_evaluation_frames(config, fabric.device)
    crops = Crops(frames, training)
    model = create_deeplab(config.model, len(frames.classes)).to(fabric.device)
    judge = SegmentationJudge(model, tests)

    def draw(folder: Path) -> None:
        for each in (frames, *tests):
            draw_frames(each, folder)
        for found in judge.outcomes():
            found.draw(folder, "last", "last weights")

    return Job(SegmentationStep(model, training, fabric, len(crops)), crops, judge.rehearse, judge.rows,
               crops.identity, crops.about, draw)


if __name__ == "__main__":
    run_script(lambda: train_command(__doc__, SEGMENTATION, build))
