"""Records that are written by hand, shared by the tests of tables and figures."""

def row(**changes):
    """A record of an accuracy of 75 % of the last weights; with checkpoint `best`, of an oracle's, and `epoch`."""
    selection = {"best": "oracle: highest accuracy on sviro (x5)", "epoch": "every epoch"}
    return {
        "experiment": "e_tae", "seed": 1, "dataset": "sviro", "factor": "x5", "split": "all", "classifier": "knn",
        "checkpoint": "last", "epoch": 30, "metric": "accuracy", "value": 0.75, "n": 400,
        "selection": selection.get(changes.get("checkpoint"), "last epoch"),
    } | changes  # fmt: skip


def seeds(values, **changes):
    """Such records of seeds 1, 2, ..., a value each."""
    return [row(seed=seed, value=value, **changes) for seed, value in enumerate(values, 1)]
