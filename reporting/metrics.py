"""What metrics and classifiers of records are called, in which unit values are shown, which direction is better."""

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

# In the order of preference where only one is shown.
CLASSIFIERS = {"network": "network", "knn": "kNN", "knn_cosine": "kNN (cosine)", "logistic": "logistic regression",
               "svm": "linear SVM", "forest": "random forest"}


@dataclass(frozen=True)
class Metric:
    """How a metric is shown. scale: from a record's value to the unit (empty: none), with so many decimals."""

    title: str
    unit: str = ""
    scale: float = 1
    decimals: int = 3
    higher_is_better: bool = True

    @property
    def label(self) -> str:
        return f"{self.title.rstrip(',')} ({self.unit})" if self.unit else self.title

    @property
    def arrow(self) -> str:
        return f"{self.title} {'↑' if self.higher_is_better else '↓'}"

    @property
    def best(self) -> str:
        return "max" if self.higher_is_better else "min"

    def text(self, mean: float, std: float = math.nan, sign: str = "") -> str:
        """Return a value in the unit as text, with its spread where that is known; `sign`: `+` to show it always."""
        spread = "" if math.isnan(std) else f" ± {std:.{self.decimals}f}"
        return f"{mean:{sign}.{self.decimals}f}{spread}"


# A name that ends in a slash stands for all that begin with it. In the order of preference, too.
METRICS = {
    "accuracy": Metric("accuracy", "%", 100, 1),
    "loss/": Metric("loss", higher_is_better=False),
    "gap/domain_classifier": Metric("domain classifier", "%", 100, 1, higher_is_better=False),
    "gap/knn_overlap": Metric("kNN overlap", decimals=2),
    "ssim/": Metric("SSIM"),
    "lpips/": Metric("LPIPS", higher_is_better=False),
    "l1/": Metric("L1", higher_is_better=False),
    "miou": Metric("mIoU", "%", 100, 1),
    "miou_published": Metric("mIoU as published", "%", 100, 1),
    "overall_accuracy": Metric("overall accuracy", "%", 100, 1),
    "mean_accuracy": Metric("mean accuracy", "%", 100, 1),
    "iou/": Metric("IoU", "%", 100, 1),
    "agreement/": Metric("label agreement,", "%", 100, 1),
    "agreement_mean/": Metric("mean label agreement,", "%", 100, 1),
    "agreement_miou/": Metric("label mIoU,", "%", 100, 1),
    "second_agreement/": Metric("label agreement by the second judge,", "%", 100, 1),
    "second_agreement_mean/": Metric("mean label agreement by the second judge,", "%", 100, 1),
    "second_agreement_miou/": Metric("label mIoU by the second judge,", "%", 100, 1),
    "fid": Metric("FID", decimals=1, higher_is_better=False),
    # In tables of the field, a thousand times the value.
    "kid": Metric("1000 × KID", scale=1000, decimals=2, higher_is_better=False),
    "kernel/": Metric("1000 × kernel distance", scale=1000, decimals=2, higher_is_better=False),
    "frechet/": Metric("Fréchet distance", decimals=1, higher_is_better=False),
    "outline/": Metric("outline disagreement,", "%", 100, 1, higher_is_better=False),
    "outline_visible/": Metric("visible outline disagreement,", "%", 100, 1, higher_is_better=False),
    # Distances as published, a hundred times the value, by the diagonal of a model's box.
    "chamfer": Metric("100 × Chamfer distance", scale=100, decimals=2, higher_is_better=False),
    "precision": Metric("100 × precision (prediction → truth)", scale=100, decimals=2, higher_is_better=False),
    "coverage": Metric("100 × coverage (truth → prediction)", scale=100, decimals=2, higher_is_better=False),
    "pose_accuracy": Metric("pose accuracy at 30°", "%", 100, 1),
    "pose_median": Metric("median pose error", "°", decimals=2, higher_is_better=False),
    "pose_accuracy_half_turn": Metric("pose accuracy at 30° up to half turns", "%", 100, 1),
    "pose_median_half_turn": Metric("median pose error up to half turns", "°", decimals=2, higher_is_better=False),
    "half_turns": Metric("poses off by half a turn", "%", 100, 1, higher_is_better=False),
    "mask_xor": Metric("mask XOR", decimals=3, higher_is_better=False),
    "mask_iou": Metric("mask IoU", "%", 100, 1),
}
# Not what a judge says of weights: these have tables and figures of their own.
APART = ("loss/", "gap/", "ssim/", "lpips/", "l1/")

# No means over samples, so that values of several test sets make no value of all: parts of sums, distances, medians.
NO_MEANS = ("miou", "overall_accuracy", "mean_accuracy", "iou/", "agreement", "second_agreement", "fid", "kid",
            "frechet/", "kernel/", "pose_median", "gap/")

# One for each class: kept for the last and best weights too, and shown where it is asked for.
DETAILS = ("iou/",)
# Floors and ceilings, which do not change while a model trains: what names of metrics end with -> what they are called,
# and classifiers that have seen nothing.
FLOORS = {"/untranslated": "untranslated"}
CEILINGS = {"/real": "real", "/floor": "real halves"}
REFERENCES = (*FLOORS, *CEILINGS)
IGNORANT = ("untrained", "constant", "commonest")
MEANINGS = {"untranslated": "the rendered images as they are", "real": "real images",
            "real halves": "the distance between two halves of the real images",
            "untrained": "the network before training", "constant": "the same shape and pose for every image",
            "commonest": "always the class that most test images have"}


@dataclass(frozen=True)
class Reference:
    """A floor or a ceiling of a metric, and what it is called."""

    metric: str
    name: str
    is_floor: bool


def metric_of(name: str) -> Metric:
    """Return the metric of a record's name, `iou/person` or `fid`, say; one that is not known is shown as it is."""
    family, _, part = name.partition("/")
    known = METRICS.get(name) or METRICS.get(family + "/") or Metric(name)
    return replace(known, title=f"{known.title} {part}") if part and family + "/" in METRICS else known


def reference_of(metric: str, classifier: str) -> Reference | None:
    """Return what a record is a floor or a ceiling of, None where it is neither."""
    if classifier in IGNORANT:
        return Reference(metric, classifier, True)
    family, _, part = metric.partition("/")
    name = (FLOORS | CEILINGS).get(f"/{part}")
    return Reference(f"{family}/translated", name, f"/{part}" in FLOORS) if name else None


def is_judged(name: str) -> bool:
    """Say whether a metric is what a judge says of weights, and so stands in the table of results."""
    return not name.startswith(APART)


def is_mean(name: str) -> bool:
    """Say whether a metric of several test sets is the mean of theirs, weighted by their samples."""
    return not name.startswith(NO_MEANS)


def is_headline(name: str) -> bool:
    """Say whether a metric stands in tables and logs without being asked for."""
    return is_judged(name) and not name.startswith(DETAILS)


def is_news(name: str) -> bool:
    """Say whether a metric stands in the log of every evaluation."""
    return is_headline(name) and not name.endswith(REFERENCES)


def families(names: Iterable[str]) -> list[str]:
    """Return what metrics are called before a slash, accuracy first, losses last."""
    return sorted({name.partition("/")[0] for name in names},
                  key=lambda family: (family == "loss", family != "accuracy", family))


def units(names: Iterable[str]) -> str:
    """Say in which units metrics are: `accuracy in %, FID`."""
    shown = [METRICS.get(name) or metric_of(name.partition("/")[0]) for name in names]
    return ", ".join(dict.fromkeys(f"{metric.title.rstrip(',')} in {metric.unit}" if metric.unit else metric.title
                                   for metric in shown))


def title_of(dataset: str, factor: str, split: str) -> str:
    """Return what tables and figures call a test set."""
    return f"{dataset} ({factor}), {split}" if factor else f"{dataset}, {split}"


def subject(row: dict[str, Any]) -> str:
    """Return what a record is of, beside its dataset: the classifier, where it is an accuracy, else the metric."""
    title = "" if row["metric"] == "accuracy" and row["classifier"] else metric_of(row["metric"]).title
    return " ".join(part for part in (row["classifier"], title) if part)


def shown(row: dict[str, Any]) -> str:
    """Return the value of a record with its unit: `44.1 %`, `31.2`."""
    metric = metric_of(row["metric"])
    return f"{metric.text(metric.scale * row['value'])} {metric.unit}".rstrip()
