"""Table of how far real datasets are from the training data in the latent space, over seeds, from records."""

import math

from reporting.formats import FORMATS
from reporting.tables import Records, group, seed_values, spread, title_of

CLASSIFIER, OVERLAP = "gap/domain_classifier", "gap/knn_overlap"
HEADER = ("real dataset", "experiment", "weights", "domain classifier %", "kNN overlap", "seeds", "real sceneries")
EXPLANATION = ("Domain classifier: balanced accuracy of a linear classifier of synthetic and real latents, "
               "cross-validated (50: chance, 100: separable). kNN overlap: share of synthetic latents among the ten "
               "nearest neighbours of real ones, relative to chance (0: apart, 1: mixed).")
FOOTNOTE = f"{EXPLANATION} ± is the sample standard deviation over seeds (n - 1)."


def render(records: Records, style: str) -> str:
    """Render the domain gaps of last and best weights in one of the formats; an empty text where none are recorded."""
    found = {metric: group(records, metric=metric) for metric in (CLASSIFIER, OVERLAP)}
    keys = sorted({key for groups in found.values() for key in groups},
                  key=lambda key: (*key[1:4], key[5] != "last", key[0]))
    lines = []
    for key in keys:
        cells, seeds, sizes = [], set(), set()
        for metric, scale, decimals in ((CLASSIFIER, 100, 1), (OVERLAP, 1, 2)):
            rows = found[metric].get(key)
            values = seed_values(key, rows)[0] if rows else {}
            cells.append(_spread([scale * value for value in values.values()], decimals))
            seeds |= values.keys()
            sizes |= {row["n"] for several in (rows or {}).values() for row in several}
        lines.append((title_of(key), key[0], "last epoch" if key[5] == "last" else "oracle", *cells, str(len(seeds)),
                      "/".join(map(str, sorted(sizes)))))
    return FORMATS[style](HEADER, lines, 3, FOOTNOTE) if lines else ""


def _spread(values: list[float], decimals: int) -> str:
    if not values:
        return "-"
    mean, std = spread(values)
    return f"{mean:.{decimals}f}" + ("" if math.isnan(std) else f" ± {std:.{decimals}f}")
