"""k nearest neighbours on a GPU, with the predictions of scikit-learn's classifier but for ties in distance."""

import numpy as np
import torch
from torch import Tensor

# Of the distances that are held at a time.
CHUNK_BYTES = 2**27


class NearestNeighbours:
    """Majority among the k nearest training latents (Euclidean), on a device, in double precision.

    A tied vote goes to the smallest code, as in scikit-learn. Which of several training latents at the same distance
    as the k-th count is open here as there, so predictions may differ where that changes the majority.
    """

    def __init__(self, latents: np.ndarray, codes: np.ndarray, k: int, device: torch.device):
        """Keep training latents float32 (n, d) with their label codes (n,), n >= k."""
        self.classes, numbers = np.unique(codes, return_inverse=True)
        self.numbers = torch.from_numpy(numbers).to(device)
        self.latents = torch.from_numpy(latents).to(device).double()
        self.square_norms = self.latents.square().sum(dim=1)
        self.k = k

    @torch.inference_mode()
    def predict(self, latents: np.ndarray) -> np.ndarray:
        """Return the label codes (m,) of latents float32 (m, d)."""
        rows = max(1, CHUNK_BYTES // self.square_norms.nbytes)
        chunks = torch.from_numpy(latents).to(self.latents.device).split(rows)
        return self.classes[torch.cat([self._vote(chunk.double()) for chunk in chunks]).cpu().numpy()]

    def _vote(self, latents: Tensor) -> Tensor:
        """Return the number (m,) of the class that most neighbours have; classes are in the order of their codes."""
        # Less the square norm of the latent itself, which changes no order.
        distances = torch.addmm(self.square_norms, latents, self.latents.T, alpha=-2)
        numbers = self.numbers[distances.topk(self.k, largest=False).indices]
        counts = numbers.new_zeros(len(numbers), len(self.classes))
        # Of equal counts, argmax takes the first.
        return counts.scatter_add_(1, numbers, torch.ones_like(numbers)).argmax(dim=1)
