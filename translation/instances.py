"""Objects in photos, found by Mask R-CNN (He et al., 2017) with ResNet-50-FPN, trained on COCO."""

import hashlib
from pathlib import Path
from urllib.error import URLError

import torch
from torch import Tensor
from torchvision.models.detection import MaskRCNN, MaskRCNN_ResNet50_FPN_Weights
from torchvision.models.detection.backbone_utils import resnet_fpn_backbone
from torchvision.ops import FrozenBatchNorm2d
from torchvision.transforms.functional import pil_to_tensor
from tqdm import tqdm

from errors import UserError, choice_error, shortened
from experiment.checkpoint import load_state_dict
from files import open_regular
from readers.images import open_colour
from translation.cutting import Photo
from translation.masks import Instance, read_instances, whole_box, write_instances

COCO = MaskRCNN_ResNet50_FPN_Weights.COCO_V1
CATEGORIES: list[str] = COCO.meta["categories"]
# The source's image sizes and overlap of boxes; its network is another one (matterport's, ResNet-101).
SIZES, OVERLAP = (800, 1024), 0.3
# Objects of less confidence are not even listed as rejected.
LEAST_CONFIDENCE = 0.05


def check_classes(names: list[str]) -> None:
    """Refuse a class that the network does not know."""
    known = [name for name in CATEGORIES if name not in ("__background__", "N/A")]
    for name in names:
        if name not in known:
            raise choice_error("--classes", name, known)


class Detector:
    """Mask R-CNN with trained weights. weights: a file of a state dict, or None for torchvision's download.

    name: of the weights. Raises UserError where they cannot be had or do not fit.
    """

    def __init__(self, weights: Path | None, device: torch.device):
        self.device, self.network = device, build()
        self.name = "torchvision COCO_V1" if weights is None else _digest(weights)
        state, source = (_download(), self.name) if weights is None else (load_state_dict(weights), str(weights))
        try:
            # Files of older versions have other names, which torchvision knows; what fits otherwise is told here.
            missing, unknown = self.network.load_state_dict(state, strict=False)
        except RuntimeError as error:
            raise UserError(f"{source}: does not fit Mask R-CNN: "
                            f"{shortened(str(error).splitlines()[-1].strip())}") from None
        for names, problem in ((missing, "is missing"), (unknown, "is not known")):
            if names:
                raise UserError(f"{source}: does not fit Mask R-CNN: {names[0]} {problem} (and {len(names) - 1} more)")
        if not all(bool(value.isfinite().all()) for value in self.network.state_dict().values()):
            raise UserError(f"{source}: holds values that are not finite")
        self.network.to(device)

    @torch.inference_mode()
    def __call__(self, image: Tensor) -> list[Instance]:
        """Return the objects in an image, float32 (3, H, W) in [0, 1], the surest first."""
        [found] = self.network([image.to(self.device)])
        height, width = image.shape[1:]
        instances = []
        for label, score, box, mask in zip(*(found[key].cpu() for key in ("labels", "scores", "boxes", "masks")),
                                           strict=True):
            box = left, top, right, bottom = whole_box(box.tolist(), height, width)
            inside = torch.zeros(height, width, dtype=torch.bool)
            inside[top:bottom, left:right] = mask[0, top:bottom, left:right] >= 0.5
            instances.append(Instance(inside.numpy(), box, CATEGORIES[label], float(score)))
        return instances


def build() -> MaskRCNN:
    """Return the network that torchvision's COCO weights are for, untrained, frozen, in evaluation mode."""
    backbone = resnet_fpn_backbone(backbone_name="resnet50", weights=None, trainable_layers=5)
    network = MaskRCNN(backbone, len(CATEGORIES), min_size=SIZES[0], max_size=SIZES[1],
                       box_score_thresh=LEAST_CONFIDENCE, box_nms_thresh=OVERLAP)
    for module in network.modules():
        if isinstance(module, FrozenBatchNorm2d):
            # As these weights were trained.
            module.eps = 0.0
    return network.requires_grad_(False).eval()


def find_instances(photos: list[Photo], detector: Detector) -> None:
    """Write what the network finds in each photo to its file of instances; what is there already stays.

    Raises BadImage for a photo that cannot be read, UserError for a file that is there but does not fit.
    """
    for photo in tqdm(photos, desc="finding objects", unit="photo", disable=None, delay=3):
        image = open_colour(photo.file)
        size = image.height, image.width
        if photo.objects.exists():
            read_instances(photo.objects, size, detector.name)
        else:
            write_instances(photo.objects, detector(pil_to_tensor(image) / 255), size, detector.name)


def _download() -> dict[str, Tensor]:
    try:
        return COCO.get_state_dict(progress=True, check_hash=True)
    except (URLError, OSError, RuntimeError) as error:
        raise UserError(f"weights of Mask R-CNN cannot be downloaded ({shortened(str(error))}); fetch {COCO.url} "
                        "elsewhere and name the file with --weights, or use mask files: --masks") from None


def _digest(file: Path) -> str:
    try:
        with open_regular(file) as opened:
            return hashlib.file_digest(opened, "sha256").hexdigest()[:16]
    except FileNotFoundError:
        raise UserError(f"{file}: no such weights file") from None
    except OSError as error:
        raise UserError(f"{file}: weights file cannot be read: {error.strerror or error}") from None
