"""k nearest neighbours on a GPU, with exactly the predictions of scikit-learn's classifier."""

import numpy as np
import torch
from sklearn.neighbors import KNeighborsClassifier
from torch import Tensor

# Of the distances that are held at a time.
CHUNK_BYTES = 2**27
# Candidates beyond the k nearest, so that latents at about the same distance as the k-th are among them.
SPARE = 32
ROUNDING = 2.0**-53


class NearestNeighbours:
    """A fitted classifier by majority among the k nearest training latents (Euclidean), run on a device.

    Distances are computed in double precision. Latents as far away as the k-th, within the bound on what rounding
    does to these distances and to scikit-learn's, may or may not be among its k. Where every choice among them has
    the same majority, that is the prediction; where one sample is left open, scikit-learn predicts all of them, for
    which of several equally distant latents it takes depends on their order, the number of samples and of threads.
    """

    def __init__(self, classifier: KNeighborsClassifier, latents: np.ndarray, codes: np.ndarray, device: torch.device):
        """Take over a classifier that was fitted on latents float32 (n, d) and label codes (n,)."""
        self.classifier, self.device = classifier, device
        # In the order of their codes, as a tied vote goes to the smallest.
        self.classes, numbers = np.unique(codes, return_inverse=True)
        self.numbers = torch.from_numpy(numbers).to(device)
        self.latents = torch.from_numpy(latents).to(device).double()
        self.square_norms = self.latents.square().sum(dim=1)
        self.longest = self.square_norms.max().sqrt()

    @torch.inference_mode()
    def predict(self, latents: np.ndarray) -> np.ndarray:
        """Return the label codes (m,) of latents float32 (m, d)."""
        rows = max(1, CHUNK_BYTES // self.square_norms.nbytes)
        chunks = torch.from_numpy(latents).to(self.device).split(rows)
        winners, settled = (torch.cat(parts) for parts in zip(*map(self._vote, chunks), strict=True))
        if not settled.all():
            return self.classifier.predict(latents)
        return self.classes[winners.cpu().numpy()]

    def _vote(self, latents: Tensor) -> tuple[Tensor, Tensor]:
        """Return the class number (m,) that most neighbours have, and whether it is beyond doubt (m,)."""
        k, latents = self.classifier.n_neighbors, latents.double()
        # Less the square norm of the latent itself, which changes no order.
        distances = torch.addmm(self.square_norms, latents, self.latents.T, alpha=-2)
        distances, nearest = distances.topk(min(k + SPARE, len(self.latents)), largest=False)
        kth, margin = distances[:, k - 1 : k], self._margin(latents)
        within = distances <= kth + margin
        complete = ~within[:, -1] if within.shape[1] < len(self.latents) else torch.ones_like(within[:, -1])
        numbers = self.numbers[nearest]
        certain, possible = self._count(numbers, distances < kth - margin), self._count(numbers, within)
        # A class has all its certain neighbours; k are chosen in all.
        left_out = possible.sum(dim=1, keepdim=True) - k
        free = k - certain.sum(dim=1, keepdim=True)
        least = self._rank(torch.maximum(certain, possible - left_out))
        most = self._rank(torch.minimum(possible, certain + free))
        votes, winner = least.max(dim=1)
        rival = most.scatter(1, winner[:, None], -1).amax(dim=1)
        return winner, complete & kth.isfinite().flatten() & (votes > rival)

    def _margin(self, latents: Tensor) -> Tensor:
        """Return how far (m, 1) from the k-th a distance must be to lie on the same side of it in scikit-learn.

        A square distance in d dimensions is off by less than e = (d + 8) roundings of (|a| + |b|) ** 2, be it the sum
        of norms and product as here and in scikit-learn's search, or of squared differences as in its tree. So each
        distance is within 2e of scikit-learn's, and so are the k-th of both; what is 4e apart keeps its side.
        """
        scale = (latents.norm(dim=1, keepdim=True) + self.longest).square()
        return 4 * (latents.shape[1] + 8) * ROUNDING * scale

    def _count(self, numbers: Tensor, counted: Tensor) -> Tensor:
        """Return how many of the neighbours (m, near) that are counted each class has (m, classes)."""
        counts = numbers.new_zeros(len(numbers), len(self.classes))
        return counts.scatter_add_(1, numbers, counted.long())

    def _rank(self, counts: Tensor) -> Tensor:
        """Return numbers in the order of counts (m, classes), equal ones in reverse order of their classes."""
        classes = counts.shape[1]
        return counts * classes + torch.arange(classes - 1, -1, -1, device=counts.device)
