"""Labels of several seats: packed into one number each, and as text."""

from collections.abc import Sequence

import numpy as np

from errors import UserError

# Labels are packed into one integer with this base: up to 256 classes per seat and seven seats fit in 63 bits.
LABEL_BASE = 256


def label_codes(labels: np.ndarray) -> np.ndarray:
    """Pack label tuples (n, seats) into one int64 each, the same for every dataset; codes sort as the labels do."""
    if labels.shape[1] > 7 or labels.min() < 0 or labels.max() >= LABEL_BASE:
        raise UserError(f"labels: found {labels.shape[1]} seats with values {labels.min()}..{labels.max()}; "
                        f"allowed: up to 7 seats with values 0..{LABEL_BASE - 1}")
    return labels @ _weights(labels.shape[1])


def labels_of(codes: np.ndarray, seats: int) -> np.ndarray:
    """Unpack what `label_codes` packed: codes (n,) -> uint8 (n, seats)."""
    return (codes[:, None] // _weights(seats) % LABEL_BASE).astype(np.uint8)


def label_text(label: np.ndarray, classes: Sequence[str]) -> str:
    """Return a label (seats,) for people: the class name, or the seats as in `3_0_2`."""
    return str(classes[label[0]]) if len(label) == 1 else "_".join(str(seat) for seat in label)


def _weights(seats: int) -> np.ndarray:
    return LABEL_BASE ** np.arange(seats - 1, -1, -1, dtype=np.int64)
