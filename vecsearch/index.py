"""``SimilarityIndex``: a view of everything, and the writes and life cycle."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any, final

from vecsearch import checks, embedding, filters, ingest, rows, tables
from vecsearch.calls import NOTHING
from vecsearch.errors import InvalidInputError, UnsupportedError
from vecsearch.handle import Handle
from vecsearch.masking import public_config
from vecsearch.models.given import same_model
from vecsearch.results import html_table, object_array
from vecsearch.scopes import Scope
from vecsearch.types import Embeddings, IndexConfig, MetadataMode, OnExisting, OnMissing, Receipt
from vecsearch.uploads import refuse_large
from vecsearch.views import View

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from pathlib import Path

    from vecsearch.calls import Engine
    from vecsearch.embedding import OnFailed
    from vecsearch.filters import Filter
    from vecsearch.ingest import Draft
    from vecsearch.types import Model


@final
class SimilarityIndex(View):
    """One index, whatever engine lies behind it. Made by ``compute_similarity``, ``load_run`` or ``connect``.

    A row has an id, an embedding, and optionally metadata and a document. On a patch index a row is a label (an object)
    of a sample; label ids are unique over the index. All read methods are those of ``View``, over all rows.

    Safe in several threads: reads see whole writes, and one write runs at a time. ``with index:`` closes it, and never
    deletes.
    """

    def __init__(
        self,
        engine: Engine,
        draft: Draft,
        *,
        model: Model | None = None,
        key: str | None = None,
        patches_field: str | None = None,
        recorded_model: Mapping[str, Any] | None = None,
        on_change: Callable[[SimilarityIndex], None] | None = None,
    ) -> None:
        name = repr(key) if key else engine.config.index_name or "unnamed"
        super().__init__(Handle(engine, draft, model, key, f"{engine.name} index {name}", recorded_model), Scope())
        same_model(recorded_model, model)
        self.patches_field = patches_field
        """The field of the samples that holds the labels, as it was named at the creation."""
        self._on_change = on_change
        self._recorded_spec = engine.spec
        self.failed_samples: dict[str, str] = {}
        """The samples that this object skipped, as the model could not embed them: why, by id."""

    # ---- facts

    @property
    def key(self) -> str | None:
        """The key of the run that recorded this index."""
        return self._handle.key

    @property
    def config(self) -> IndexConfig:
        """What the index is and how it is configured; never its secrets."""
        record, model = self.model_record, self._handle.model
        return IndexConfig(
            method=self._engine.name,
            metric=self.metric,
            model=record["name"] if record else None,
            patches_field=self.patches_field,
            supports_prompts=bool(model and model.supports_prompts),
            settings=public_config(self._engine.config),
        )

    @property
    def client(self) -> Any:
        """The engine's own client: the way around vecsearch, at your own risk."""
        return self._engine.backend.client

    @property
    def total_index_size(self) -> int:
        """The number of rows."""
        return self.count()

    def get_model(self) -> Model | None:
        """The embedding model: the one that was passed, or the one that the run records by its name, or ``None``."""
        return self._handle.model

    @property
    def model_record(self) -> dict[str, Any] | None:
        """The fingerprint of the model whose vectors the index holds."""
        return self._handle.model_record

    # ---- writes

    def add_to_index(
        self,
        embeddings: Any,
        sample_ids: Iterable[Any],
        label_ids: Iterable[Any] | None = None,
        metadata: Any = None,
        documents: Sequence[str | None] | None = None,
        *,
        on_existing: OnExisting = "overwrite",
        wait: bool = True,
        progress: Any = None,
    ) -> Receipt:
        """Write rows: ``embeddings`` of shape (n, dim) and one id each, all columns aligned by position.

        A write replaces the whole row, metadata and document included: what is not given is absent afterwards.
        ``on_existing`` says what is done with ids that are in the index: ``"overwrite"`` them, ``"skip"`` them, or
        ``"raise"`` before anything is written. ``metadata`` is a list of dicts, a dict of columns, or a table.
        ``wait=True`` returns when later calls through this object see the rows.

        Everything refused is refused before anything is written (``InvalidInputError``, naming the rows): another
        width, NaN, zeros under cosine, an id twice, columns of other lengths, unknown types. A write that fails part
        way raises ``IngestError`` with what is in and what remains; one that fails at once, the engine's error.
        """
        chunk = tables.Chunk(embeddings, sample_ids, label_ids, metadata, documents)
        return self._add(chunk, on_existing=on_existing, wait=wait, progress=progress)

    def _add(self, chunk: tables.Chunk, *, on_existing: OnExisting, wait: bool, progress: Any) -> Receipt:
        engine = self._engine
        records = ingest.checked(chunk, self._handle.draft, engine.spec, engine.capabilities)
        draft = self._handle.draft
        receipt = ingest.add(engine, draft, records, on_existing=on_existing, progress=progress, wait=wait)
        self._changed()
        return receipt

    def add_samples(
        self,
        samples: Sequence[Any],
        sample_ids: Iterable[Any],
        label_ids: Iterable[Any] | None = None,
        metadata: Any = None,
        documents: Sequence[str | None] | None = None,
        *,
        on_existing: OnExisting = "overwrite",
        on_failed: OnFailed = "skip",
        wait: bool = True,
        progress: Any = None,
    ) -> Receipt:
        """Embed ``samples`` with the index's model and write them; texts become their own documents.

        Samples that the model cannot embed are skipped, with a warning that names them and ``failed_samples``; with
        ``on_failed="raise"`` the first is a ``ModelError``, and nothing is written.
        """
        chunk, failed = embedding.rows(
            self._needed_model(),
            samples,
            sample_ids,
            label_ids,
            metadata,
            documents,
            dim=self.dim,
            on_failed=on_failed,
            progress=progress,
        )
        receipt = self._add(chunk, on_existing=on_existing, wait=wait, progress=progress)
        self.failed_samples.update(failed)
        return receipt

    def compute_embeddings(
        self,
        samples: Sequence[Any],
        sample_ids: Iterable[Any] | None = None,
        *,
        on_failed: OnFailed = "raise",
        progress: Any = None,
    ) -> Embeddings:
        """Embeddings of ``samples`` by the index's model, without writing them; ids default to positions.

        A sample that the model cannot embed is a ``ModelError``; with ``on_failed="skip"`` it is left out, with a
        warning.
        """
        chunk, _ = embedding.rows(
            self._needed_model(),
            samples,
            sample_ids,
            None,
            None,
            None,
            dim=self.dim,
            on_failed=on_failed,
            progress=progress,
        )
        return Embeddings(chunk.embeddings, object_array(chunk.sample_ids), None)

    def _needed_model(self) -> Model:
        model = self._handle.model
        if model is None:
            raise UnsupportedError(f"embedding samples needs a model{self._handle.model_hint}: load_run(key, model=…)")
        return model

    def ingest(
        self,
        source: Any,
        *,
        embeddings: str = "embedding",
        sample_ids: Any = "sample_id",
        label_ids: Any = None,
        metadata: Any = (),
        documents: Any = None,
        on_existing: OnExisting = "overwrite",
        checkpoint: str | Path | None = None,
        wait: bool = True,
        progress: Any = None,
    ) -> Receipt:
        """Write a source of any length in bounded memory.

        ``source``: a path, glob or list of Parquet files; a ``.npy`` file or a (mapped) array with ``sample_ids`` as a
        sequence; anything with ``__arrow_c_stream__``; or an iterator of tables, dicts of columns, or tuples
        ``(embeddings, sample_ids[, label_ids[, metadata[, documents]]])``. The other arguments name its columns.

        Each batch is checked before it is written; an id that appears twice in the stream is refused when it is met.
        A failure raises ``IngestError`` with ``written``, ``failed`` and ``remaining`` input rows. With ``checkpoint``,
        a path, the same call goes on where the last one ended, also after a kill; at the end the file is removed. On
        an index that must be saved, checkpoints save it.
        """
        columns = tables.Columns(embeddings, sample_ids, label_ids, metadata, documents)
        receipt = ingest.stream(
            self._engine,
            self._handle.draft,
            tables.source(source, columns),
            on_existing=on_existing,
            checkpoint=checkpoint,
            progress=progress,
            wait=wait,
        )
        self._changed()
        return receipt

    def remove_from_index(
        self,
        sample_ids: Iterable[Any] | None = None,
        label_ids: Iterable[Any] | None = None,
        *,
        filter: Filter | Mapping[str, Any] | None = None,  # noqa: A002
        on_missing: OnMissing = "skip",
        wait: bool = True,
    ) -> int:
        """Delete rows by exactly one selector; returns how many there were. ``clear()`` deletes all.

        On a patch index ``sample_ids`` means all labels of each sample. Ids that are not there are left alone, or raise
        ``MissingIdsError`` before anything is deleted with ``on_missing="raise"``.
        """
        selector = checks.one_selector(sample_ids=sample_ids, label_ids=label_ids, filter=filter)
        if selector is None:
            raise InvalidInputError("remove what? give sample_ids=, label_ids= or filter=; clear() removes all rows")
        with self._engine.write_lock:
            if selector == "filter":
                ids = list(rows.all_ids(self._engine, self._within(filters.parse(filter))))
            else:
                ids = rows.resolve(self._engine, Scope(), sample_ids, label_ids, on_missing) or []
            removed = rows.remove(self._engine, ids, on_missing)
        if wait:
            self._engine.wait_until_visible([], ids)
        return removed

    def clear(self, *, wait: bool = True) -> int:
        """Delete all rows; the index itself, its metric and its width stay. Returns how many there were."""
        with self._engine.write_lock:
            ids = list(rows.all_ids(self._engine, Scope()))
            removed = rows.remove(self._engine, ids, "skip")
        if wait:
            self._engine.wait_until_visible([], ids)
        return removed

    def set_metadata(
        self,
        metadata: Any,
        sample_ids: Iterable[Any] | None = None,
        label_ids: Iterable[Any] | None = None,
        *,
        mode: MetadataMode = "merge",
        wait: bool = True,
    ) -> int:
        """Change the metadata of existing rows; embeddings and documents stay. Returns the number of rows.

        ``"merge"`` sets the fields given and keeps the others; ``"replace"`` keeps none. On a patch index one row of
        metadata for a sample goes to all of its labels. Ids that are not there raise ``MissingIdsError``.
        """
        checks.choice(mode, MetadataMode, "mode")
        selector = checks.one_selector(sample_ids=sample_ids, label_ids=label_ids)
        if selector is None:
            raise InvalidInputError("metadata of which rows? give sample_ids= or label_ids=")
        named = checks.ids(sample_ids if selector == "sample_ids" else label_ids, selector)
        values = checks.metadata(metadata, len(named)) or []
        by_name = dict(zip(named, values, strict=True))
        with self._engine.write_lock:
            ids = rows.resolve(self._engine, Scope(), sample_ids, label_ids, "raise") or []
            found = rows.fetched(self._engine, Scope(), ids, NOTHING, "raise")  # refused before anything is written
            if found.sample_ids is not None and selector == "sample_ids":
                by_name = {label: by_name[sample] for label, sample in zip(ids, found.sample_ids, strict=True)}
            for batch in rows.with_metadata(self._engine, ids, by_name, mode):
                refuse_large(self._engine, batch)
                self._engine.upsert(batch)
        if wait:
            self._engine.wait_until_visible(ids, [])
        return len(ids)

    # ---- life cycle

    def save(self) -> None:
        """Make every write durable. Engines that store each write at once have nothing left to do."""
        self._engine.save()
        self._changed(force=True)

    def reload(self) -> None:
        """Read again what another process has written; refused while there are unsaved changes."""
        if self._engine.backend.unsaved:
            raise InvalidInputError("there are unsaved changes: save() them, or open the index again with load_run")
        self._engine.call("reload", self._engine.backend.reload)
        self._engine.describe()

    def wait(self, timeout: float | None = None) -> None:
        """Return when all writes through this object are visible; ``NotVisibleYetError`` after ``timeout`` seconds."""
        self._engine.wait_until_visible([], [], timeout)

    def cleanup(self) -> None:
        """Delete the index and all of its rows from the engine. The run record stays until ``delete_run``."""
        with self._engine.write_lock:
            self._engine.drop()
            self._engine.forget()

    def close(self) -> None:
        """Let go of the engine; never deletes. Warns if there are unsaved changes of an index that has a key."""
        if self._engine.closed:
            return
        if self._engine.backend.unsaved and self.key is not None:
            warnings.warn(f"{self._handle.label} is closed with unsaved changes; call index.save() first", stacklevel=2)
        self._engine.close()

    def _changed(self, *, force: bool = False) -> None:
        """Tell the run record what the first write decided."""
        if self._on_change is not None and (force or self._engine.spec != self._recorded_spec):
            self._on_change(self)
            self._recorded_spec = self._engine.spec

    def __enter__(self) -> SimilarityIndex:
        return self

    def __exit__(self, *_: object) -> None:
        """Close, never delete."""
        self.close()

    def __repr__(self) -> str:
        name = f"{self.key!r}, " if self.key else ""
        return f"SimilarityIndex({name}{self._engine.name}, {self.metric}, dim={self.dim})"

    def _repr_html_(self) -> str:
        facts = {"key": self.key, "backend": self._engine.name, "metric": self.metric, "dim": self.dim}
        return html_table([facts], "SimilarityIndex")
