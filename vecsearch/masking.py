"""What is secret in a setting: never shown, never recorded."""

from __future__ import annotations

import logging
import re
import stat
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

from pydantic import BaseModel, SecretBytes, SecretStr

if TYPE_CHECKING:
    from vecsearch.configured import Configured

MASK = "***"
_logger = logging.getLogger("vecsearch")
_warned: set[Path] = set()

# `https://user:password@host`: the part before the last @ of the authority. The second form is a password that was not
# quoted and holds a / ? or #: what follows the first colon is no port, so it is taken up to the last @.
_USERINFO = re.compile(
    r"([A-Za-z][A-Za-z0-9+.\-]*://)(?:[^\s/?#]*|(?!\[)[^\s/?#@:]*:(?!\d*(?:[/?#\s]|$))\S*)@", flags=re.ASCII
)


def is_secret(annotation: Any) -> bool:
    """Whether a secret type lies anywhere in an annotation: ``SecretStr | None``, ``dict[str, SecretStr]``, a model."""
    if isinstance(annotation, type) and issubclass(annotation, SecretStr | SecretBytes):
        return True
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return any(is_secret(info.annotation) for info in annotation.model_fields.values())
    return any(is_secret(part) for part in get_args(annotation))


def is_reference(value: object) -> bool:
    """Whether a value says where a secret is (``env:NAME``, ``file:/path``) rather than what it is."""
    return isinstance(value, str) and value.startswith(("env:", "file:"))


def dereference(value: Any, environ: Mapping[str, str]) -> Any:
    """A secret with its references followed. Raises `LookupError` saying what is missing, never a value."""
    if isinstance(value, SecretStr):
        value = value.get_secret_value()
    if isinstance(value, Mapping):
        return {key: dereference(part, environ) for key, part in value.items()}
    if not is_reference(value):
        return value
    kind, _, where = value.partition(":")
    if kind == "env":
        if not environ.get(where):
            raise LookupError(f"refers to the environment variable {where}, which is not set")
        return environ[where]
    try:
        # Files made by an editor or by `echo` end in a line break that is no part of the secret.
        text = Path(where).expanduser().read_text(encoding="utf-8").rstrip("\r\n")
    except OSError as error:
        reason = f"refers to the file {where}, which cannot be read: {error.strerror or error}"
        raise LookupError(reason) from None
    except UnicodeDecodeError:  # its context would hold the bytes
        text = ""
    if not text:
        raise LookupError(f"refers to the file {where}, which holds no text")
    return text


def without_userinfo(value: Any, replacement: str = "") -> Any:
    """A value whose URLs have lost their ``user:password@``, also within lists and mappings."""
    if isinstance(value, str):
        return _USERINFO.sub(lambda found: found.group(1) + replacement, value)
    if isinstance(value, Mapping):
        return {key: without_userinfo(part, replacement) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [without_userinfo(part, replacement) for part in value]
    return value


def masked(model: type[Configured] | None, field: str | None, value: Any) -> Any:
    """What may be shown of a value.

    Only what a model is known to hold openly is shown: a misspelt ``api_keey`` is a secret as well.
    """
    if model is None or field is None or field in model.secret_fields():
        if isinstance(value, Mapping):
            return {key: masked(None, None, part) for key, part in value.items()}
        return value if value is None or is_reference(value) else MASK
    if isinstance(value, SecretStr):
        return MASK
    return without_userinfo(value, f"{MASK}@")


def public_config(config: Configured) -> dict[str, Any]:
    """The settings of a run record, ready for JSON: what was set, without secrets and without ``user:password@``."""
    shown = config.model_fields_set - config.secret_fields()
    settings = config.model_dump(mode="json", include=set(shown), exclude_none=True)
    stripped: dict[str, Any] = without_userinfo(settings)
    return stripped


def secret_values(value: Any) -> Iterator[str]:
    """The secret texts in a value, at any depth."""
    if isinstance(value, SecretStr):
        yield value.get_secret_value()
    elif isinstance(value, Mapping):
        for part in value.values():
            yield from secret_values(part)


def without_secrets(text: str, config: Configured) -> str:
    """``text`` with every secret of the configuration masked."""
    for name in config.secret_fields():
        for secret in filter(None, secret_values(getattr(config, name))):
            text = text.replace(secret, MASK)
    stripped: str = without_userinfo(text, f"{MASK}@")
    return stripped


def world_readable(path: Path) -> bool:
    """Whether every user of the machine can read a file."""
    if sys.platform == "win32":  # permissions are no mode bits there
        return False
    try:
        return bool(path.stat().st_mode & stat.S_IROTH)
    except OSError:
        return False


def exposed(path: Path, names: str) -> str:
    """The message about secrets in a file that everybody can read."""
    return f"{path} holds {names} in plain text and every user can read it: chmod 600 it, or write 'env:NAME'"


def warn_exposed(path: Path, names: str) -> None:
    """Log, once a file, that it shows secrets to every user."""
    if path not in _warned and world_readable(path):
        _warned.add(path)
        _logger.warning("%s", exposed(path, names))


__all__ = (
    "MASK",
    "dereference",
    "exposed",
    "is_reference",
    "is_secret",
    "masked",
    "public_config",
    "secret_values",
    "warn_exposed",
    "without_secrets",
    "without_userinfo",
    "world_readable",
)
