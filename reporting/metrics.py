"""What the metrics of records are called, in which unit they are shown, and which direction is better."""

import math
from dataclasses import dataclass


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
        return f"{self.title} ({self.unit})" if self.unit else self.title

    @property
    def arrow(self) -> str:
        return f"{self.title} {'↑' if self.higher_is_better else '↓'}"

    def text(self, mean: float, std: float = math.nan, sign: str = "") -> str:
        """Return a value in the unit as text, with its spread where that is known; `sign`: `+` to show it always."""
        spread = "" if math.isnan(std) else f" ± {std:.{self.decimals}f}"
        return f"{mean:{sign}.{self.decimals}f}{spread}"


# A name that ends in a slash stands for all that begin with it.
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
    "fid": Metric("FID", decimals=2, higher_is_better=False),
    # In tables of the field, a thousand times the value.
    "kid": Metric("KID × 1000", scale=1000, decimals=2, higher_is_better=False),
    "frechet/": Metric("Fréchet distance", decimals=2, higher_is_better=False),
    "kernel/": Metric("kernel distance × 1000", scale=1000, decimals=2, higher_is_better=False),
}


def metric_of(name: str) -> Metric:
    """Return the metric of a record's name, such as `ssim/real`; one that is not known is shown as it is."""
    return METRICS.get(name) or METRICS.get(name.partition("/")[0] + "/") or Metric(name)
