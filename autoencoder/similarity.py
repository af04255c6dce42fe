"""How similar reconstructions of real images are to the synthetic images with the same factors (Table S5)."""

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from dataset import Inputs, Scenes
from errors import UserError
from evaluation.image_metrics import Metric
from model import Autoencoder
from readers.labels import label_codes

CHUNK = 256


def partners(real: Scenes, synthetic: Scenes) -> Tensor:
    """Return the index (n,) of the `synthetic` image with each label of `real`; UserError where there is none."""
    wanted, codes = label_codes(real.labels), label_codes(synthetic.labels)
    order = np.argsort(codes)
    place = np.searchsorted(codes, wanted, sorter=order)
    found = order[place.clip(max=len(codes) - 1)]
    missing = np.flatnonzero(codes[found] != wanted)
    if len(missing):
        raise UserError(f"{real.title}: {len(missing)} of {len(real)} images have no partner in {synthetic.title}, "
                        f"the first with factors {real.label_text(missing[0])}")
    return synthetic.first[torch.from_numpy(found).to(synthetic.device)]


@torch.no_grad()
def similarity(model: Autoencoder, inputs: Inputs, real: Scenes, synthetic: Scenes, partner: Tensor,
               metrics: dict[str, Metric], batch_size: int = CHUNK) -> dict[str, float]:
    """Return the mean of each metric over reconstructions of `real`: `<metric>/synthetic`, `<metric>/real`.

    Against their partners in `synthetic`, and themselves; inputs: of `real`. The model must be in evaluation mode.
    """
    keys = [f"{name}/{against}" for against in ("synthetic", "real") for name in metrics]
    sums: dict[str, Tensor | float] = dict.fromkeys(keys, 0.0)
    with tqdm(total=len(real), desc=f"reconstructing {real.title}", unit="image", disable=None, leave=False) as bar:
        for index, other in zip(real.first.split(batch_size), partner.split(batch_size), strict=True):
            flip = torch.zeros_like(index, dtype=torch.bool)
            outputs = model.decode(model.encode(inputs(index, flip))).float()
            targets = {"synthetic": synthetic.gather(other, flip), "real": real.gather(index, flip)}
            for key in keys:
                name, _, against = key.partition("/")
                sums[key] = sums[key] + metrics[name](outputs, targets[against]).double().sum()
            bar.update(len(index))
    return {key: float(total) / len(real) for key, total in sums.items()}
