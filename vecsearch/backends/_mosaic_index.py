"""One index of Databricks behind its REST API: states, pages, statuses of writes, keys in URLs.

The queries go through the client's own ``api_client``: its ``query_index`` knows no ``filter_string``, and turns an
answer of floats into an object a number.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from databricks.sdk import errors
from databricks.sdk.service import vectorsearch

from vecsearch.backends._mosaic_faults import meaning
from vecsearch.backends._paging import pages
from vecsearch.errors import BackendError, ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

_ROOT = "/api/2.0/vector-search"
_URL_BYTES = 6000  # of keys in the URL of a deletion: how long a URL may be is not documented
_POLL_SECONDS, _LONGEST_POLL_SECONDS = 0.2, 5.0
_NEVER = frozenset({"OFFLINE", "STOPPED", "STOPPING", "RED_STATE", "DELETED"})
_SHOWN_KEYS = 5

Row = dict[str, Any]


class Index:
    """Calls about one index; every answer is checked for being what was asked for."""

    def __init__(self, client: Callable[[], Any], name: str, timeout: float) -> None:
        self._client = client
        self.name = name
        self._timeout = timeout
        self.key = "id"
        """The column of the primary key."""

    # ---- what there is

    def get(self) -> Any:
        """The index as the service describes it, or ``None`` where there is none."""
        try:
            return self._client().vector_search_indexes.get_index(self.name)
        except errors.NotFound:
            return None

    def endpoint(self, name: str) -> Any:
        """An endpoint, or ``None`` where there is none."""
        try:
            return self._client().vector_search_endpoints.get_endpoint(name)
        except errors.NotFound:
            return None

    def create_endpoint(self, name: str, type_: str) -> None:
        """Ask for an endpoint; one that has come into being meanwhile does as well."""
        try:
            self._client().vector_search_endpoints.create_endpoint(name, vectorsearch.EndpointType(type_))
        except errors.ResourceConflict:
            if self.endpoint(name) is None:
                raise

    def create(self, endpoint: str, key: str, vector: str, dim: int, schema_json: str) -> None:
        """Make a Direct Access index."""
        spec = vectorsearch.DirectAccessVectorIndexSpec(
            embedding_vector_columns=[vectorsearch.EmbeddingVectorColumn(name=vector, embedding_dimension=dim)],
            schema_json=schema_json,
        )
        try:
            self._client().vector_search_indexes.create_index(
                self.name,
                endpoint,
                key,
                vectorsearch.VectorIndexType.DIRECT_ACCESS,
                direct_access_index_spec=spec,
            )
        except errors.ResourceConflict:
            # The client repeats a call whose answer was lost: the index may be ours. Each schema has a name of its own.
            found = self.get()
            made = None if found is None else found.direct_access_index_spec
            if made is None or made.schema_json != schema_json:
                raise

    def drop(self, seconds: float) -> None:
        """Delete the index, and return when it is gone; nothing where there is none."""
        try:
            self._client().vector_search_indexes.delete_index(self.name)
        except errors.NotFound:
            return
        self._until(lambda: self.get() is None, lambda: "the deleted index is still there", seconds)

    # ---- readiness, polled here: the client's own waiting has other timeouts

    def await_endpoint(self, name: str, seconds: float) -> None:
        """Return when the endpoint is online; raise where it will not be."""
        state = ""

        def online() -> bool:
            nonlocal state
            found = self.endpoint(name)
            status = None if found is None else found.endpoint_status
            state = "DELETED" if found is None else status.state.value if status and status.state else ""
            if state in _NEVER:
                message = f": {status.message}" if status is not None and status.message else ""
                raise BackendError(f"mosaic: the endpoint {name!r} is {state}{message}; start it in the workspace")
            return state in ("ONLINE", "YELLOW_STATE")

        self._until(online, lambda: f"the endpoint {name!r} is still {state or 'in no state'}", seconds)

    def await_ready(self, seconds: float, *, created: bool = False) -> Any:
        """The index's description, once it is ready for queries; ``None`` where there is no index.

        One that was ``created`` a moment ago is there, whatever the service says.
        """
        found: Any = None

        def ready() -> bool:
            nonlocal found
            found = self.get()
            return not created if found is None else bool(found.status and found.status.ready)

        def state() -> str:
            message = found.status.message if found is not None and found.status else None
            return f"the index is not ready{f': {message}' if message else ''}"

        self._until(ready, state, seconds)
        return found

    def _until(self, done: Callable[[], bool], otherwise: Callable[[], str], seconds: float) -> None:
        deadline = time.monotonic() + seconds
        pause = _POLL_SECONDS
        while not done():
            if time.monotonic() + pause > deadline:
                raise BackendError(f"mosaic: {self.name}: {otherwise()} after {seconds:g} s")
            time.sleep(pause)
            pause = min(pause * 1.5, _LONGEST_POLL_SECONDS)

    # ---- rows

    def query(self, columns: Sequence[str], vector: Sequence[float], rows: int, where: Mapping[str, str]) -> list[Row]:
        """The nearest rows, each its values by column, the score under ``""``; all pages of them."""
        body = {"columns": list(columns), "query_vector": list(vector), "num_results": rows, "query_type": "ANN"}
        first = {**body, **where}
        found: dict[str, Row] = {}
        names: list[str] = []

        def ask(token: str | None) -> tuple[dict[str, Any], str | None]:
            answer = self._post(*(("query", first) if token is None else ("query-next-page", {"page_token": token})))
            return answer, answer.get("next_page_token") or None

        for answer in pages("mosaic", ask):
            names = [str(one.get("name")) for one in (answer.get("manifest") or {}).get("columns") or ()] or names
            for values in (answer.get("result") or {}).get("data_array") or ():
                if len(values) != len(names) or names[:-1] != list(columns):
                    raise BackendError(
                        f"mosaic: query: {len(values)} values to the columns {names}, of {list(columns)}"
                    )
                row = dict(zip(columns, values[:-1], strict=True)) | {"": values[-1]}
                if found.setdefault(str(row[columns[0]]), row) is not row:
                    raise BackendError(f"mosaic: query: the service sends the row {row[columns[0]]!r} twice")
            if len(found) >= rows:
                break
        return list(found.values())[:rows]

    def types_of(self, columns: Sequence[str], dim: int) -> dict[str, str]:
        """These columns, and what the service calls their types."""
        body = {"columns": list(columns), "query_vector": [1.0] + [0.0] * (dim - 1), "num_results": 1}
        found = (self._post("query", body).get("manifest") or {}).get("columns") or ()
        types = {str(one.get("name")): str(one.get("type_text") or "") for one in found}
        return {name: types.get(name, "") for name in columns}

    def scan(self, rows: int, after: str | None = None) -> Iterator[list[Row]]:
        """All rows, each its values by column, in pages of at most ``rows``; those after a key, where one is given."""
        size = rows

        def ask(key: str | None) -> tuple[list[Row], str | None]:
            nonlocal size
            last = after if key is None else key
            while True:
                body: dict[str, Any] = {"num_results": size, **({} if last is None else {"last_primary_key": last})}
                try:
                    answer = self._patiently("scan", body)
                except errors.BadRequest:
                    if size == 1:
                        raise
                    size //= 2  # texts may make a page too large, which is not known beforehand
                    continue
                page = [
                    {one["key"]: _plain(one.get("value") or {}) for one in entry.get("fields") or ()}
                    for entry in answer.get("data") or ()
                ]
                # Only an empty page is the last: one that lacks the key of its last row may not be.
                return page, str(answer.get("last_primary_key") or page[-1].get(self.key)) if page else None

        return (page for page in pages("mosaic", ask) if page)

    def _patiently(self, operation: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """The answer to a read that is one of many, repeated on its own: whoever reads them all cannot begin again."""
        from tenacity import Retrying, retry_if_exception, stop_after_delay, wait_random_exponential

        retrying = Retrying(
            stop=stop_after_delay(self._timeout),
            wait=wait_random_exponential(multiplier=0.2, max=10),
            retry=retry_if_exception(lambda error: isinstance(error, Exception) and meaning(error) == "unavailable"),
            reraise=True,
        )
        answer: dict[str, Any] = retrying(self._post, operation, body)
        return answer

    def upsert(self, inputs_json: str, keys: Sequence[str]) -> None:
        """Write rows; raises where one of them was not taken, which the service says with the status 200."""
        answer = self._client().vector_search_indexes.upsert_data_vector_index(self.name, inputs_json)
        _check(answer, "write", keys)

    def delete(self, keys: Sequence[str]) -> None:
        """Remove rows, in requests whose URLs are not too long: the keys lie in them."""
        for piece in _pieces(keys):
            answer = self._client().vector_search_indexes.delete_data_vector_index(self.name, list(piece))
            _check(answer, "delete", piece, counted=False)

    def _post(self, operation: str, body: Mapping[str, Any]) -> dict[str, Any]:
        client = self._client()
        # As the client's own methods do it, for hosts of several workspaces.
        headers = {"X-Databricks-Workspace-Id": client.config.workspace_id} if client.config.workspace_id else {}
        path = f"{_ROOT}/indexes/{self.name}/{operation}"
        answer = client.api_client.do("POST", path, headers={"Accept": "application/json", **headers}, body=dict(body))
        if not isinstance(answer, dict):
            raise BackendError(f"mosaic: {operation}: the answer is no object, but {type(answer).__name__}")
        return answer


def _plain(value: Mapping[str, Any]) -> Any:
    """A value of a scan."""
    for name in ("string_value", "number_value", "bool_value"):
        if value.get(name) is not None:
            return value[name]
    if value.get("list_value") is not None:
        return [_plain(one) for one in value["list_value"].get("values") or ()]
    return None


def _check(answer: Any, operation: str, keys: Sequence[str], *, counted: bool = True) -> None:
    status = answer.status.value if answer.status is not None else "no status"
    failed = list(answer.result.failed_primary_keys or ()) if answer.result is not None else []
    done = answer.result.success_row_count if answer.result is not None else None
    # Keys that are not there may or may not be counted among those that were deleted.
    short = counted and done is not None and done < len(keys)
    if status == "SUCCESS" and not failed and not short:
        return
    names = ", ".join(map(repr, failed[:_SHOWN_KEYS])) or "which the service does not name"
    more = f" and {len(failed) - _SHOWN_KEYS} more" if len(failed) > _SHOWN_KEYS else ""
    raise BackendError(
        f"mosaic: {operation}: {status}: of {len(keys)} rows {'not all' if done is None else done} were taken; failed: "
        f"{names}{more}; the same call can be repeated"
    )


def _pieces(keys: Sequence[str]) -> Iterator[Sequence[str]]:
    start, used = 0, 0
    for position, key in enumerate(keys):
        size = len("primary_keys=&") + len(quote(key, safe=""))
        if position > start and used + size > _URL_BYTES:
            yield keys[start:position]
            start, used = position, 0
        used += size
    if start < len(keys):
        yield keys[start:]


def missing_endpoint(name: str | None, type_: str) -> ConfigError:
    """What to do where there is no endpoint."""
    if name is None:
        return ConfigError("mosaic: a new index needs an endpoint: give endpoint_name")
    return ConfigError(
        f"mosaic: the workspace has no endpoint {name!r}: create it there, or pass create_endpoint=True, which makes "
        f"one of the type {type_} (it costs money as long as it exists)"
    )


__all__ = ("Index", "Row", "missing_endpoint")
