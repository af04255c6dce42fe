"""The systems: which scripts train and evaluate which values of `model.type`. A new system is a line here."""

from dataclasses import dataclass


@dataclass(frozen=True)
class System:
    """Scripts for some values of `model.type`: `train` makes a run of a config, `evaluate` makes records of runs."""

    types: tuple[str, ...]
    train: str
    evaluate: str


AUTOENCODER = System(("conv", "extractor"), "train_ae.py", "eval_ae.py")
CLASSIFIER = System(("classifier",), "train_classifier.py", "eval_classifier.py")
BY_TYPE = {kind: system for system in (AUTOENCODER, CLASSIFIER) for kind in system.types}
