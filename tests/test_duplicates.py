import json
import math
import uuid

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from row_sources import Fake, Held, as_dict, clusters, normal

from vecsearch import near
from vecsearch.core import pair_distances
from vecsearch.distances import nearest_distances
from vecsearch.duplicates import find_duplicates, find_unique
from vecsearch.errors import InvalidInputError, MissingIdsError, UnsupportedError


def naive(vectors, names, metric, thresh, order=None):
    """Kept ids and {duplicate: distance to the nearest kept}, pair by pair."""
    row = dict(zip(names, np.asarray(vectors, dtype=np.float32), strict=True))

    def distance(a, b):
        return float(pair_distances(row[a], row[b], metric)[0])

    kept = []
    for name in order or sorted(names):
        if all(distance(name, other) > thresh for other in kept):
            kept.append(name)
    return kept, {name: min(distance(name, other) for other in kept) for name in names if name not in kept}


@pytest.mark.parametrize("metric", ["cosine", "euclidean"])
@pytest.mark.parametrize("thresh", [0.001, 0.02, 0.3])
def test_what_duplicates_promises(metric, thresh):
    vectors = clusters()
    source = Fake(vectors, metric=metric)
    found = find_duplicates(source, thresh)
    row = dict(zip(source.names, vectors, strict=True))
    kept = np.array([row[name] for name in found.unique_ids])
    assert sorted([*found.unique_ids, *found.duplicate_ids]) == source.names
    for position, vector in enumerate(kept):
        others = np.delete(kept, position, axis=0)
        assert (pair_distances(vector, others, metric) > thresh).all()
    for name, (nearest, distance) in as_dict(found).items():
        to_kept = pair_distances(row[name], kept, metric)
        assert distance == to_kept.min() <= thresh
        assert distance == pair_distances(row[name], row[nearest], metric)[0]
        assert nearest in set(found.unique_ids)
    assert found.thresh == thresh
    assert found.fraction == len(found) / len(source.names)
    assert found.metric == metric


small_rows = st.lists(st.lists(st.sampled_from([-1.0, 0.0, 0.5, 1.0, 2.0]), min_size=2, max_size=2), max_size=14)


@given(small_rows, st.sampled_from([0.0, 0.1, 0.5, 1.0, 1.5]), st.randoms())
@settings(deadline=None)
def test_as_naive_in_any_storage_order(rows, thresh, random):
    names = [str(i) for i in range(len(rows))]
    kept, lost = naive(rows, names, "euclidean", thresh)
    shuffled = list(zip(names, rows, strict=True))
    random.shuffle(shuffled)
    source = Fake([row for _, row in shuffled], [name for name, _ in shuffled], "euclidean", dim=2)
    found = find_duplicates(source, thresh, progress=False)
    assert found.unique_ids.tolist() == kept
    assert dict(zip(found.duplicate_ids, found.distances, strict=True)) == lost


@given(small_rows, st.floats(0, 1))
@settings(deadline=None)
def test_fraction_is_a_bound_and_a_threshold(rows, fraction):
    names = [str(i) for i in range(len(rows))]
    source = Fake(rows, names, "euclidean", dim=2)
    found = find_duplicates(source, fraction=fraction, progress=False)
    assert len(found) <= fraction * len(rows) + 1e-6
    if found.thresh == -1:
        assert len(found) == 0
        assert len(find_duplicates(source, 0.0, progress=False)) > fraction * len(rows) + 1e-9
    else:
        again = find_duplicates(source, found.thresh, progress=False)
        assert as_dict(again).keys() == as_dict(found).keys()


@pytest.mark.parametrize("metric", ["cosine", "euclidean"])
def test_storage_order_changes_nothing(metric):
    vectors = clusters()
    source = Fake(vectors, metric=metric)
    by = np.random.default_rng(1).permutation(len(vectors))
    shuffled = Fake(vectors[by], [source.names[i] for i in by], metric)
    for arguments in ({"thresh": 0.05}, {"fraction": 0.3}):
        one, two = find_duplicates(source, **arguments), find_duplicates(shuffled, **arguments)
        assert one.unique_ids.tolist() == two.unique_ids.tolist()
        assert one.neighbors_map == two.neighbors_map
        assert one.thresh == two.thresh
    one, two = find_unique(source, 25), find_unique(shuffled, 25)
    assert one.unique_ids.tolist() == two.unique_ids.tolist()
    np.testing.assert_array_equal(one.gaps, two.gaps)
    np.testing.assert_array_equal(
        np.sort(nearest_distances(source)[1]), np.sort(nearest_distances(shuffled, progress=False)[1])
    )


def test_neighbors_map_is_plain_ordered_and_true():
    # The system that these names come from reports distances from another computation here: 1.5 for a true 0.0005.
    source = Fake(clusters(groups=3, size=6), metric="cosine")
    found = find_duplicates(source, thresh=0.1)
    assert list(found.neighbors_map) == ["r00000", "r00006", "r00012"]
    row = dict(zip(source.names, source.vectors, strict=True))
    for kept, group in found.neighbors_map.items():
        assert group == sorted(group, key=lambda pair: (pair[1], pair[0]))
        assert [type(part) for part in group[0]] == [str, float]
        for name, distance in group:
            assert distance == pytest.approx(pair_distances(row[kept], row[name], "cosine")[0], abs=0)
            assert distance <= 0.1
    json.dumps(found.neighbors_map)


def test_thresh_zero_finds_copies_and_is_inclusive():
    vectors = normal(20)
    found = find_duplicates(Fake(np.vstack([vectors, vectors[:3]])), thresh=0)
    assert found.duplicate_ids.tolist() == ["r00020", "r00021", "r00022"]
    assert found.nearest_ids.tolist() == ["r00000", "r00001", "r00002"]
    assert found.distances.tolist() == [0, 0, 0]
    line = Fake([[0.0], [1.0], [2.5]], metric="euclidean")
    assert find_duplicates(line, thresh=1.0).duplicate_ids.tolist() == ["r00001"]
    assert len(find_duplicates(line, thresh=np.nextafter(1.0, 0))) == 0


def test_priority_says_which_is_kept():
    vectors = [[1, 0], [1, 0.01], [1, 0.02], [0, 1]]
    source = Fake(vectors, [1, 2, 3, 4])

    def kept(priority):
        return find_duplicates(source, 0.01, priority=priority).unique_ids.tolist()

    assert kept(None) == ["1", "4"]
    assert kept([3]) == ["3", "4"]
    assert kept(np.array([4, 2])) == ["4", "2"]
    assert kept({1: 0.1, 2: 0.9, 3: 0.5}) == ["2", "4"]
    assert kept({1: None, 2: math.nan, 3: -5}) == ["3", "4"]
    assert kept({"2": "b", "3": "b", "1": "a"}) == ["2", "4"]  # a tie goes by id
    assert kept({}) == ["1", "4"]
    assert kept({2: 1, 99: 5}) == ["2", "4"]  # 99 is outside this view
    assert find_unique(source, 4, priority=[3, 2]).unique_ids.tolist()[0] == "4"


@pytest.mark.parametrize("priority", ["r00001", 3, [True], {"r00000": 1, "r00001": "a"}, ["nobody"], ["r00000"] * 2])
def test_priority_refusals(priority):
    with pytest.raises(InvalidInputError, match="priority"):
        find_duplicates(Fake(normal(3)), 0.1, priority=priority)


def test_fraction_is_met_exactly_where_distances_differ():
    for seed in range(5):
        found = find_duplicates(Fake(normal(200, 16, seed)), fraction=0.2)
        assert len(found) == 40
        assert found.fraction == 0.2
        assert found.thresh >= found.distances.max()
    # 0.29 * 100 is 28.999999999999996
    assert len(find_duplicates(Fake(normal(100)), fraction=0.29)) == 29


@pytest.mark.parametrize("make", [Fake, Held])
def test_fraction_at_its_ends(make):
    source = make(normal(50))
    none = find_duplicates(source, fraction=0)
    assert (len(none), none.thresh, none.fraction) == (0, 0.0, 0.0)
    most = find_duplicates(source, fraction=1)
    assert most.unique_ids.tolist() == ["r00000"]
    assert most.thresh == most.distances.max()
    assert len(find_duplicates(source, most.thresh)) == 49
    assert len(find_duplicates(source, np.nextafter(most.thresh, 0))) < 49
    pair = make(normal(2))
    assert [len(find_duplicates(pair, fraction=f)) for f in (0, 0.49, 0.5, 1)] == [0, 0, 1, 1]


@pytest.mark.parametrize("copies_at_most", [0, 10**6])
def test_all_identical(monkeypatch, copies_at_most):
    monkeypatch.setattr(near, "_COPY_PAIRS", copies_at_most)
    source = Fake(np.ones((30, 4)))
    assert find_duplicates(source, 0).unique_ids.tolist() == ["r00000"]
    half = find_duplicates(source, fraction=0.5)
    assert (len(half), half.thresh) == (0, -1.0)
    assert "exact copies" in repr(half)
    every = find_duplicates(source, fraction=1)
    assert (len(every), every.thresh) == (29, 0.0)
    chosen = find_unique(source, 3)
    assert chosen.unique_ids.tolist() == ["r00000", "r00001", "r00002"]
    assert chosen.gaps.tolist() == [math.inf, 0, 0]


@pytest.mark.parametrize("dim", [None, 4])
def test_no_rows_and_one(dim):
    empty = Fake(np.empty((0, 4)), dim=dim)
    empty.dim = dim
    for found in (find_duplicates(empty, 0.1), find_duplicates(empty, fraction=0.5), find_unique(empty, 3)):
        assert len(found) == 0
        assert found.unique_ids.shape == (0,)
        assert found.unique_ids.dtype == object
        assert found.keep_mask([]).shape == (0,)
    assert nearest_distances(empty)[1].shape == (0,)
    one = Fake(normal(1, 4))
    for fraction in (0, 0.5, 1):
        assert find_duplicates(one, fraction=fraction).unique_ids.tolist() == ["r00000"]
    assert find_duplicates(one, 5).unique_ids.tolist() == ["r00000"]
    assert find_unique(one, 1).gaps.tolist() == [math.inf]
    assert nearest_distances(one)[2] == 1


@pytest.mark.parametrize("metric", ["cosine", "euclidean"])
def test_copies_left_out_of_the_comparison_change_no_answer(monkeypatch, metric):
    rng = np.random.default_rng(3)
    vectors = clusters(groups=12, size=3)[rng.integers(0, 36, 150)]
    vectors[::7] *= 2  # copies under cosine that are none bit by bit
    source = Fake(vectors, [f"{i:03d}" for i in rng.permutation(150)], metric)
    cases = [{"thresh": 0}, {"thresh": 0.01}, {"thresh": 0.8}] + [{"fraction": f} for f in (0, 0.3, 0.7, 0.8, 0.9, 1)]
    for case in cases:
        monkeypatch.setattr(near, "_COPY_PAIRS", 10**6)
        plain = find_duplicates(source, **case)
        monkeypatch.setattr(near, "_COPY_PAIRS", 0)
        fewer = find_duplicates(source, **case)
        if "thresh" in case:
            assert as_dict(fewer) == as_dict(plain), case
        assert fewer.fraction <= case.get("fraction", 1)
        assert as_dict(fewer) == (as_dict(find_duplicates(source, fewer.thresh)) if fewer.thresh >= 0 else {})


def test_copies_take_no_edges(monkeypatch):
    source = Fake(np.vstack([np.ones((2000, 3)), normal(50, 3)]))
    assert len(find_duplicates(source, 1e-6, max_edges=200)) >= 1999


def test_a_million_pairs_too_many():
    source = Fake(clusters(groups=2, size=30))
    with pytest.raises(InvalidInputError, match=r"more than 100 pairs .*smaller thresh.*max_edges=.*GiB"):
        find_duplicates(source, 0.5, max_edges=100)
    with pytest.raises(InvalidInputError, match=r"more than 10 pairs .*smaller fraction.*max_edges="):
        find_duplicates(source, fraction=0.9, max_edges=10)
    assert len(find_duplicates(source, fraction=0.05, max_edges=40)) == 3


def test_a_radius_with_too_many_pairs_is_not_the_end():
    # One outlier makes the first guesses hold nearly all pairs; a smaller radius answers.
    vectors = np.vstack([normal(300, 2) * 0.01, [[1e3, 0]], [[0, 1e3]]])
    source = Fake(vectors, metric="euclidean")
    found = find_duplicates(source, fraction=0.6, max_edges=2000)
    assert len(found) == int(0.6 * 302)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({}, "one of thresh .*cosine distance.*plot_distances"),
        ({"thresh": 0.1, "fraction": 0.1}, "only one of"),
        ({"thresh": -0.1}, "thresh must be at least 0"),
        ({"thresh": math.inf}, "thresh"),
        ({"thresh": math.nan}, "thresh"),
        ({"thresh": True}, "thresh"),
        ({"thresh": "0.1"}, "thresh"),
        ({"thresh": [0.1]}, "thresh"),
        ({"fraction": 1.01}, "fraction must be a share"),
        ({"fraction": -0.01}, "fraction"),
        ({"fraction": math.nan}, "fraction"),
        ({"fraction": True}, "fraction"),
        ({"thresh": 0.1, "metric": "hamming"}, "metric must be one of"),
        ({"thresh": 0.1, "max_edges": 1.5}, "max_edges"),
        ({"thresh": 0.1, "max_edges": -1}, "max_edges"),
    ],
)
def test_refusals_before_any_row_is_read(arguments, words):
    source = Fake(normal(5))
    with pytest.raises(InvalidInputError, match=words):
        find_duplicates(source, **arguments)
    assert source.passes == 0


def test_dotproduct_needs_another_metric():
    vectors = clusters()
    source = Fake(vectors, metric="dotproduct")
    for call in (lambda **m: find_duplicates(source, 0.05, **m), lambda **m: find_unique(source, 5, **m)):
        with pytest.raises(UnsupportedError, match='metric="cosine"'):
            call()
        with pytest.raises(UnsupportedError):
            call(metric="dotproduct")
        assert len(call(metric="euclidean")) >= 0
    assert as_dict(find_duplicates(source, 0.05, metric="cosine")) == as_dict(find_duplicates(Fake(vectors), 0.05))


def test_zero_rows_have_no_cosine():
    source = Fake([[1, 0], [0, 0], [0, 1]], ["a", "zero", "b"], "euclidean")
    assert len(find_duplicates(source, 0.1)) == 0
    for call in (
        lambda: find_duplicates(source, 0.1, metric="cosine"),
        lambda: find_unique(source, 1, metric="cosine"),
    ):
        with pytest.raises(InvalidInputError, match=r"zeros.*'zero'"):
            call()


def test_what_is_no_source():
    with pytest.raises(InvalidInputError, match="compute_similarity"):
        find_duplicates(normal(3), 0.1)
    with pytest.raises(InvalidInputError, match="dimensions"):
        find_duplicates(Fake(normal(3), dim=9), 0.1)
    with pytest.raises(InvalidInputError, match="NaN"):
        find_duplicates(Fake([[1, math.nan]]), 0.1)


def test_labels_name_rows():
    found = find_duplicates(Fake(clusters(groups=3), labels=True), 0.1)
    assert found.unique_ids.tolist() == ["r00000", "r00004", "r00008"]


def test_keep_mask_takes_the_users_ids():
    pandas = pytest.importorskip("pandas")
    vectors = clusters(groups=5, size=3)
    table = pandas.DataFrame({"x": range(15)}, index=range(100, 115))
    found = find_duplicates(Fake(vectors, table.index), 0.1)
    mask = found.keep_mask(table.index)
    assert mask.dtype == bool
    assert table[mask].index.tolist() == [int(name) for name in found.unique_ids]
    assert found.keep_mask([114, "100", 100]).tolist() == [False, True, True]
    with pytest.raises(MissingIdsError, match="'7'") as error:
        found.keep_mask([100, 7])
    assert error.value.ids == ["7"]
    with pytest.raises(InvalidInputError):
        found.keep_mask(100)
    few = find_unique(Fake(vectors, table.index), 4)
    assert table[few.keep_mask(table.index)].index.astype(str).tolist() == sorted(few.unique_ids)
    with pytest.raises(MissingIdsError):
        few.keep_mask([1])
    names = [uuid.UUID(int=i) for i in range(15)]
    assert find_duplicates(Fake(vectors, names), 0.1).keep_mask(names).sum() == 5


def test_results_show_and_convert():
    pandas = pytest.importorskip("pandas")
    source = Fake(clusters(groups=4, size=10), [f"<b>{i:03d}" for i in range(40)])
    found = find_duplicates(source, 0.1)
    frame = found.to_pandas()
    assert list(frame) == ["id", "nearest_id", "distance"]
    assert frame["id"].tolist() == found.duplicate_ids.tolist()
    assert isinstance(frame, pandas.DataFrame)
    assert repr(found) == "Duplicates(36 of 40 rows, 90.00%, within cosine 0.1)"
    assert "<b>" not in found._repr_html_()
    assert found._repr_html_().count("<tr>") == 21
    few = find_unique(source, 3)
    assert repr(few).startswith("Unique(3 of 40 rows, at least cosine ")
    assert "<b>" not in few._repr_html_()
    assert few.to_columns()["gap"] == few.gaps.tolist()
    for value in (found, few):
        assert bool(value)
        with pytest.raises(AttributeError):
            value.thresh = 1
        with pytest.raises(ValueError, match="read-only"):
            value.unique_ids[0] = "x"
    assert bool(find_duplicates(source, 0))


def test_unique_is_exact_nested_and_spread():
    source = Fake(normal(60), metric="euclidean")
    whole = find_unique(source, 60)
    assert sorted(whole.unique_ids) == source.names
    assert whole.unique_ids.tolist() == find_unique(source, 10**9).unique_ids.tolist()
    for count in (0, 1, 2, 17, 59):
        part = find_unique(source, count)
        assert part.unique_ids.tolist() == whole.unique_ids[:count].tolist()
        assert isinstance(part.unique_ids, np.ndarray)
        assert part.thresh == (whole.gaps[count - 1] if count > 1 else math.inf)
    assert (np.diff(whole.gaps[1:]) <= 0).all()
    row = dict(zip(source.names, source.vectors, strict=True))
    chosen = np.array([row[name] for name in whole.unique_ids[:20]])
    least = min(pair_distances(chosen[i], chosen[j], "euclidean")[0] for i in range(20) for j in range(i))
    assert find_unique(source, 20).thresh == pytest.approx(least, abs=0)


@pytest.mark.parametrize("count", [-1, True, 2.0, "3", None])
def test_unique_refuses_what_is_no_count(count):
    with pytest.raises(InvalidInputError, match="count"):
        find_unique(Fake(normal(3)), count)


def test_nearest_distances_are_of_other_rows():
    vectors = np.vstack([normal(30), normal(30)[:1], normal(30)[:1], normal(30)[:1]])
    ids, distances, total = nearest_distances(Fake(vectors))
    assert total == 33
    everything = [min(pair_distances(vectors[i], np.delete(vectors, i, axis=0), "cosine")) for i in range(33)]
    assert ids.tolist() == sorted(ids)
    np.testing.assert_array_equal(distances, everything)
    assert len(nearest_distances(Fake(vectors), sample=10)[1]) == 10


def test_an_index_answers_like_its_rows():
    vecsearch = pytest.importorskip("vecsearch")
    vectors = clusters()
    names = [f"r{i:05d}" for i in range(len(vectors))]
    index = vecsearch.compute_similarity(
        embeddings=vectors, sample_ids=names, metadata=[{"size": i % 4} for i in range(len(vectors))]
    )
    assert as_dict(index.find_duplicates(0.05)) == as_dict(find_duplicates(Fake(vectors), 0.05))
    best = index.find_duplicates(0.05, priority="size")
    assert {int(name[1:]) % 4 for name in best.unique_ids} == {3}
    part = index.use_view(sample_ids=names[:20])
    assert as_dict(part.find_duplicates(fraction=0.5)) == as_dict(find_duplicates(Fake(vectors[:20]), fraction=0.5))
    assert index.find_unique(5).unique_ids.tolist() == find_unique(Fake(vectors), 5).unique_ids.tolist()
