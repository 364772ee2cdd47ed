"""The client of a Databricks workspace, made within our timeout, and never waiting longer than it."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from databricks.sdk import WorkspaceClient
from databricks.sdk.clock import Clock
from databricks.sdk.core import Config

from vecsearch.backends._several import several

if TYPE_CHECKING:
    from vecsearch.backends.mosaic import MosaicConfig

_PROBE_SECONDS = 2


class BoundedClock(Clock):
    """The client sleeps as long as a Retry-After says, be it an hour; with this one, at most so long."""

    def __init__(self, longest: float) -> None:
        self._longest = longest

    def time(self) -> float:
        """Seconds since some moment."""
        return time.monotonic()

    def sleep(self, seconds: float) -> None:
        """Wait, or raise where the wait would outlast the call."""
        if seconds > self._longest:
            raise TimeoutError(f"the service asks for a pause of {seconds:.0f} s, and a call has {self._longest:g} s")
        time.sleep(seconds)


def of(config: MosaicConfig) -> Any:
    """A client of the workspace. Its making asks the workspace about itself, and fetches the addresses of OAuth."""
    # For the addresses of OAuth the SDK takes no timeout from us: it may try for five minutes.
    (made,) = several(config.timeout, 1, _client, [config])
    return made


def _client(config: MosaicConfig) -> Any:
    options: dict[str, Any] = {"host": config.workspace_url}
    if config.personal_access_token is not None:
        options |= {"token": config.personal_access_token.get_secret_value(), "auth_type": "pat"}
    elif config.service_principal_client_secret is not None:
        options |= {
            "client_id": config.service_principal_client_id,
            "client_secret": config.service_principal_client_secret.get_secret_value(),
            "auth_type": "oauth-m2m",
        }
    seconds = max(1, round(config.timeout))
    # What the workspace says of itself is of use, and not needed: it is not waited for as long as a call is.
    made = Config(
        **{name: value for name, value in options.items() if value is not None},
        http_timeout_seconds=min(config.timeout, _PROBE_SECONDS),
        retry_timeout_seconds=1,
        clock=BoundedClock(config.timeout),
    )
    made.http_timeout_seconds = config.timeout
    made.retry_timeout_seconds = seconds
    return WorkspaceClient(config=made)


__all__ = ("BoundedClock", "of")
