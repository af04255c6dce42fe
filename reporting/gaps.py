"""Table of how far real datasets are from the training data in the latent space, over seeds, from records."""

from reporting.formats import FORMATS
from reporting.metrics import METRICS
from reporting.tables import Records, beside, slashed, summarise, weights_title

GAPS = {name: metric for name, metric in METRICS.items() if name.startswith("gap/")}
TITLES = tuple(f"{gap.title} {gap.unit}".strip() for gap in GAPS.values())
HEADER = ("real dataset", "experiment", "weights", *TITLES, "seeds", "real sceneries")
EXPLANATION = ("Domain classifier: balanced accuracy of a linear classifier of synthetic and real latents, "
               "cross-validated (50: chance, 100: separable). kNN overlap: share of synthetic latents among the ten "
               "nearest neighbours of real ones, relative to chance (0: apart, 1: mixed).")
FOOTNOTE = f"{EXPLANATION} ± is the sample standard deviation over seeds (n - 1)."


def render(records: Records, style: str) -> str:
    """Render the domain gaps of last and best weights in one of the formats; an empty text where none are recorded."""
    found = beside(summarise(records, wanted=GAPS.__contains__), ("dataset", "experiment", "checkpoint"), "metric")
    lines = [(data, experiment, weights_title(checkpoint, (row.selection for row in rows.values())),
              *(metric.text(*rows[name][5:7]) if name in rows else "-" for name, metric in GAPS.items()),
              slashed(row.seeds for row in rows.values()), slashed(row.samples for row in rows.values()))
             for (data, experiment, checkpoint), rows in found.items()]
    return FORMATS[style](HEADER, lines, 3, FOOTNOTE) if lines else ""
