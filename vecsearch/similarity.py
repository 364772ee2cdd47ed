"""The front door: create an index, open a recorded one, attach to one that exists, delete."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from vecsearch import checks, given, ingest, model_names, naming, registry, runs
from vecsearch import settings as layers
from vecsearch.backends.base import METRICS, BackendConfig, Metric, Spec
from vecsearch.calls import Engine
from vecsearch.errors import (
    IndexExistsError,
    IndexNotFoundError,
    InvalidInputError,
    RunError,
    RunNotFoundError,
    VecsearchError,
)
from vecsearch.index import SimilarityIndex
from vecsearch.ingest import Draft
from vecsearch.types import IfExists

if TYPE_CHECKING:
    from collections.abc import Mapping

    from vecsearch.backends.base import Backend
    from vecsearch.embedding import OnFailed
    from vecsearch.resolving import Resolved
    from vecsearch.runs import RunInfo
    from vecsearch.types import Model

logger = logging.getLogger("vecsearch")


def compute_similarity(
    samples: Any = None,
    *,
    embeddings: Any = None,
    sample_ids: Any = None,
    label_ids: Any = None,
    metadata: Any = None,
    documents: Any = None,
    key: str | None = None,
    model: Any = None,
    model_settings: Mapping[str, Any] | None = None,
    metric: Metric | None = None,
    dim: int | None = None,
    backend: str | BackendConfig | None = None,
    patches_field: str | None = None,
    if_exists: IfExists = "raise",
    on_failed: OnFailed = "skip",
    progress: Any = None,
    **settings: Any,
) -> SimilarityIndex:
    """Create an index and fill it.

    Vectors come as ``embeddings``, float32 (n, dim) or what converts to it, or from ``model``, which embeds
    ``samples``: a list of items, ``{id: item}``, or texts, which become their own documents. ``samples`` may be a table
    (pandas, polars, pyarrow); then ``embeddings``, ``sample_ids``, ``label_ids``, ``documents`` and ``metadata`` name
    its columns; with a ``model`` and no ``embeddings`` its documents are embedded. ``embeddings=False`` creates an
    empty index. Without ``sample_ids``, rows are called ``"0"``, ``"1"`` and so on.

    ``model`` is a name (``"openai:text-embedding-3-small"``, or a profile; see ``load_model``) with ``model_settings``,
    or an object with ``.encode``, or a callable. Samples that it cannot embed are skipped with a warning that names
    them, and stand in ``index.failed_samples``; with ``on_failed="raise"`` the first is an error.

    ``key`` names the run that records the index for ``load_run``; with a key everything is saved before this returns.
    Without one, the index of the embedded default lives in memory. ``if_exists`` says what is done where the key is
    taken: ``"raise"``, ``"load"`` the index that is there (metric and width must agree; nothing is written), or
    ``"replace"`` it. ``metric`` is ``"cosine"`` (the default everywhere), ``"euclidean"`` or ``"dotproduct"``. ``dim``
    fixes the width of an empty index. ``patches_field`` (or ``label_ids``) makes a patch index: a row per label.
    ``backend`` names a backend or a profile of the configuration, or is a ``BackendConfig``; ``settings`` are its
    settings, above every other layer.

    Raises ``RunExistsError``, ``ConfigError``, ``InvalidInputError`` (nothing is left behind), ``BackendError``.
    """
    checks.choice(if_exists, IfExists, "if_exists")
    given.refuse_misplaced(samples, embeddings, settings)
    if key is not None:
        runs.check_key(key)
    if metric is not None:
        checks.choice(metric, Metric, "metric")
    if dim is not None:
        dim = checks.positive(dim, "dim")
    the_model = model_names.chosen(model, model_settings)
    resolved = layers.resolve(backend, settings)
    taken = key is not None and if_exists != "raise" and _has_run(key)
    if taken and key is not None and if_exists == "load":
        return _loaded(key, metric=metric, dim=dim, model=the_model, backend=backend, settings=settings)
    metric = metric or resolved.metric or "cosine"
    if the_model is not None and embeddings is None:
        _ready(resolved, key, taken=taken)
    columns = (samples, embeddings, sample_ids, label_ids, metadata, documents)
    chunk, failed = given.rows(*columns, the_model, dim=dim, on_failed=on_failed, progress=progress)
    patches = patches_field is not None or (chunk is not None and chunk.label_ids is not None)
    draft = Draft(metric, dim, patches or None)
    # All that can be refused is refused before anything that exists is touched.
    records = None if chunk is None else ingest.checked(chunk, draft, None, resolved.backend_class.capabilities)
    if taken and key is not None:
        delete_run(key, cleanup=True)
    config = _placed(resolved, key)
    info = _reserved(key, resolved, config, draft, the_model, patches_field) if key is not None else None
    engine, ours = None, False
    try:
        engine = _opened(resolved, config)
        attach = embeddings is False and config.index_name is not None
        ours = not _created(engine, draft, attach=attach, if_exists=if_exists)
        index = _index(engine, draft, the_model, info, patches_field)
        index.failed_samples.update(failed)
        if records is not None:
            ingest.add(engine, draft, records, on_existing="overwrite", progress=progress, wait=True)
        if key is not None:
            index.save()
    except BaseException:
        _undo(engine, info, ours=ours)
        raise
    return index


def load_run(
    key: str,
    *,
    backend: str | BackendConfig | None = None,
    model: Any = None,
    model_settings: Mapping[str, Any] | None = None,
    **settings: Any,
) -> SimilarityIndex:
    """Open the index of a run, in this process or another; credentials come from the layers of the configuration.

    The record says which index is meant, and a setting that says otherwise is refused; connection settings come from
    the layers. ``backend`` names another profile of the same type. A model that was chosen by its name is made again
    when a text query first needs it, and ``model_settings`` (an API key, say) are laid over its record; any other is
    passed as ``model``, and must be the one that is recorded.

    Raises ``RunNotFoundError`` (with the keys there are), ``CorruptRunError``, ``IndexNotFoundError``, ``ConfigError``.
    """
    info = runs.get_run_info(key)
    if info.state != "ready":
        raise RunError(
            f"the creation of run {key!r} was never finished; remove it with delete_run({key!r}, cleanup=True)"
        )
    resolved = layers.resolve(
        info.profile if backend is None else backend, settings, recorded=info.settings, recorded_backend=info.backend
    )
    by_name = model is None
    the_model = model_names.recorded(info, model_settings) if by_name else model_names.chosen(model, model_settings)
    engine = _opened(resolved, resolved.config)
    try:
        _agreeing(engine, info)
        draft = Draft(info.metric, info.dim, info.patches or None)
        return _index(engine, draft, the_model, info, info.patches_field)
    except BaseException:
        engine.close()
        raise


def connect(
    index_name: str,
    *,
    backend: str | BackendConfig | None = None,
    key: str | None = None,
    model: Any = None,
    model_settings: Mapping[str, Any] | None = None,
    **settings: Any,
) -> SimilarityIndex:
    """Attach to an index that exists in the engine; never creates. Metric and width are read from the engine.

    With ``key`` the index is recorded as a run. ``model`` gives text queries. Raises ``IndexNotFoundError`` where the
    engine holds none of that name.
    """
    the_model = model_names.chosen(model, model_settings)
    resolved = layers.resolve(backend, {**settings, "index_name": index_name})
    config = resolved.config
    if config.wants_path:
        config = config.model_copy(update={"path": str(layers.config.home / "data" / resolved.backend / index_name)})
    engine = _opened(resolved, config)
    try:
        draft = _found(engine, index_name)
        info = _reserved(key, resolved, config, draft, the_model, None) if key is not None else None
        index = _index(engine, draft, the_model, info, None)
        if info is not None:
            index.save()
    except BaseException:
        engine.close()
        raise
    return index


def delete_run(key: str, *, cleanup: bool = False) -> None:
    """Delete the record of a run; with ``cleanup=True`` the index in the engine too.

    An index that lies in files of vecsearch's own (the embedded default) always goes with its record. Where the engine
    cannot be reached, nothing is deleted. Raises ``RunNotFoundError``.
    """
    try:
        info = runs.get_run_info(key)
    except RunNotFoundError:
        raise
    except RunError:  # a damaged record says nothing of an index
        runs.delete_record(key)
        return
    resolved = layers.resolve(info.profile, {}, recorded=info.settings, recorded_backend=info.backend)
    if cleanup or resolved.backend_class.capabilities.local:
        engine = _opened(resolved, resolved.config)
        try:
            engine.drop()
        finally:
            engine.close()
    runs.delete_record(key, only=info)


def _opened(resolved: Resolved[Backend[Any], BackendConfig], config: BackendConfig) -> Engine:
    naming.check(config.index_name, resolved.backend_class.capabilities.index_names, resolved.backend)
    with registry.importing(resolved.backend):
        return Engine(resolved.backend_class(config))


def _ready(resolved: Resolved[Backend[Any], BackendConfig], key: str | None, *, taken: bool) -> None:
    """Refuse a key that is taken and an engine that does not answer before hours of embedding, not after them."""
    if key is not None and not taken:
        runs.check_free(key)
    if not resolved.backend_class.capabilities.local:
        engine = _opened(resolved, _placed(resolved, key))
        try:
            engine.describe()
        finally:
            engine.close()


def _agreeing(engine: Engine, info: RunInfo) -> None:
    """Refuse an engine that no longer holds what the record says."""
    spec = engine.describe()
    if spec is None and info.dim is not None:
        raise IndexNotFoundError(
            f"{engine.name} no longer holds the index of run {info.key!r}; delete_run({info.key!r}) removes the record"
        )
    if spec is not None and (spec.metric, spec.dim) != (info.metric, info.dim or spec.dim):
        raise RunError(
            f"run {info.key!r} was made with {info.metric}, dim={info.dim}, and the index in {engine.name} has "
            f"{spec.metric}, dim={spec.dim}: somebody made it anew; connect() opens it as it is"
        )


def _found(engine: Engine, index_name: str) -> Draft:
    spec = engine.describe()
    if spec is None:
        raise IndexNotFoundError(f"{engine.name} holds no index {index_name!r}; compute_similarity creates one")
    return Draft(spec.metric, spec.dim, spec.patches)


# ---- what compute_similarity is made of


def _has_run(key: str) -> bool:
    return key in runs.list_runs() or any(error.path.stem == key for error in runs.corrupt_runs())


def _loaded(
    key: str,
    *,
    metric: Metric | None,
    dim: int | None,
    model: Any,
    backend: Any,
    settings: Mapping[str, Any],
) -> SimilarityIndex:
    index = load_run(key, backend=backend, model=model, **settings)
    if metric not in (None, index.metric) or (dim is not None and index.dim not in (None, dim)):
        found = f"{index.metric}, dim={index.dim}"
        index.close()
        asked = f"{metric or 'the same metric'}, dim={dim}"
        raise InvalidInputError(f'run {key!r} has {found}, not {asked}; if_exists="replace" makes it anew')
    return index


def _placed(resolved: Resolved[Backend[Any], BackendConfig], key: str | None) -> BackendConfig:
    """The configuration with a place for the data: a folder of its own, or a name that nobody else has."""
    config = resolved.config
    update: dict[str, Any] = {}
    if key is not None and config.wants_path:
        update["path"] = str(runs.data_path(resolved.backend, key))
    if config.index_name is None and not resolved.backend_class.capabilities.local:
        update["index_name"] = naming.made(key, resolved.backend_class.capabilities.index_names)
    return config.model_copy(update=update) if update else config


def _reserved(
    key: str,
    resolved: Resolved[Backend[Any], BackendConfig],
    config: BackendConfig,
    draft: Draft,
    model: Model | None,
    patches_field: str | None,
) -> RunInfo:
    info = runs.RunInfo(
        key=key,
        profile=resolved.profile,
        backend=resolved.backend,
        settings=layers.public_config(config),
        metric=draft.metric,
        dim=draft.dim,
        patches=bool(draft.patches),
        patches_field=patches_field,
        model=model.fingerprint() if model else None,
        model_source=model_names.source(model),
        supports_prompts=bool(model and model.supports_prompts),
    )
    runs.reserve(info)
    return info


def _created(engine: Engine, draft: Draft, *, attach: bool, if_exists: IfExists) -> bool:
    """Make the index in the engine if its width is known; whether it attached to one that exists instead."""
    if draft.metric not in engine.capabilities.metrics:
        known = ", ".join(metric for metric in METRICS if metric in engine.capabilities.metrics)
        raise InvalidInputError(f"{engine.name} has no metric {draft.metric!r}; it has {known}")
    spec = engine.describe()
    if spec is not None and if_exists == "replace":
        engine.drop()
        engine.forget()
        spec = None
    if spec is not None:
        if not attach:
            raise IndexExistsError(
                f"{engine.name} holds an index of that name or path already; open it with connect(), "
                'or make it anew with if_exists="replace"'
            )
        if spec.metric != draft.metric or draft.dim not in (None, spec.dim):
            asked = f"not {draft.metric}" + ("" if draft.dim is None else f", dim={draft.dim}")
            raise InvalidInputError(
                f"the index that exists has {spec.metric}, dim={spec.dim}, {asked}; it was left as it is: "
                'connect() opens it, if_exists="replace" makes it anew'
            )
        logger.info("attached to an index that exists in %s", engine.name)
        return True
    if draft.dim is not None:
        engine.create(Spec(draft.dim, draft.metric, patches=bool(draft.patches)))
    return False


def _index(
    engine: Engine, draft: Draft, model: Model | None, info: RunInfo | None, patches_field: str | None
) -> SimilarityIndex:
    def record(index: SimilarityIndex) -> None:
        nonlocal info
        if info is None:
            return
        update = {
            "state": "ready",
            "dim": index.dim,
            "patches": index.is_patches,
            "model": index.model_record,
            "model_source": model_names.source(index.get_model()) or info.model_source,
            "supports_prompts": index.config.supports_prompts or info.supports_prompts,
        }
        changed = info.model_copy(update=update)
        if changed != info:
            runs.update(changed)
            info = changed

    return SimilarityIndex(
        engine,
        draft,
        model=model,
        key=None if info is None else info.key,
        patches_field=patches_field,
        recorded_model=None if info is None else info.model,
        on_change=record,
    )


def _undo(engine: Engine | None, info: RunInfo | None, *, ours: bool) -> None:
    """Leave nothing of a creation that failed; what failed first is what the user hears of."""
    try:
        if engine is not None:
            if ours and engine.spec is not None:
                engine.drop()
            engine.close()
        if info is not None:
            runs.delete_record(info.key, only=info)
    except VecsearchError:
        logger.warning("a failed creation could not be undone; delete_run(key, cleanup=True) removes it", exc_info=True)
