"""The table of features and backends in the README, from what the conformance suite found.

python tests/conformance/table.py RESULTS.xml… [--write]

RESULTS are what ``pytest --junitxml`` wrote of tests/conformance. Without ``--write``, exit code 1 says that the README
is not what they say; backends that did not run are left as they are.
"""

from __future__ import annotations

import argparse
import importlib
import inspect
import re
import sys
import xml.etree.ElementTree as ET
from collections import defaultdict
from pathlib import Path

from vecsearch.testing import IndexConformance

ROOT = Path(__file__).parent.parent.parent
START, END = "<!-- conformance: made by tests/conformance/table.py -->", "<!-- /conformance -->"
FEATURES = {
    "rows": "vectors, ids, documents come back as they were put",
    "metadata": "metadata of every type; `set_metadata`",
    "writes": "batches, conflicts, failures half-way, resumable ingest",
    "search": "search: true distances, exact order, any k",
    "ranking": "`sort_by_similarity`: reverse, aggregation, by id",
    "filtering": "filters: one truth table, every selectivity",
    "views": "views of any size",
    "patches": "patches: thousands of labels a sample",
    "cleaning": "duplicates, unique, recall, health",
    "copies": "`copy_index` in and out",
    "refusals": "bad input refused before anything is written",
    "threads": "several threads",
    "others": "what others do to an open index",
    "lifecycle": "save, reopen, connect, delete; secrets",
    "capabilities": "declared capabilities work, others are refused",
    "declared_filters": "filters on declared fields, of one kind",
}
COLUMNS = {  # a backend, or a form of one that is run apart
    "sklearn": "sklearn",
    "chroma": "chroma",
    "lancedb": "lancedb",
    "milvus": "milvus (Lite)",
    "milvus server": "milvus (server)",
    "qdrant": "qdrant",
    "pinecone": "pinecone (stand-in)",
    "mosaic": "mosaic (stand-in)",
}


def subjects():
    """The subject of every test of the suite."""
    found = {}
    for part in IndexConformance.__mro__[1:]:
        subject = part.__module__.rpartition(".")[2]
        found |= {name: subject for name, one in vars(part).items() if name.startswith("test_") and callable(one)}
    return found


def column_of(classname):
    module, _, name = classname.rpartition(".")
    cls = getattr(importlib.import_module(module.removeprefix("tests.conformance.")), name, None)
    backend = getattr(cls, "backend", "")
    if not (inspect.isclass(cls) and issubclass(cls, IndexConformance)):
        return ""
    server = f"{backend} server"
    return server if name == "TestYourServer" and server in COLUMNS else backend


def counted(files):
    """Per column and subject: how many tests passed, how many are known gaps, how many failed."""
    subject = subjects()
    found = defaultdict(lambda: defaultdict(lambda: [0, 0, 0]))
    for file in files:
        for case in ET.parse(file).iter("testcase"):  # noqa: S314  pytest wrote it
            name = case.get("name", "").partition("[")[0]
            column = column_of(case.get("classname", "")) if name in subject else ""
            if column not in COLUMNS:
                continue
            skipped = case.find("skipped")
            cell = found[column][subject[name]]
            if case.find("failure") is not None or case.find("error") is not None:
                cell[2] += 1
            elif skipped is None:
                cell[0] += 1
            elif skipped.get("type") == "pytest.xfail":
                cell[1] += 1
    return {column: rows for column, rows in found.items() if any(map(sum, rows.values()))}


def cell(passed, gaps, failed):
    parts = [str(passed), f"{gaps} gaps" if gaps > 1 else f"{gaps} gap" * gaps, f"**{failed} failed**" * bool(failed)]
    return ", ".join(part for part in parts if part)


def table(found):
    """Lines of Markdown: the cells of each column, as texts."""
    columns = [column for column in COLUMNS if column in found]
    head = ["", *(COLUMNS[column] for column in columns)]
    rows = [[words, *(found[column].get(subject, "0") for column in columns)] for subject, words in FEATURES.items()]
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def parsed(text):
    """The table that is there, as ``table`` takes it."""
    lines = [[part.strip() for part in line.strip()[1:-1].split("|")] for line in text.splitlines() if "|" in line]
    if not lines:
        return {}
    head, _, *rows = lines
    names = {words: column for column, words in COLUMNS.items()}
    subject = {words: name for name, words in FEATURES.items()}
    return {
        names[words]: {subject[row[0]]: row[number] for row in rows if row[0] in subject}
        for number, words in enumerate(head)
        if words in names
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("results", nargs="+", type=Path)
    parser.add_argument("--write", action="store_true")
    args = parser.parse_args()
    sys.path[:0] = [str(ROOT / "tests"), str(ROOT / "tests" / "conformance"), str(ROOT / "examples" / "sqlite_backend")]
    readme = ROOT / "README.md"
    text = readme.read_text(encoding="utf-8")
    before = re.search(f"{re.escape(START)}\n(.*?){re.escape(END)}", text, re.DOTALL)
    if before is None:
        sys.exit(f"README.md has no {START}")
    new = {
        column: {subject: cell(*numbers) for subject, numbers in rows.items()}
        for column, rows in counted(args.results).items()
    }
    after = table({**parsed(before[1]), **new})
    if args.write:
        readme.write_text(f"{text[: before.start(1)]}{after}\n{text[before.end(1) :]}", encoding="utf-8")
    elif f"{after}\n" != before[1]:
        sys.exit(f"README.md has another table; `nox -s engines-all -- --table` writes it:\n{after}")


if __name__ == "__main__":
    main()
