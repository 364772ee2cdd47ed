"""Charts show what they are given, and data cannot become markup."""

import re
import xml.etree.ElementTree as ET

import pytest

from vecsearch.bench.charts import STYLES, Axis, Bar, Mark, Series, bars, lines
from vecsearch.bench.markup import element, joined, line, safe
from vecsearch.bench.scales import number, scale, tick

ACROSS, UP = Axis("recall", "recall"), Axis("queries a second", "log")
NASTY = '<script>alert("x")</script>&\x00\ud800'
MARKS = [Mark(1, 1, NASTY, NASTY), Mark(2, 2, NASTY)]


def parsed(svg):
    return ET.fromstring(svg)  # noqa: S314  our own output


# ---- markup


def test_text_is_escaped_and_markup_is_not():
    assert element("b", "<i>", element("i", "&")) == "<b>&lt;i&gt;<i>&amp;</i></b>"
    assert element("a", "x", href='"><script>', title=None, aria_label="y") == (
        '<a href="&quot;&gt;&lt;script&gt;" aria-label="y">x</a>'
    )
    assert joined(["<", None, safe(">")], " < ") == "&lt; &lt; &gt;"
    assert line(["<th>", "<td>"]) == '<tr><th scope="row">&lt;th&gt;</th><td>&lt;td&gt;</td></tr>'


def test_what_no_page_may_hold_is_replaced():
    assert safe("a\x00\x1b\ud800b\nc") == "a\ufffd\ufffd\ufffdb\nc"
    safe(NASTY).encode()
    element("a", title=NASTY).encode()


# ---- scales


@pytest.mark.parametrize("kind", ["linear", "log", "recall"])
@pytest.mark.parametrize("values", [[], [0.0], [0.5], [0.3, 0.9], [1.0, 1.0], [1e-7, 1.0], [0.0, 1.0]])
def test_a_scale_holds_its_values(kind, values):
    made = scale(kind, values)
    assert 2 <= len(made.ticks) <= 12
    assert list(made.ticks) == sorted(made.ticks)
    found = [made.place(value) for value in sorted(values)]
    assert found == sorted(found)
    assert all(0 <= place <= 1 for place in found)
    assert [made.place(end) for end in (made.low, made.high)] == [0, 1]


@pytest.mark.parametrize("values", [[3.0, 70.0], [12_345.0], [1e-3, 1e6], [4_000, 5_000_000.0]])
def test_a_logarithm_has_equal_steps_for_equal_factors(values):
    made = scale("log", values)
    assert made.low <= min(values) * 1.001
    assert made.high >= max(values) * 0.999
    middle = (made.low * made.high) ** 0.5
    assert made.place(middle) == pytest.approx(0.5)


def test_recall_gives_room_to_what_is_nearly_all():
    made = scale("recall", [0.6, 1.0])
    assert made.low == 0.5
    assert made.place(0.99) - made.place(0.9) > made.place(0.9) - made.place(0.8)
    assert made.place(1.0) == 1


def test_numbers_are_short():
    assert [number(value) for value in (0, 0.0361, 1.2345, 45.67, 4058.4, 1_234_567)] == [
        "0", "0.0361", "1.23", "45.7", "4,058", "1,234,567",
    ]  # fmt: skip
    assert [tick(value) for value in (0.5, 1, 200, 5000, 2e6, 1e9)] == ["0.5", "1", "200", "5k", "2M", "1G"]


# ---- charts


def test_each_mark_says_what_it_is_and_leads_to_its_result():
    series = [Series("one", 0, [Mark(0.9, 100, "ninety", "k1", 80, 120), Mark(0.99, 50, "more", "k2")], [])]
    tree = parsed(lines("Title", "about", ACROSS, UP, series))
    links = {one.attrib["href"]: one.find("title").text for one in tree.iter("a")}
    assert links == {"#result-k1": "ninety", "#result-k2": "more"}
    assert (tree.find("title").text, tree.find("desc").text) == ("Title", "about")
    assert tree.attrib["aria-label"] == "Title"


def test_better_values_stand_higher_and_further_right():
    marks = [Mark(0.9, 100, "a", "a"), Mark(0.99, 1000, "b", "b")]
    tree = parsed(lines("t", "d", ACROSS, UP, [Series("one", 0, marks)]))
    path = next(one.attrib["d"] for one in tree.iter("path") if one.attrib.get("class") == "line")
    (x1, y1), (x2, y2) = [tuple(map(float, part.split())) for part in re.split("[ML]", path)[1:]]
    assert x2 > x1
    assert y2 < y1


def test_series_differ_in_shape_and_not_only_in_colour():
    series = [Series(f"s{at}", at, [Mark(0.9, 100, "m")]) for at in range(STYLES)]
    tree = parsed(lines("t", "d", ACROSS, UP, series))
    drawn = [one.attrib["d"] for one in tree.iter("path") if one.attrib.get("class") == "mark"]
    assert len(drawn) == 2 * STYLES
    outlines = {re.sub(r"^M[\d.]+ [\d.-]+", "", one) for one in drawn[:STYLES]}
    assert len(outlines) == STYLES


def test_more_series_than_colours_differ_all_the_same():
    series = [Series(f"s{at}", at, [Mark(0.9, 100, "m")]) for at in range(3 * STYLES)]
    tree = parsed(lines("t", "d", ACROSS, UP, series))
    looks = set()
    for group in tree.iter("g"):
        outlines = [one.attrib["d"] for one in group.iter("path") if one.attrib.get("class") == "mark"]
        if re.match(r"s\d", group.attrib.get("class", "")) and outlines:
            looks.add((group.attrib["class"].split()[0], re.sub(r"^M[\d.]+ [\d.-]+", "", outlines[0])))
    assert len(looks) == 3 * STYLES


def test_all_that_is_drawn_lies_within():
    series = [Series("a long name of a backend that goes on and on", at, [Mark(0.0, 1e-3, "m"), Mark(1, 1e7, "m")])
              for at in range(12)]  # fmt: skip
    tree = parsed(lines("t", "d", ACROSS, UP, series))
    _, _, width, height = map(float, tree.attrib["viewBox"].split())
    for one in tree.iter("text"):
        assert 0 <= float(one.attrib["x"]) <= width
        assert 0 <= float(one.attrib["y"]) <= height


def test_bars_are_as_long_as_their_values():
    found = [Bar("one", 0, (1.0, 1.0), "2 s", "k", 1.5, 2.5), Bar("two", 1, (4.0,), "4 s")]
    tree = parsed(bars("t", "d", "seconds", found))
    wide = [float(one.attrib["width"]) for one in tree.iter("rect")]
    assert wide[0] == wide[1] == pytest.approx(wide[2] / 4, abs=0.2)
    assert {"2 s", "4 s", "one", "two"} <= {one.text for one in tree.iter("text")}


@pytest.mark.parametrize("draw", [
    lambda: lines(NASTY, NASTY, Axis(NASTY), Axis(NASTY), [Series(NASTY, 9, MARKS, MARKS)]),
    lambda: bars(NASTY, NASTY, NASTY, [Bar(NASTY, 0, (1.0,), NASTY, NASTY)]),
])  # fmt: skip
def test_texts_cannot_break_out(draw):
    svg = draw()
    assert "<script" not in svg
    assert "\x00" not in svg
    parsed(svg)


@pytest.mark.parametrize("series", [[], [Series("none", 0, [])], [Series("one", 0, [Mark(0, 0, "zero")])]])
def test_nothing_and_little_can_be_drawn(series):
    parsed(lines("t", "d", ACROSS, UP, series))
    parsed(lines("t", "d", Axis("x"), Axis("y"), series))
