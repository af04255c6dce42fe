"""Table of how far real datasets are from the training data in the latent space, over seeds, from records."""

from reporting.formats import FORMATS
from reporting.metrics import METRICS
from reporting.tables import WEIGHTS, Records, cell, group, in_order, seed_values, slashed, title_of

GAPS = {name: metric for name, metric in METRICS.items() if name.startswith("gap/")}
TITLES = tuple(f"{gap.title} {gap.unit}".strip() for gap in GAPS.values())
HEADER = ("real dataset", "experiment", "weights", *TITLES, "seeds", "real sceneries")
EXPLANATION = ("Domain classifier: balanced accuracy of a linear classifier of synthetic and real latents, "
               "cross-validated (50: chance, 100: separable). kNN overlap: share of synthetic latents among the ten "
               "nearest neighbours of real ones, relative to chance (0: apart, 1: mixed).")
FOOTNOTE = f"{EXPLANATION} ± is the sample standard deviation over seeds (n - 1)."


def render(records: Records, style: str) -> str:
    """Render the domain gaps of last and best weights in one of the formats; an empty text where none are recorded."""
    found = {name: group(records, metric=name) for name in GAPS}
    lines = []
    for key, _ in in_order({key: None for groups in found.values() for key in groups}):
        there = {name: groups[key] for name, groups in found.items() if key in groups}
        cells = [metric.text(*cell(seed_values(key, there[name])[0].values(), metric)[:2]) if name in there else "-"
                 for name, metric in GAPS.items()]
        sizes = slashed(row["n"] for seeds in there.values() for rows in seeds.values() for row in rows)
        lines.append((title_of(key), key[0], WEIGHTS[key[5]], *cells, str(len(set().union(*there.values()))), sizes))
    return FORMATS[style](HEADER, lines, 3, FOOTNOTE) if lines else ""
