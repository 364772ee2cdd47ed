"""What the settings of a backend and those of a model have in common: three kinds of field."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict

from vecsearch.masking import is_secret, without_userinfo

if TYPE_CHECKING:
    from collections.abc import Iterator


@dataclass(frozen=True, slots=True)
class Identity:
    """Marks a setting that says *which* index, or which model, is meant; the run record wins over every layer."""


class Configured(BaseModel):
    """Settings, validated once.

    A field is of one of three kinds. ``SecretStr`` fields are secrets: never recorded or shown. Fields annotated with
    ``Identity()`` say which index or model is meant: recorded, and the record wins. All others are connection settings:
    the layers win over the record.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True, populate_by_name=True)

    @classmethod
    def identity_fields(cls) -> frozenset[str]:
        """The names of the settings that the run record decides."""
        marked = (
            name for name, info in cls.model_fields.items() if any(isinstance(m, Identity) for m in info.metadata)
        )
        return frozenset(marked)

    @classmethod
    def secret_fields(cls) -> frozenset[str]:
        """The names of the settings that are never recorded or shown."""
        return frozenset(name for name, info in cls.model_fields.items() if is_secret(info.annotation))

    def __repr_args__(self) -> Iterator[tuple[str | None, Any]]:
        """Only what was set; passwords in URLs are masked."""
        shown = (name for name in sorted(self.model_fields_set) if not type(self).model_fields[name].exclude)
        return ((name, without_userinfo(getattr(self, name), "***@")) for name in shown)


__all__ = ("Configured", "Identity")
