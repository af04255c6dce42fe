"""The systems: which config, scripts and values of `model.type` go together. A new system is a line here."""

from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING

from errors import UserError

if TYPE_CHECKING:
    from experiment.config import Config


@dataclass(frozen=True)
class System:
    """One system: `train` makes a run of a config, `evaluate` makes records of runs.

    schema: where its config class is, `module:class`, which is imported when it is asked for.
    """

    types: tuple[str, ...]
    schema: str
    train: str
    evaluate: str

    @property
    def config(self) -> "type[Config]":
        """Return the class of its configs."""
        module, name = self.schema.split(":")
        return getattr(import_module(module), name)

    def check(self, kind: str, source: str) -> None:
        """Raise UserError for a `model.type` of another system; source: what names it."""
        if kind not in self.types:
            raise UserError(f"{source}: model.type: found '{kind}', which {BY_TYPE[kind].train} trains; "
                            f"allowed: {', '.join(self.types)}")


AUTOENCODER = System(("conv", "extractor"), "autoencoder.config:AutoencoderConfig", "train_ae.py", "eval_ae.py")
CLASSIFIER = System(("classifier",), "classifier.config:ClassifierConfig", "train_classifier.py", "eval_classifier.py")
SEGMENTATION = System(("deeplab",), "segmentation.config:SegmentationConfig", "train_segmentation.py",
                      "eval_segmentation.py")
BY_TYPE = {kind: system for system in (AUTOENCODER, CLASSIFIER, SEGMENTATION) for kind in system.types}
