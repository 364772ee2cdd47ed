"""A platform team: the engine is named by configuration, an existing index is attached to, health is checked."""

import numpy as np

import vecsearch

# In production this is `similarity_backends` in config.json, or VECSEARCH_SIMILARITY_STAGING_PATH and so on.
vecsearch.config.similarity_backends["staging"] = {"type": "sklearn", "path": "staging-data"}

vectors = np.random.default_rng(0).normal(size=(500, 24))
with vecsearch.compute_similarity(
    embeddings=vectors, metric="euclidean", key="kb", backend="staging", if_exists="replace"
) as index:
    print(index)

stage = vecsearch.connect("kb", backend="staging")  # never creates; metric and width are read from what is there
print(stage.metric, stage.dim, len(stage))

health = stage.health()
if not health.ok:
    raise SystemExit("\n".join(health.problems))
stage.close()

print(vecsearch.config.explain())
with vecsearch.load_run("kb") as index:
    print(index.search(vectors[:1], k=3))
    print(index.measure_recall(queries=50, k=10))
