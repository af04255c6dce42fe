"""How far apart two domains are in a latent space: numbers that need no projection.

Both look at one unmirrored image per scenery, so that variants and mirror images of a scenery do not count as
neighbours or as independent samples of a domain.
"""

from typing import NamedTuple

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import balanced_accuracy_score
from sklearn.model_selection import StratifiedKFold, cross_val_predict
from sklearn.neighbors import NearestNeighbors
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from errors import UserError

FOLDS, NEIGHBOURS, DRAWS, MOST_DRAWN = 5, 10, 10, 2000


class DomainGap(NamedTuple):
    """domain_classifier, knn_overlap: see the functions of these names; real: sceneries of the real domain."""

    domain_classifier: float
    knn_overlap: float
    real: int


def domain_gap(synthetic: np.ndarray, real: np.ndarray, seed: int = 0) -> DomainGap:
    """Return the numbers for latents (n, d) and (m, d); UserError where a domain has fewer than two."""
    if min(len(synthetic), len(real)) < 2:
        raise UserError(f"domain gap: found {len(synthetic)} synthetic and {len(real)} real sceneries; needed: at "
                        "least 2 of each")
    return DomainGap(domain_classifier(synthetic, real, seed), knn_overlap(synthetic, real, seed), len(real))


def domain_classifier(synthetic: np.ndarray, real: np.ndarray, seed: int = 0) -> float:
    """Return the balanced accuracy, cross-validated, of a linear classifier that tells the domains apart.

    Logistic regression (L2 penalty, C = 1, classes weighted to equal sums) on dimensions standardised to mean 0 and
    deviation 1 over the fold's training part, stratified into five shuffled folds (fewer where a domain has fewer
    latents). The value is the mean, over both domains, of the share of latents that are told right while left out: 0.5
    where no hyperplane tells more than chance, 1 where one separates them. Whatever differs counts, also how often
    classes occur.
    """
    latents = np.concatenate([synthetic, real]).astype(np.float64)
    domain = np.repeat([0, 1], [len(synthetic), len(real)])
    model = make_pipeline(StandardScaler(), LogisticRegression(class_weight="balanced", max_iter=1000))
    folds = StratifiedKFold(min(FOLDS, len(synthetic), len(real)), shuffle=True, random_state=seed)
    return float(balanced_accuracy_score(domain, cross_val_predict(model, latents, domain, cv=folds)))


def knn_overlap(synthetic: np.ndarray, real: np.ndarray, seed: int = 0) -> float:
    """Return the share of synthetic latents among the neighbours of real ones, relative to chance.

    As many latents are drawn of each domain (all of the smaller one, at most 2000). Of every real one drawn, the ten
    nearest among all other drawn ones count (Euclidean distance, as in the classification; fewer where there are
    fewer). The mean share of synthetic ones among them is divided by its expectation m / (2m - 1) under domains of one
    distribution, m being the number drawn of each, and averaged over ten draws. 0: no real latent has a synthetic one
    near it; 1: the domains are mixed. Chance leads to values somewhat above 1, too.
    """
    rng = np.random.default_rng(seed)
    drawn = min(len(synthetic), len(real), MOST_DRAWN)
    neighbours = min(NEIGHBOURS, 2 * drawn - 1)
    shares = []
    for _ in range(DRAWS):
        chosen, queries = (rng.choice(domain, drawn, replace=False) for domain in (synthetic, real))
        # In random order, which decides between latents at the same distance, such as copies.
        order = rng.permutation(2 * drawn)
        search = NearestNeighbors(n_neighbors=neighbours + 1).fit(np.concatenate([queries, chosen])[order])
        found = order[search.kneighbors(queries, return_distance=False)]
        shares.append(_others(found, neighbours) >= drawn)
    return float(np.mean(shares) * (2 * drawn - 1) / drawn)


def _others(found: np.ndarray, count: int) -> np.ndarray:
    """Return the `count` nearest rows without the query itself, which row i is for query i; if missing, the last."""
    own = found == np.arange(len(found))[:, None]
    own[~own.any(axis=1), -1] = True
    return found[~own].reshape(len(found), count)
