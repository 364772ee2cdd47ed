"""A comparison of two runs finds what became worse, and does not cry over chance."""

import numpy as np
import pytest
from bench_results import MIB, a_result, a_search, a_spec, raw

from vecsearch.bench.comparing import compare
from vecsearch.bench.pairing import calls, matched, paired, paired_quantile
from vecsearch.bench.points import Gate, Load, Resources
from vecsearch.bench.store import Store
from vecsearch.errors import InvalidInputError


def run(folder, *, seed=0, slower=1.0, verdict="valid", builds=1, repeats=3, queries=400, spec=None, less=0.0):
    store = Store(folder)
    for build in range(builds):
        asked = (spec or a_spec("quick")).model_copy(update={"build": build})
        gates = [Gate(name="rows", passed=False, detail="9 of 10")] if verdict == "invalid" else []
        point = a_result(asked, verdict, search=a_search(0.95, 1000), gates=gates)
        arrays = raw(point, seed, slower, repeats, queries)
        arrays["recall"] = np.clip(arrays["recall"] - less, 0, 1)
        store.put(point, arrays)
    return store


def built(folder, seconds, *, disk=40 * MIB):
    store = Store(folder)
    for build, one in enumerate(seconds):
        load = Load(rows=10, insert_seconds=one, searchable_seconds=one, rows_per_second=10, cpu_seconds=one)
        use = Resources(disk_bytes=disk, memory_peak=100)
        store.put(a_result(a_spec("quick", "build", build=build), load=load, resources=use))
    return store


def states(comparison):
    return {change.figure: change.state for change in comparison.changes}


# ---- times


@pytest.mark.parametrize("seed", range(1, 4))
def test_the_same_again_is_the_same(tmp_path, seed):
    found = compare(run(tmp_path / "a"), run(tmp_path / "b", seed=seed))
    assert set(states(found).values()) == {"same"}
    assert not found.failed()
    assert not found.warnings
    time = next(one for one in found.changes if one.figure == "time of a query, ns")
    assert time.low < 1 < time.high
    assert time.high - time.low < 0.1


def test_slower_by_more_than_the_bound_is_worse(tmp_path):
    found = compare(run(tmp_path / "a"), run(tmp_path / "b", seed=1, slower=1.3))
    assert states(found) == {"time of a query, ns": "worse", "p99 of a query, ns": "worse", "recall": "same"}
    time = found.changes[0] if found.changes[0].figure.startswith("time") else found.changes[1]
    assert time.ratio == pytest.approx(1.3, rel=0.02)
    assert time.low <= time.ratio <= time.high
    assert time.after / time.before == pytest.approx(time.ratio)
    assert found.failed()
    assert time.keys_before == time.keys_after == (a_spec("quick").key,)


def test_slower_within_the_bound_is_the_same_and_the_bound_can_be_set(tmp_path):
    before, after = run(tmp_path / "a"), run(tmp_path / "b", seed=1, slower=1.3)
    assert not compare(before, after, bound=1.4).failed()
    assert states(compare(after, before, bound=1.1))["time of a query, ns"] == "better"


def test_pairing_sees_what_lies_below_the_spread_of_the_queries(tmp_path):
    """Queries differ by a third among themselves; 5 % of all of them is far inside, and is seen all the same."""
    before, after = run(tmp_path / "a"), run(tmp_path / "b", seed=1, slower=1.05)
    time = next(one for one in compare(before, after, bound=1.02).changes if one.figure.startswith("time"))
    assert time.state == "worse"
    spread = before.arrays(a_spec("quick").key)["service_ns"]
    assert spread.std() / spread.mean() > 0.25


def test_repeats_that_disagree_are_uncertain(tmp_path):
    before, after = run(tmp_path / "a"), run(tmp_path / "b", seed=1)
    key = a_spec("quick").key
    arrays = after.arrays(key)
    arrays["service_ns"] = arrays["service_ns"] * np.where(arrays["repeat"] == 0, 2, 1)
    after.put(after.get(key), arrays)
    found = compare(before, after)
    time = next(one for one in found.changes if one.figure.startswith("time"))
    assert time.ratio == pytest.approx(2 ** (1 / 3), rel=0.02)
    assert time.state == "uncertain"
    assert not found.failed()


def test_builds_that_disagree_are_uncertain(tmp_path):
    before, after = run(tmp_path / "a", builds=3), run(tmp_path / "b", builds=3, seed=1)
    key = a_spec("quick", build=1).key
    arrays = after.arrays(key)
    after.put(after.get(key), {**arrays, "service_ns": arrays["service_ns"] * 2})
    found = compare(before, after)
    assert states(found)["time of a query, ns"] == "uncertain"
    assert len({one.result for one in found.changes}) == 1


def test_noisy_times_are_not_judged_but_recall_is(tmp_path):
    noisy = run(tmp_path / "b", slower=2, verdict="noisy", less=0.1)
    found = compare(run(tmp_path / "a"), noisy)
    assert states(found) == {"time of a query, ns": "noisy", "p99 of a query, ns": "noisy", "recall": "worse"}
    assert found.failed()


def test_one_repeat_has_no_interval_and_is_not_judged(tmp_path):
    found = compare(run(tmp_path / "a", repeats=1), run(tmp_path / "b", repeats=1, slower=2))
    time = next(one for one in found.changes if one.figure.startswith("time"))
    assert (time.low, time.high, time.state) == (None, None, "uncertain")
    assert "p99 of a query, ns" not in states(found)


def test_throughput_is_compared_where_several_clients_ask(tmp_path):
    spec = a_spec("quick", concurrency=4)
    found = compare(run(tmp_path / "a", spec=spec), run(tmp_path / "b", spec=spec))
    assert states(found)["time by throughput, ns"] == "same"


def test_without_the_single_calls_the_medians_of_the_repeats_serve(tmp_path):
    stores = []
    for name, qps in (("a", 1000), ("b", 500)):
        stores.append(Store(tmp_path / name))
        stores[-1].put(a_result(a_spec("quick"), search=a_search(0.9 if name == "a" else 0.8, qps)))
    assert states(compare(*stores)) == {"median time, ns": "worse", "recall": "worse"}


# ---- recall, builds, results


def test_recall_is_paired_by_query(tmp_path):
    before = run(tmp_path / "a")
    assert states(compare(before, run(tmp_path / "b", less=0.02)))["recall"] == "worse"
    assert states(compare(before, run(tmp_path / "c", less=0.003)))["recall"] == "same"
    assert states(compare(before, run(tmp_path / "d", less=0.003), recall_bound=0.001))["recall"] == "worse"
    assert states(compare(run(tmp_path / "e", less=0.1), before))["recall"] == "better"


def test_builds_are_compared_where_there_are_three(tmp_path):
    before = built(tmp_path / "a", [10, 10.1, 9.9])
    assert states(compare(before, built(tmp_path / "b", [13, 13.1, 12.9])))["seconds until searchable"] == "worse"
    assert states(compare(before, built(tmp_path / "c", [20])))["seconds until searchable"] == "uncertain"
    assert states(compare(before, built(tmp_path / "d", [10, 10, 10], disk=60 * MIB))) == {
        "bytes on disk": "worse",
        "peak memory, bytes": "same",
        "seconds until searchable": "same",
    }


def test_what_broke_and_what_is_gone_fails(tmp_path):
    before = run(tmp_path / "a")
    broken = compare(before, run(tmp_path / "b", verdict="invalid"))
    assert broken.failed()
    assert broken.broken == ("quick, search k=10, mixture: invalid (rows: 9 of 10)",)
    assert compare(run(tmp_path / "c", verdict="invalid"), before).failed() is False
    other = a_spec("served")
    more = run(tmp_path / "d")
    more.put(a_result(other, search=a_search(0.9, 100)))
    gone = compare(more, before)
    assert gone.missing == ("served, search k=10, mixture",)
    assert (gone.failed(), gone.failed(allow_missing=True)) == (True, False)
    assert compare(before, more).added == gone.missing
    assert not compare(before, more).failed()


def test_different_machines_are_said_to_be(tmp_path):
    before, after = run(tmp_path / "a"), run(tmp_path / "b")
    point = after.get(a_spec("quick").key)
    elsewhere = point.environment.model_copy(update={"cores": 64})
    after.put(point.model_copy(update={"environment": elsewhere}), after.arrays(point.key))
    assert compare(before, after).warnings == ("the runs come from different machines: the ratios compare those, too",)


def test_what_cannot_be_compared_is_refused(tmp_path):
    store, empty = run(tmp_path / "a"), Store(tmp_path / "none")
    with pytest.raises(InvalidInputError, match=r"no result is both in .*a \(1\) and in .*none \(0\)"):
        compare(store, empty)
    with pytest.raises(InvalidInputError, match=r"1 or more, not 0\.9"):
        compare(store, store, bound=0.9)
    with pytest.raises(InvalidInputError, match="from 0 to 1, not 2"):
        compare(store, store, recall_bound=2)


# ---- the resampling itself


def test_calls_are_put_by_repeat_and_query():
    arrays = {"service_ns": np.array([5, 1, 9, 3, 7, 100]), "query": np.array([1, 0, 0, 1, 0, 0]),
              "repeat": np.array([0, 0, 1, 1, 1, 1])}  # fmt: skip
    np.testing.assert_array_equal(calls(arrays, "service_ns"), [[1, 5], [9, 3]])
    assert calls(arrays, "response_ns") is None
    assert calls({**arrays, "query": np.full(6, -1)}, "service_ns") is None
    found = calls({**arrays, "query": np.array([1, 0, 0, 0, 0, 0])}, "service_ns")
    np.testing.assert_array_equal(found, [[1, 5], [8, np.nan]])
    np.testing.assert_array_equal(matched([found], [np.ones((2, 3))]), [[[[1], [8]]], [[[1], [1]]]])
    assert matched([found], [np.array([[np.nan, 1]])]) == ([], [])


def test_queries_that_were_not_asked_are_left_out(tmp_path):
    stores = [run(tmp_path / "a"), run(tmp_path / "b", less=0.1)]
    key = a_spec("quick").key
    for store, lost in zip(stores, (slice(0, 100), slice(300, 400)), strict=True):
        arrays = store.arrays(key)
        arrays["recall"][lost] = np.nan
        store.put(store.get(key), arrays)
    change = next(one for one in compare(*stores).changes if one.figure == "recall")
    assert change.state == "worse"
    assert change.ratio == pytest.approx(-0.1, abs=0.02)


def test_the_interval_holds_the_truth_about_as_often_as_it_says():
    generator = np.random.default_rng(0)
    held = 0
    for _ in range(100):
        hard = generator.lognormal(0, 0.5, 100)
        sides = [[hard * generator.lognormal(0, 0.2, (8, 100))] for _ in range(2)]
        interval = paired(*sides, generator, logarithms=True)
        held += interval.low <= 1 <= interval.high
    assert 0.88 <= held / 100 <= 1


def test_quantiles_are_resampled_with_the_queries():
    generator = np.random.default_rng(0)
    hard = generator.lognormal(0, 0.5, 1000)
    before, after = [[hard * factor * generator.lognormal(0, 0.05, (3, 1000))] for factor in (1, 2)]
    interval = paired_quantile(before, after, 0.99, generator)
    assert interval.low < interval.middle < interval.high
    assert interval.middle == pytest.approx(2, rel=0.1)
    assert (interval.low, interval.high) == pytest.approx((2, 2), rel=0.25)
