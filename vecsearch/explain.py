"""Which layer each setting came from, and what is wrong with them, as a value that shows no secret."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from vecsearch.errors import VecsearchError
from vecsearch.layers import BACKENDS
from vecsearch.masking import exposed, masked, world_readable
from vecsearch.resolving import Plan, check, spellings

if TYPE_CHECKING:
    from vecsearch.configured import Configured
    from vecsearch.layers import Snapshot


@dataclass(frozen=True, slots=True)
class Row:
    """One setting: its name, its value (masked where it is secret), the layer it came from."""

    setting: str
    value: Any
    layer: str


@dataclass(frozen=True, slots=True)
class Explanation:
    """Every setting with its layer, and every problem; ``print`` it for a table."""

    rows: tuple[Row, ...]
    problems: tuple[str, ...] = ()
    ignored: tuple[str, ...] = ()
    """Sections of the file that are not ours, such as FiftyOne's others."""

    def __str__(self) -> str:
        table = [("SETTING", "VALUE", "FROM")]
        table += [(row.setting, _text(row.value), row.layer) for row in self.rows]
        first, second = (max(len(line[column]) for line in table) for column in (0, 1))
        lines = [f"{name:<{first}}  {value:<{second}}  {layer}".rstrip() for name, value, layer in table]
        if self.ignored:
            lines += ["", f"Sections of the file that are not for vecsearch: {', '.join(self.ignored)}"]
        if self.problems:
            lines += ["", "Problems:", *(f"- {problem}" for problem in self.problems)]
        return "\n".join(lines)

    def to_json(self) -> str:
        """The same as a JSON object with ``rows``, ``problems`` and ``ignored``."""
        return json.dumps(asdict(self), indent=2, default=str)


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, default=str, ensure_ascii=False)


def explain(snapshot: Snapshot, models: Snapshot) -> Explanation:
    """Explain what the layers say about backends and about models. Nothing raises: what would is among the problems."""
    path = snapshot.path.value
    default = snapshot.default
    rows = [
        Row("home", str(snapshot.home.value), snapshot.home.layer),
        Row("config file", str(path) if path.exists() else f"{path} (none)", snapshot.path.layer),
        Row(default.key, default.value, default.layer),
    ]
    problems = [*snapshot.problems, *models.problems]
    for name in sorted({*snapshot.profiles, default.value}):
        rows += _profile(snapshot, name, problems)
    for name in sorted(models.profiles):
        rows += _profile(models, name, problems)
    return Explanation(tuple(rows), tuple(dict.fromkeys(problems)), tuple(snapshot.ignored))


def _profile(snapshot: Snapshot, name: str, problems: list[str]) -> list[Row]:
    model = _check(snapshot, name, problems)
    names = spellings(model) if model is not None else {}
    shown = name if snapshot.family is BACKENDS else f"{snapshot.family.section}.{name}"
    rows: dict[str, Row] = {}
    for setting in (setting for layer in snapshot.profiles.get(name, ()) for setting in layer):
        field = names.get(setting.key)
        key = field or setting.key
        if setting.value is not None and key not in rows:
            plain = field is None and key in {"type", "metric"}
            rows[key] = Row(
                f"{shown}.{key}", setting.value if plain else masked(model, field, setting.value), setting.layer
            )
    for key, info in model.model_fields.items() if model is not None else ():
        if key not in rows:
            value = (
                "(not set)" if info.is_required() else masked(model, key, info.get_default(call_default_factory=True))
            )
            rows[key] = Row(f"{shown}.{key}", value, "default")
    return [rows[key] for key in sorted(rows)]


def _check(snapshot: Snapshot, name: str, problems: list[str]) -> type[Configured] | None:
    """The model of a profile's settings, if it can be found; its problems are added."""
    try:
        plan = Plan.make(snapshot, name)
    except (VecsearchError, ImportError) as error:
        problems += [str(error), *snapshot.profile_problems.get(name, ())]
        return None
    problems += check(snapshot, plan)
    if name == snapshot.default.value and plan.refusal():
        problems.append(plan.refusal())
    for settings in plan.exposed().values():
        file = settings[0].path
        if file is not None and world_readable(file):
            problems.append(exposed(file, ", ".join(setting.key for setting in settings)))
    return plan.model


__all__ = ("Explanation", "Row", "explain")
