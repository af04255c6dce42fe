"""Fabric, which starts processes, casts and places, without what it imports and does not need here.

All modules take it from here: importing it by its own name first would import torchmetrics after all.
"""

import sys

# Fabric imports all of torchmetrics, and with it matplotlib and half of SciPy, to see its version: a second per start.
_there = sys.modules.setdefault("torchmetrics", None)

from lightning_fabric import Fabric  # noqa: E402
from lightning_fabric.plugins.environments import LightningEnvironment  # noqa: E402
from lightning_fabric.strategies import DDPStrategy  # noqa: E402

if _there is None:
    del sys.modules["torchmetrics"]

__all__ = ["DDPStrategy", "Fabric", "LightningEnvironment"]
