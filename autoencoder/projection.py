"""Two-dimensional projections of a latent space, for pictures."""

import numpy as np
from openTSNE import TSNE
from sklearn.decomposition import PCA
from tqdm import tqdm

from errors import UserError

METHODS = ("tsne", "pca")
PERPLEXITY = 30
# Wider latents (frozen features) are projected on so many principal components before, as van der Maaten and Hinton do.
WIDE, REDUCED = 256, 50
# openTSNE's own numbers of iterations, and how often it reports.
ITERATIONS, REPORT = 250 + 500, 50


def project(latents: np.ndarray, method: str, seed: int) -> tuple[np.ndarray, tuple[str, str]]:
    """Return coordinates (n, 2) of latents (n, d) and the names of the two axes.

    method: `tsne` (van der Maaten and Hinton 2008; perplexity 30, Euclidean, started from the principal components, in
    the approximation of Linderman et al. 2019 from 10,000 latents on; of latents of more than 256 dimensions, of their
    first 50 principal components) or `pca` (the first two principal components).
    Distances in a t-SNE mean little beyond the nearest neighbourhood, and its axes nothing. Raises UserError for fewer
    than four latents or fewer than two dimensions.
    """
    if len(latents) < 4 or latents.shape[1] < 2:
        raise UserError(f"projection: found {len(latents)} latents of {latents.shape[1]} dimensions; needed: at least "
                        "4 of at least 2")
    if method == "pca":
        solver = "full" if latents.shape[1] <= WIDE else "randomized"
        pca = PCA(2, svd_solver=solver, random_state=seed).fit(latents)
        first, second = (f"principal component {i + 1} ({100 * share:.0f} % of variance)"
                         for i, share in enumerate(pca.explained_variance_ratio_))
        return pca.transform(latents), (first, second)

    def report(iteration: int, error: float, embedding: np.ndarray) -> None:
        bar.update(REPORT)

    if latents.shape[1] > WIDE:
        latents = PCA(min(REDUCED, len(latents)), random_state=seed).fit_transform(latents)
    with tqdm(total=ITERATIONS, desc=f"t-SNE of {len(latents)} latents", unit="iteration", delay=3, leave=False,
              disable=None) as bar:
        # One thread: more of them gain little, wait for one another where other work runs, and round differently.
        embedding = TSNE(perplexity=min(PERPLEXITY, (len(latents) - 1) / 3), initialization="pca", n_jobs=1,
                         random_state=seed, callbacks=report, callbacks_every_iters=REPORT).fit(latents)
    return np.asarray(embedding), ("t-SNE 1", "t-SNE 2")
