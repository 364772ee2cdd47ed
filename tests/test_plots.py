import builtins
import io
import sys
from pathlib import Path

import numpy as np
import pytest
from row_sources import Fake, clusters, normal

from vecsearch import plots
from vecsearch.duplicates import find_duplicates, find_unique
from vecsearch.errors import InvalidInputError, MissingDependencyError, MissingIdsError, UnsupportedError
from vecsearch.images import by_id, pixels
from vecsearch.results import Neighbors, Ranking
from vecsearch.types import Records

pytest.importorskip("matplotlib")
Image = pytest.importorskip("PIL.Image")


@pytest.fixture
def source():
    return Fake(clusters(groups=6, size=5))


@pytest.fixture
def images(source):
    rng = np.random.default_rng(0)
    return {name: rng.random((8, 8)) for name in source.names}


def ranking(names, distances):
    return Ranking(Records(list(names)), np.array(distances), exact=True, query_kind="vector", patches=False)


def words(figure):
    """All text of a figure."""
    axes = [text.get_text() for one in figure.axes for text in (*one.texts, one.title, one._left_title)]
    return "\n".join([*(text.get_text() for text in figure.texts), *axes])


def shown(figure):
    return sum(len(axes.images) for axes in figure.axes)


def png_size(path):
    with Image.open(path) as image:
        assert image.format == "PNG"
        return image.size


def test_distances(source, tmp_path):
    path = tmp_path / "d.png"
    figure = plots.plot_distances(source, bins=20, thresh=0.05, path=path, progress=False)
    assert png_size(path) == (960, 570)
    assert sum(patch.get_height() for patch in figure.axes[0].patches) == 30
    assert figure.axes[0].get_xlabel().startswith("cosine distance")
    assert "thresh 0.05" in words(figure)
    sampled = plots.plot_distances(source, "euclidean", sample=10)
    assert "10 of 30 rows" in words(sampled)
    assert sampled.axes[0].get_xlabel().startswith("euclidean distance")
    assert "fewer than two" in words(plots.plot_distances(Fake(normal(1)), thresh=1))
    with pytest.raises(InvalidInputError, match="bins"):
        plots.plot_distances(source, bins=0)
    with pytest.raises(UnsupportedError):
        plots.plot_distances(Fake(normal(4), metric="dotproduct"))


def test_identical_rows_have_a_histogram():
    assert plots.plot_distances(Fake(np.ones((5, 3)))).axes


def test_duplicates_in_a_grid(source, images, tmp_path):
    found = find_duplicates(source, 0.1)
    figure = found.plot(images, path=tmp_path / "g.png")
    assert shown(figure) == 30
    assert png_size(tmp_path / "g.png")[1] > 6 * 150
    text = words(figure)
    assert text.count("kept\n") == 6
    assert all(f"{distance:.4f}\n" in text for distance in found.distances)
    assert shown(found.plot(images, rows=2)) == 10
    assert "4 more groups" in words(found.plot(images, rows=2))
    with pytest.raises(InvalidInputError, match="rows"):
        found.plot(images, rows=0)
    with pytest.raises(InvalidInputError, match="sort_by"):
        plots.plot_duplicates(found, images, sort_by="name")
    farthest = max(found.neighbors_map, key=lambda kept: found.neighbors_map[kept][-1][1])
    assert f"kept\n{farthest}" in words(plots.plot_duplicates(found, images, rows=1, sort_by="distance"))


def test_a_long_group_shows_its_nearest_and_its_farthest():
    source = Fake(clusters(groups=1, size=40))
    found = find_duplicates(source, 0.5)
    figure = found.plot({name: np.zeros((4, 4)) for name in source.names})
    assert shown(figure) == 7
    assert "33 more" in words(figure)
    (group,) = found.neighbors_map.values()
    assert group[-1][0] in words(figure)
    assert group[4][0] in words(figure)


def test_without_images_or_duplicates(source, images):
    assert "thresh 0.1" in words(find_duplicates(source, 0.1).plot())
    nothing = find_duplicates(source, 0)
    assert "no row is a duplicate" in words(nothing.plot())
    assert "no row is a duplicate" in words(nothing.plot(images))
    assert "no gaps" in words(find_unique(source, 1).plot())
    assert find_unique(source, 0).plot(images).axes


def test_unique_in_the_order_chosen(source, images, tmp_path):
    few = find_unique(source, 12)
    figure = few.plot(images, path=tmp_path / "u.png")
    assert shown(figure) == 12
    assert f"first\n{few.unique_ids[0]}" in words(figure)
    assert f"{few.gaps[5]:.4f}\n{few.unique_ids[5]}" in words(figure)
    assert shown(few.plot(images, count=5)) == 5
    assert len(few.plot().axes[0].lines[0].get_xdata()) == 11


def test_neighbours_of_one_query_and_of_several(images, tmp_path):
    one = ranking(images, np.linspace(0, 1, 30))
    figure = plots.plot_neighbors(np.zeros((8, 8)), one, images, path=tmp_path / "n.png")
    assert shown(figure) == 11
    assert "query" in words(figure)
    titled = plots.plot_neighbors(None, one, images, titles={"r00000": "a zero"})
    assert shown(titled) == 10
    assert "a zero" in words(titled)
    assert "r00000" not in words(titled)
    two = Neighbors([ranking(["r00001"], [0.5]), ranking(["r00002"], [0.25])])
    assert shown(plots.plot_neighbors([np.zeros((8, 8))] * 2, two, images)) == 4
    assert plots.plot_neighbors(None, ranking([], []), images)
    with pytest.raises(InvalidInputError, match="query images"):
        plots.plot_neighbors([None], two, images)


def test_no_global_state(source):
    pyplot = sys.modules.get("matplotlib.pyplot")
    before = pyplot.get_fignums() if pyplot else []
    figure = plots.plot_distances(source)
    pyplot = sys.modules.get("matplotlib.pyplot")
    assert (pyplot.get_fignums() if pyplot else []) == before
    assert figure._repr_png_().startswith(b"\x89PNG")
    with pytest.raises(UnsupportedError, match="savefig"):
        figure.show()


def test_show_in_a_notebook(source, monkeypatch):
    published = []

    class Shell:
        class display_pub:  # noqa: N801  the notebook's name
            publish = published.append

    monkeypatch.setattr(builtins, "get_ipython", Shell, raising=False)
    plots.plot_distances(source).show()
    assert published[0]["image/png"].startswith(b"\x89PNG")


def test_ids_are_text_not_markup(images):
    names = ["$x_{1}^", "a\nb", "<b>" + "long/" * 20 + "photo.jpg", r"\alpha$"]
    figure = plots.plot_neighbors(None, ranking(names, [0.1] * 4), dict.fromkeys(names, np.eye(3)))
    figure.savefig(io.BytesIO())
    assert "$x_{1}^" in words(figure)
    assert "a b" in words(figure)
    assert "…" in words(figure)
    assert "photo.jpg" in words(figure)


def test_without_matplotlib(source, monkeypatch):
    plots._figure_class.cache_clear()
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(MissingDependencyError, match=r"pip install 'vecsearch\[plot\]'"):
        plots.plot_distances(source)
    plots._figure_class.cache_clear()


def test_which_image_is_whose(tmp_path):
    pandas = pytest.importorskip("pandas")
    assert by_id({1: "a", "2": "b"}, ["1", "2"]) == {"1": "a", "2": "b"}
    assert by_id(str.upper, ["a"]) == {"a": "A"}
    assert by_id(["x", "y", "z"], ["8", "7"], ids=[7, 8, 9]) == {"7": "x", "8": "y"}
    assert by_id(["p/a.png", Path("p/b.png")], ["p/b.png", "p/a.png"]) == {
        "p/a.png": "p/a.png",
        "p/b.png": Path("p/b.png"),
    }
    paths = pandas.Series(["p/a.png", "p/b.png"], index=[4, 9])
    assert by_id(paths, ["9"]) == {"9": "p/b.png"}
    assert by_id(paths, ["p/a.png"]) == {"p/a.png": "p/a.png"}
    with pytest.raises(MissingIdsError, match="'b'") as error:
        by_id({"a": 1}, ["a", "b"])
    assert error.value.ids == ["b"]
    with pytest.raises(InvalidInputError, match="ids="):
        by_id([np.eye(2)], ["a"])
    with pytest.raises(InvalidInputError, match="2 images for 1 ids"):
        by_id(["x", "y"], ["1"], ids=[1])
    for wrong in ("photos", 3):
        with pytest.raises(InvalidInputError, match="images"):
            by_id(wrong, ["a"])


def test_a_mapping_is_asked_for_what_is_shown_only():
    class Lazy(dict):
        def items(self):
            raise AssertionError("this would load every image")

        values = items

    assert by_id(Lazy(a=1, b=2), ["a"]) == {"a": 1}


def test_pixels_of_anything(tmp_path):
    assert pixels(np.zeros((4, 5))).shape == (4, 5)
    assert pixels(np.full((4, 5), np.nan)).tolist() == [[0] * 5] * 4
    assert pixels(np.zeros((3, 40, 50), np.float32)).shape == (40, 50, 3)
    assert pixels(np.zeros((1, 40, 50))).shape == (40, 50)
    assert pixels(np.full((4, 5, 3), np.nan)).max() == 0
    assert pixels(np.ones((4, 5, 3), bool)).max() == 255
    assert pixels(np.full((4, 5, 3), 0.5)).max() == 127
    assert pixels(np.full((4, 5, 3), 200.0)).max() == 200
    assert pixels(np.full((4, 5, 4), 300, np.int64)).max() == 255
    for wrong in (np.zeros(64), np.zeros((2, 3, 4, 5)), np.zeros((2, 5, 7)), np.array(["x"]), np.zeros((0, 3)), None):
        assert pixels(wrong) is None
    for mode in ("L", "RGB", "RGBA", "P", "1", "CMYK", "LA"):
        suffix = "jpg" if mode == "CMYK" else "png"
        path = tmp_path / f"{mode}.{suffix}"
        Image.new(mode, (1000, 500)).save(path)
        array = pixels(path)
        assert array.shape[:2] == (192, 384)
        assert pixels(str(path)).shape == pixels(path.read_bytes()).shape == array.shape
    assert pixels(Image.new("RGB", (30, 20))).shape == (20, 30, 3)
    broken = tmp_path / "broken.png"
    broken.write_bytes(b"\x89PNG\r\n\x1a\nnot an image")
    for wrong in (broken, tmp_path / "gone.png", b"", b"text"):
        assert pixels(wrong) is None


def test_an_image_that_cannot_be_read_leaves_a_note(source, images):
    images["r00000"] = "no/such/file.png"
    figure = find_duplicates(source, 0.1).plot(images)
    assert shown(figure) == 29
    assert "cannot\nbe read" in words(figure)
