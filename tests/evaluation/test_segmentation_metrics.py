import math

import pytest
import torch
from torchmetrics.functional.classification import multiclass_accuracy, multiclass_confusion_matrix
from torchmetrics.functional.segmentation import mean_iou

from evaluation.segmentation_metrics import confusion, iou, mean_accuracy, miou, miou_published, overall_accuracy

METRICS = {"overall_accuracy": overall_accuracy, "mean_accuracy": mean_accuracy, "miou": miou,
           "miou_published": miou_published}


def naive(predicted, true, classes):
    """All metrics, pixel by pixel."""
    pairs = [(p, t) for p, t in zip(predicted.flatten().tolist(), true.flatten().tolist(), strict=True) if t < classes]
    ious, accuracies, present = [], [], []
    for c in range(classes):
        both = sum(p == t == c for p, t in pairs)
        either = sum(c in (p, t) for p, t in pairs)
        there = sum(t == c for _, t in pairs)
        ious.append(both / either if either else math.nan)
        accuracies += [both / there] if there else []
        present += [both / either] if there else []
    known = [iou for iou in ious if not math.isnan(iou)]
    return ious, {
        "overall_accuracy": sum(p == t for p, t in pairs) / len(pairs),
        "mean_accuracy": sum(accuracies) / len(accuracies), "miou": sum(present) / len(present),
        "miou_published": sum(known) / len(known)}


@pytest.fixture
def maps(generator):
    """Random label maps with ignored pixels; class 4 is predicted but not there, class 5 neither."""
    predicted = torch.randint(0, 5, (3, 12, 17), generator=generator)
    true = torch.randint(0, 4, (3, 12, 17), generator=generator)
    true[torch.rand(true.shape, generator=generator) < 0.2] = 255
    return predicted, true


def test_metrics_are_those_of_a_loop_over_pixels(maps):
    matrix = confusion(*maps, 6)
    ious, expected = naive(*maps, 6)
    assert iou(matrix).tolist() == pytest.approx(ious, nan_ok=True)
    assert {name: metric(matrix) for name, metric in METRICS.items()} == pytest.approx(expected)
    assert expected["miou"] > expected["miou_published"]


def test_metrics_are_those_of_torchmetrics(maps):
    predicted, true = maps
    kept = true != 255
    matrix = confusion(predicted, true, 5)
    assert torch.equal(matrix, multiclass_confusion_matrix(predicted, true, 5, ignore_index=255))
    assert overall_accuracy(matrix) == pytest.approx(
        multiclass_accuracy(predicted, true, 5, average="micro", ignore_index=255).item())
    per_class = mean_iou(predicted[kept][None, None], true[kept][None, None], 5, per_class=True, input_format="index")
    assert iou(matrix).tolist() == pytest.approx(per_class[0].tolist())
    assert miou_published(matrix) == pytest.approx(per_class[0].mean().item())
    assert miou(matrix) == pytest.approx(per_class[0, :4].mean().item())
    assert mean_accuracy(confusion(predicted.clamp(max=3), true, 4)) == pytest.approx(multiclass_accuracy(
        predicted.clamp(max=3), true, 4, average="macro", ignore_index=255).item())


def test_perfect_and_useless_predictions(generator):
    true = torch.randint(0, 4, (2, 8, 8), generator=generator)
    for predicted, value in ((true, 1.0), ((true + 1) % 4, 0.0)):
        matrix = confusion(predicted, true, 4)
        assert {metric(matrix) for metric in METRICS.values()} == {value}
        assert iou(matrix).tolist() == [value] * 4


def test_ignored_pixels_alone_give_no_number():
    ignored = torch.full((1, 4, 4), 255, dtype=torch.uint8)
    matrix = confusion(torch.zeros(1, 4, 4), ignored, 3)
    assert matrix.sum() == 0
    assert all(math.isnan(metric(matrix)) for metric in METRICS.values())
    assert iou(matrix).isnan().all()


def test_counts_add_up_over_batches_and_types(maps):
    predicted, true = maps
    whole = confusion(predicted, true, 5)
    parts = sum(confusion(predicted[i].to(torch.uint8), true[i].to(torch.uint8), 5) for i in range(3))
    assert whole.dtype == torch.int64
    assert torch.equal(whole, parts)
    assert whole.sum() == (true != 255).sum()


def test_large_counts_stay_exact():
    matrix = torch.tensor([[2**40 + 1, 0], [0, 2**40]])
    assert overall_accuracy(matrix) == miou(matrix) == 1


@pytest.mark.parametrize("prediction", [2, 3, -1])
def test_a_prediction_that_is_no_class_is_never_left_out_or_taken_for_another(prediction):
    with pytest.raises(ValueError, match="none of the classes 0 to 1"):
        confusion(torch.tensor([0, prediction]), torch.tensor([0, 1]), 2)
