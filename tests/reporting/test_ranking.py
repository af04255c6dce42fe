from refusals import refused
from small_records import row

from reporting.ranking import ranked
from reporting.tables import summarise


def test_experiments_are_ranked_by_the_preferred_metric_on_one_test_set_in_its_direction():
    values = {"a": (0.5, 0.9), "b": (0.7, 0.1), "c": (0.6, 0.4)}
    found = [row(experiment=name, dataset=data, factor="", split="test", metric=metric, classifier=classifier,
                 value=value)
             for name, pair in values.items() for data, value in zip(("source", "target"), pair, strict=True)
             for metric, classifier in (("accuracy", "forest"), ("accuracy", "knn"), ("fid", ""))]
    # The forest, which comes before in the alphabet, would say otherwise.
    found = [each | {"value": 1 - each["value"]} if each["classifier"] == "forest" else each for each in found]
    found.append(row(experiment="0 unknown", dataset="target", factor="", split="test", value=1.0))
    rows, note = ranked(summarise(found), "source, test")
    names = [each.experiment for each in rows]
    assert names == ["b", "c", "a"] * 4 + ["b", "c", "a", "0 unknown"] + ["b", "c", "a"]
    assert note == "Experiments are in the order of knn on source, test, last epoch, the best first."
    kinds = {"floor": (1.0, 1.0, 1.0), "translated": (20.0, 30.0, 10.0), "untranslated": (90.0, 90.0, 90.0)}
    rows, note = ranked(summarise([
        row(experiment=name, dataset="source", factor="", split="test", metric=f"frechet/{kind}", classifier="",
            value=value) for kind, values in kinds.items() for name, value in zip("abc", values, strict=True)]),
        "source, test")
    assert [each.experiment for each in rows] == ["c", "a", "b"] * 3
    assert "in the order of Fréchet distance translated on" in note
    # A classifier, which has no neighbours, beside latents, which have no network.
    network = row(experiment="d", dataset="source", factor="", split="test", classifier="network", value=0.65)
    rows, note = ranked(summarise([*found, network]), "source, test")
    assert [each.experiment for each in rows if each.classifier == "knn" and each.dataset == "target, test"] == [
        "b", "c", "a", "0 unknown"]
    assert note == "Experiments are in the order of network or knn on source, test, last epoch, the best first."
    only = [each for each in summarise(found) if each.metric == "fid"]
    assert [each.experiment for each in ranked(only, "source, test")[0]] == ["a", "c", "b"] * 2
    assert "did you mean 'source, test'" in refused(ranked, rows, "sorce, test")
