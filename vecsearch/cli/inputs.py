"""What a command line gives as files and text, read into what the library takes."""

import csv
import inspect
import json
import math
import re
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from vecsearch.errors import InvalidInputError

_INT = re.compile(r"-?(0|[1-9]\d{0,18})")  # 007 is a name, not a number
_FLOAT = re.compile(r"-?(0|[1-9]\d*)(\.\d+)?([eE][+-]?\d{1,3})?")
_BOOL = {"true": True, "false": False}
_MAX_INT = 2**63 - 1
TYPES = ("str", "int", "float", "bool", "datetime")


def array(path: Path) -> Any:
    """The array in a ``.npy`` file, mapped, not read."""
    import numpy as np

    try:
        loaded = np.load(path, mmap_mode="r", allow_pickle=False)
    except OSError as error:
        raise _unreadable(path, error) from error
    except ValueError as error:
        raise InvalidInputError(f"{path} is no .npy file of numbers; numpy.save writes one") from error
    if not isinstance(loaded, np.ndarray):
        loaded.close()
        raise InvalidInputError(f"{path} holds several arrays; numpy.save writes one")
    return loaded


def text(path: Path) -> str:
    """The text of a file."""
    try:
        return path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise _unreadable(path, error) from error
    except UnicodeDecodeError as error:
        raise InvalidInputError(f"{path} is no UTF-8 text (byte {error.start})") from error


def _unreadable(path: Path, error: OSError) -> InvalidInputError:
    if isinstance(error, FileNotFoundError):
        return InvalidInputError(f"there is no file {path}")
    return InvalidInputError(f"{path} cannot be read: {error.strerror or error}")


def lines(path: Path) -> list[str]:
    """The lines of a text file; the last one may end without a line break."""
    found = text(path).split("\n")
    return found[:-1] if found[-1] == "" else found


def ids(path: Path) -> list[str]:
    """Ids, one a line."""
    found = lines(path)
    if "" in found:
        raise InvalidInputError(f"{path}: line {found.index('') + 1} is empty; an id a line, one for each embedding")
    return found


def documents(path: Path) -> list[str | None]:
    """Documents: a line each, or a JSON text a line (``.jsonl``) to hold line breaks; empty and null are absent."""
    if path.suffix == ".jsonl":
        values = [_json(line, f"{path}, line {number}") for number, line in enumerate(lines(path), 1)]
        for number, value in enumerate(values, 1):
            if value is not None and not isinstance(value, str):
                raise InvalidInputError(f"{path}, line {number}: a document is a JSON text or null")
        return values
    return [line or None for line in lines(path)]


def metadata(path: Path, types: str | None = None) -> Any:
    """Metadata of each row, in the order of the embeddings.

    ``.json``: a list of objects, or an object of lists. ``.jsonl``: an object a line. Everything else is CSV with a
    head line; there a column is int, float or bool (true, false) if all its values are, and text otherwise; empty is
    absent. ``types`` (``"zip=str,seen=datetime"``) says otherwise.
    """
    if path.suffix in (".json", ".jsonl"):
        if types:
            raise InvalidInputError("--metadata-types is for CSV; JSON says the types itself")
        if path.suffix == ".json":
            return _dates(_json(text(path), str(path)))
        return [_dates(_json(line, f"{path}, line {number}")) for number, line in enumerate(lines(path), 1) if line]
    return _csv_columns(path, _types(types))


def _types(given: str | None) -> dict[str, str]:
    types: dict[str, str] = {}
    for part in filter(None, (given or "").split(",")):
        name, _, kind = part.partition("=")
        if kind not in TYPES:
            raise InvalidInputError(f"--metadata-types: {part!r} is not name=type with a type of {', '.join(TYPES)}")
        types[name.strip()] = kind
    return types


def _csv_columns(path: Path, types: dict[str, str]) -> dict[str, list[Any]]:
    rows = list(csv.reader(text(path).splitlines(keepends=True)))
    if not rows:
        raise InvalidInputError(f"{path} is empty; its first line must name the metadata fields")
    head, *body = rows
    if len(set(head)) != len(head):
        raise InvalidInputError(f"{path} names a column twice: {', '.join(head)}")
    for number, row in enumerate(body, 2):
        if len(row) != len(head) and row:
            raise InvalidInputError(f"{path}, row {number}: {len(row)} values for {len(head)} columns")
    unknown = [name for name in types if name not in head]
    if unknown:
        raise InvalidInputError(f"--metadata-types: {path} has no column {unknown[0]!r}; it has {', '.join(head)}")
    columns = {name: [row[at] if row else "" for row in body] for at, name in enumerate(head)}
    return {name: typed(values, types.get(name), f"{path}, column {name!r}") for name, values in columns.items()}


def typed(values: Sequence[str], kind: str | None, where: str) -> list[Any]:
    """The values of a column, of the type that all of them have."""
    kind = kind or _kind([value for value in values if value])
    result: list[Any] = []
    for number, value in enumerate(values, 2):
        try:
            result.append(_value(value, kind) if value else None)
        except (ValueError, KeyError):
            raise InvalidInputError(f"{where}, row {number}: {value!r} is no {kind}") from None
    return result


def _kind(values: Sequence[str]) -> str:
    if values and all(_INT.fullmatch(value) and abs(int(value)) <= _MAX_INT for value in values):
        return "int"
    if values and all(_FLOAT.fullmatch(value) and math.isfinite(float(value)) for value in values):
        return "float"
    if values and all(value.lower() in _BOOL for value in values):
        return "bool"
    return "str"


def _value(value: str, kind: str) -> Any:
    if kind == "bool":
        return _BOOL[value.strip().lower()]
    if kind == "datetime":
        return datetime.fromisoformat(value.strip())
    return {"int": int, "float": float, "str": str}[kind](value)


def _json(source: str, where: str) -> Any:
    try:
        return json.loads(source)
    except json.JSONDecodeError as error:
        raise InvalidInputError(f"{where} is no JSON: {error.msg} at character {error.pos + 1}") from error


def _dates(value: Any) -> Any:
    """The same with ``{"$date": "…"}``, the form that filters have, as datetimes."""
    if isinstance(value, list):
        return [_dates(part) for part in value]
    if isinstance(value, dict):
        if set(value) == {"$date"}:
            try:
                return datetime.fromisoformat(value["$date"])
            except (TypeError, ValueError):
                raise InvalidInputError(f"$date takes an ISO 8601 text, not {value['$date']!r}") from None
        return {name: _dates(part) for name, part in value.items()}
    return value


def filter_tree(source: str | None) -> dict[str, Any] | None:
    """``--filter``: a JSON object; what it means is the library's to say."""
    if source is None:
        return None
    try:
        value = json.loads(source)
    except json.JSONDecodeError as error:
        raise InvalidInputError(
            f"--filter is no JSON ({error.msg} at character {error.pos + 1} of {source}); "
            'write \'{"tenant": "acme", "year": {"$gte": 2020}}\''
        ) from error
    if not isinstance(value, dict):
        raise InvalidInputError(f'--filter must be a JSON object such as \'{{"tenant": "acme"}}\', not {source}')
    return value


def vectors(source: str) -> Any:
    """``--vector``: a JSON list, of numbers or of such lists, or a ``.npy`` file."""
    if source.lstrip().startswith("["):
        return _numbers(_json(source, "--vector"))
    return array(Path(source))


def _numbers(value: Any) -> Any:
    rows = value if value and all(isinstance(row, list) for row in value) else [value]
    for row in rows:
        if not row or not all(isinstance(number, int | float) and not isinstance(number, bool) for number in row):
            raise InvalidInputError("--vector takes a list of numbers, or a list of lists of numbers")
        if len(row) != len(rows[0]):
            raise InvalidInputError(f"--vector: the lists have {len(rows[0])} and {len(row)} numbers")
    return value


def settings(given: Sequence[str]) -> dict[str, Any]:
    """``--set name=value``: settings of the backend; lists and tables as JSON."""
    from vecsearch import compute_similarity

    taken = set(inspect.signature(compute_similarity).parameters) - {"settings"}
    result: dict[str, Any] = {}
    for one in given:
        name, equals, value = one.partition("=")
        if not equals or not name:
            raise InvalidInputError(f"--set {one}: write --set name=value")
        if name in taken:
            raise InvalidInputError(f"--set {one}: {name} is no setting of a backend; see the options of the command")
        if name in result:
            raise InvalidInputError(f"--set {name}: given twice")
        result[name] = _json(value, f"--set {name}") if value[:1] in ("{", "[") else value
    return result


def names(given: str | None) -> list[str]:
    """Names with commas between them."""
    return [name.strip() for name in (given or "").split(",") if name.strip()]
