import numpy as np
from matplotlib.colors import to_hex
from PIL import Image

from reporting.latents import Domain, latent_scatter


def domain(name, count, labels, seed=0):
    rng = np.random.default_rng(seed)
    return Domain(name, rng.normal(size=(count, 2)), np.resize(labels, (count, np.shape(labels)[1])))


def colours_at(ax, domain):
    """The colour that each point of a domain has in a panel, by its place."""
    for points in ax.collections:
        if len(points.get_offsets()) == len(domain.points):
            where = {tuple(place): to_hex(colour) for place, colour in
                     zip(points.get_offsets().tolist(), np.resize(points.get_facecolors(), (len(domain.points), 4)),
                         strict=True)}
            return [where[tuple(point)] for point in domain.points.tolist()]
    raise AssertionError("the domain is not drawn")


def legend(ax):
    return {text.get_text(): to_hex(handle.get_color())
            for text, handle in zip(ax.get_legend().get_texts(), ax.get_legend().legend_handles, strict=True)}


def visible(figure):
    return [ax for ax in figure.axes if ax.get_visible()]


def test_points_have_the_colours_of_the_legends_and_a_marker_per_domain(tmp_path, figures):
    source, target = domain("mnist, train", 30, [[0], [1], [2]]), domain("photos, all", 8, [[2], [1]], 1)
    paths = latent_scatter(tmp_path / "x", [source, target], ["zero", "one", "two"], ("t-SNE 1", "t-SNE 2"), "run",
                           "numbers")
    assert [path.name for path in paths] == ["x.pdf", "x.png"]
    assert paths[0].read_bytes().startswith(b"%PDF")
    with Image.open(paths[1]) as image:
        assert min(image.size) > 400
    (figure,) = figures
    by_domain, by_class = visible(figure)
    assert [ax.get_title() for ax in (by_domain, by_class)] == ["domain", "class"]
    assert set(colours_at(by_domain, source)) == {legend(by_domain)["mnist, train (n = 30)"]}
    assert set(colours_at(by_domain, target)) == {legend(by_domain)["photos, all (n = 8)"]}
    names = legend(by_class)
    for each in (source, target):
        assert colours_at(by_class, each) == [names[("zero", "one", "two")[label]] for label in each.labels[:, 0]]
    assert len({*names.values()}) == 3
    shapes = [len(points.get_paths()[0].vertices) for points in by_class.collections]
    assert shapes[0] != shapes[1]
    assert (by_class.get_xlabel(), by_class.get_ylabel()) == ("t-SNE 1", "t-SNE 2")
    assert (figure.get_suptitle(), figure.get_supxlabel()) == ("run", "numbers")


def test_three_seats_have_a_panel_each_with_the_same_colour_per_class(tmp_path, figures):
    # Nobody sits in the middle, and no class is in all seats.
    source = domain("sviro", 20, [[0, 0, 3], [1, 0, 0], [2, 0, 2]])
    classes = ["empty", "infant seat", "child seat", "adult"]
    latent_scatter(tmp_path / "x", [source], classes, ("a", "b"), "run", "")
    _, *seats = visible(figures[0])
    assert [ax.get_title() for ax in seats] == ["left seat", "middle seat", "right seat"]
    assert all(legend(ax) == legend(seats[0]) for ax in seats)
    for seat, ax in enumerate(seats):
        assert colours_at(ax, source) == [legend(ax)[classes[label]] for label in source.labels[:, seat]]


def test_more_classes_than_colours_are_shades_with_a_scale(tmp_path, figures):
    source = domain("arm", 80, np.stack([np.arange(40), np.arange(40) % 2], axis=1))
    latent_scatter(tmp_path / "x", [source], [str(i) for i in range(40)], ("a", "b"), "run", "")
    panels = [ax for ax in visible(figures[0]) if ax.get_title()]
    assert [ax.get_title() for ax in panels] == ["domain", "label 1", "label 2"]
    assert panels[1].get_legend() is None
    assert len(set(colours_at(panels[1], source))) == 40
    bar = next(ax for ax in visible(figures[0]) if not ax.get_title())
    assert [text.get_text() for text in bar.get_xticklabels()][:: 10] == ["0", "39"]
    assert set(legend(panels[2])) == {"0", "1"}


def test_classes_are_named_amid_their_points_where_no_other_name_is(tmp_path, figures):
    points = np.array([[0, 0], [0, 2], [10, 0], [10, 2], [10.1, 0], [10.1, 2]], dtype=float)
    source = Domain("mnist", points, np.array([[0], [0], [1], [1], [2], [2]]))
    latent_scatter(tmp_path / "x", [source], ["zero", "one", "two"], ("a", "b"), "run", "")
    written = [(text.get_text(), text.get_position()) for text in visible(figures[0])[1].texts]
    assert written == [("zero", (0, 1)), ("one", (10, 1))]


def test_nothing_that_is_written_lies_on_anything_else(tmp_path, figures):
    source, target = domain("mnist, train", 50, [[i] for i in range(10)]), domain("photos", 9, [[1]], 1)
    latent_scatter(tmp_path / "x", [source, target], list("0123456789"), ("t-SNE 1", "t-SNE 2"), "title", "one\ntwo")
    figure = figures[0]
    panels = visible(figure)
    legends = [ax.get_legend().get_window_extent() for ax in panels]
    note = figure._supxlabel.get_window_extent()
    for ax, box in zip(panels, legends, strict=True):
        assert box.y1 <= ax.xaxis.label.get_window_extent().y0
        assert not box.overlaps(note)
    assert not legends[0].overlaps(legends[1])
    assert note.y0 >= 0
