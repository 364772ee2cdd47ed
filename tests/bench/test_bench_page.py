"""The page in a real browser, where one is installed: light, dark, narrow, on paper, and without a network.

Its own policy forbids all scripts: what is seen here is what is seen where they are turned off.
"""

import html
import json
import re
import shutil
import subprocess

import numpy as np
import pytest
from bench_results import a_run

from vecsearch.bench.report import page

BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
pytestmark = [pytest.mark.skipif(BROWSER is None, reason="no Chromium is installed"), pytest.mark.timeout(180)]

QUIET = ("--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--host-resolver-rules=MAP * ~NOTFOUND")
MEASURE = """
const shown = document.querySelector("iframe"), inner = shown.contentDocument, root = inner.documentElement;
const outside = [...inner.querySelectorAll("svg")].flatMap(svg => {
  const box = svg.viewBox.baseVal;
  return [...svg.querySelectorAll("text")].filter(text => {
    const b = text.getBBox();
    return b.x < -1 || b.y < -1 || b.x + b.width > box.width + 1 || b.y + b.height > box.height + 1;
  }).map(text => text.textContent);
});
const touching = [...inner.querySelectorAll("svg")].flatMap(svg => {
  const boxes = [...svg.querySelectorAll("text")].map(text => [text.getBBox(), text.textContent]);
  return boxes.flatMap(([a, one], at) => boxes.slice(at + 1).filter(([b]) =>
    a.x < b.x + b.width - 1 && b.x < a.x + a.width - 1 && a.y < b.y + b.height - 3 && b.y < a.y + a.height - 3
  ).map(([, other]) => one + " and " + other));
});
document.querySelector("pre").textContent = JSON.stringify({
  width: root.clientWidth, needed: root.scrollWidth, outside, touching, charts: inner.querySelectorAll("svg").length,
  hidden: [...inner.querySelectorAll("h2")].filter(one => !one.offsetHeight).length,
});
"""


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    path = tmp_path_factory.mktemp("page") / "page.html"
    path.write_text(page(a_run()), encoding="utf-8")
    return path


def browse(file, *flags):
    data = f"--user-data-dir={file.parent / 'browser'}"
    command = [BROWSER, *QUIET, data, *flags, file.as_uri()]
    return subprocess.run(command, capture_output=True, timeout=90, check=True).stdout.decode()


@pytest.mark.parametrize("width", [1280, 400])
def test_all_fits_at_any_width(file, width):
    # The frame's own policy forbids scripts; ours, around it, measures what was laid out.
    frame = f'<iframe srcdoc="{html.escape(file.read_text(encoding="utf-8"))}" width="{width}" height="900"></iframe>'
    around = file.parent / f"around-{width}.html"
    script = f"<script>onload = () => {{ {MEASURE} }}</script>"
    around.write_text(f"<!doctype html><meta charset=utf-8>{frame}<pre></pre>{script}", encoding="utf-8")
    found = re.search(r"<pre>(\{.*\})</pre>", browse(around, "--dump-dom"))
    said = json.loads(html.unescape(found[1]))
    assert said["width"] > width - 40
    assert said["needed"] <= said["width"]
    assert (said["outside"], said["touching"], said["hidden"]) == ([], [], 0)
    assert said["charts"] == 10


@pytest.mark.parametrize(("scheme", "dark"), [(1, False), (0, True)])
def test_it_is_drawn_in_light_and_dark(file, scheme, dark):
    image = pytest.importorskip("matplotlib.image")
    picture = file.parent / "shot.png"
    flags = f"--blink-settings=preferredColorScheme={scheme}"
    browse(file, flags, "--window-size=1280,4000", "--hide-scrollbars", f"--screenshot={picture}")
    pixels = image.imread(picture)[..., :3]
    assert pixels.shape[:2] == (4000, 1280)
    assert bool(np.median(pixels) < 0.2) is dark
    quarters = [part.std() for part in np.array_split(pixels, 4)]
    assert min(quarters) > 0.02  # something is drawn everywhere


def test_it_prints(file):
    paper = file.parent / "page.pdf"
    browse(file, f"--print-to-pdf={paper}", "--no-pdf-header-footer")
    pages = len(re.findall(rb"/Type\s*/Page\b", paper.read_bytes()))
    assert 4 <= pages <= 20
