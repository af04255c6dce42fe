"""The systems: which config, scripts and values of `model.type` go together. A new system is a line here."""

from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any

from errors import UserError

if TYPE_CHECKING:
    from experiment.config import Config


@dataclass(frozen=True, eq=False)
class System:
    """One system: `train` makes a run of a config, `evaluate` makes records of runs.

    types: `model.type` -> where the config class of such models is, `module:class`, imported when it is asked for;
    recogniser: where the function is that rebuilds a run as what others are judged by, see `evaluation.recogniser`;
    predictor: where the class is that applies a run to new images, see `evaluation.predictor`.
    """

    types: dict[str, str]
    train: str
    evaluate: str
    recogniser: str = ""
    predictor: str = ""

    @property
    def title(self) -> str:
        """What people call it: its room's name."""
        return next(iter(self.types.values())).partition(".")[0].replace("_", " and ")

    def config(self, kind: str) -> "type[Config]":
        """Return the class of the configs of a `model.type`."""
        return imported(self.types[kind])

    def check(self, kind: str, source: str) -> None:
        """Raise UserError for a `model.type` of another system; source: what names it."""
        if kind not in self.types:
            raise UserError(f"{source}: model.type: found '{kind}', which {BY_TYPE[kind].train} trains; "
                            f"allowed: {', '.join(self.types)}")


def imported(name: str) -> Any:
    """Return what a `module:name` names."""
    module, _, name = name.partition(":")
    return getattr(import_module(module), name)


AUTOENCODER = System(dict.fromkeys(("conv", "extractor"), "autoencoder.config:AutoencoderConfig"), "train_ae.py",
                     "eval_ae.py", predictor="autoencoder.predictor:AutoencoderPredictor")
CLASSIFIER = System({"classifier": "classifier.config:ClassifierConfig"}, "train_classifier.py", "eval_classifier.py",
                    "classifier.judge:recogniser", "classifier.predictor:ClassifierPredictor")
SEGMENTATION = System({"deeplab": "segmentation.config:SegmentationConfig"}, "train_segmentation.py",
                      "eval_segmentation.py", "segmentation.judge:recogniser",
                      "segmentation.predictor:SegmentationPredictor")
TRANSLATION = System({"cyclegan": "translation.config:CycleGanConfig",
                      "swapping": "translation.swapping_config:SwappingConfig"}, "train_translation.py",
                     "eval_translation.py")
SHAPE_POSE = System({"point_cloud": "shape_pose.config:ShapePoseConfig"}, "train_shape_pose.py", "eval_shape_pose.py",
                    predictor="shape_pose.predictor:ShapePosePredictor")
BY_TYPE = {kind: system for system in (AUTOENCODER, CLASSIFIER, SEGMENTATION, TRANSLATION, SHAPE_POSE)
           for kind in system.types}
