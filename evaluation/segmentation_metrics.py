"""Metrics of label maps, all from one confusion matrix over all pixels of a dataset."""

import torch
from torch import Tensor


def confusion(predicted: Tensor, true: Tensor, classes: int) -> Tensor:
    """Count pixels by class: int64 (classes, classes), rows the truth, columns the prediction, on the input's device.

    predicted, true: whole numbers of the same shape. Pixels whose truth is no class, such as 255, are left out;
    predictions have to be classes, else ValueError. Matrices of several batches add up.
    """
    predicted, true = predicted.flatten().long(), true.flatten().long()
    # Counted anywhere else, or nowhere, they would raise what is measured. `bincount` waits for the device, too.
    if ((predicted < 0) | (predicted >= classes)).any():
        raise ValueError(f"a prediction is none of the classes 0 to {classes - 1}")
    # Counted in one bin more, which is dropped; a mask would copy what is left.
    pairs = torch.where((true >= 0) & (true < classes), true * classes + predicted, classes**2)
    return torch.bincount(pairs, minlength=classes**2 + 1)[:-1].view(classes, classes)


def overall_accuracy(matrix: Tensor) -> float:
    """Return the share of pixels that are right, in [0, 1]; NaN without pixels."""
    return (matrix.diagonal().sum().double() / matrix.sum()).item()


def mean_accuracy(matrix: Tensor) -> float:
    """Return the mean, over classes present in the truth, of the share of their pixels that are right; NaN if none."""
    return (matrix.diagonal().double() / matrix.sum(1)).nanmean().item()


def iou(matrix: Tensor) -> Tensor:
    """Return intersection over union per class, float64 (classes,); NaN where neither truth nor prediction has it."""
    right = matrix.diagonal()
    return right.double() / (matrix.sum(0) + matrix.sum(1) - right)


def miou(matrix: Tensor) -> float:
    """Return the mean IoU over the classes that are present in the truth; NaN if there are none."""
    return iou(matrix)[matrix.sum(1) > 0].mean().item()


def miou_published(matrix: Tensor) -> float:
    """Return the mean IoU as published: a class that is not in the truth but is predicted somewhere counts as 0."""
    return iou(matrix).nanmean().item()
