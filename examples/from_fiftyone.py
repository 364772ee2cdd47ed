"""A program for FiftyOne Brain's similarity, ported line by line. What moved says so when it is used."""

import numpy as np

import vecsearch as fob

generator = np.random.default_rng(51)
ids = [f"sample-{number}" for number in range(300)]
embeddings = generator.normal(size=(300, 32))


def model(samples: list[str]) -> np.ndarray:
    """Stands for CLIP: a vector a text, always the same one."""
    return np.array([np.random.default_rng(sum(sample.encode())).normal(size=32) for sample in samples])


model.supports_prompts = True  # type: ignore[attr-defined]

index = fob.compute_similarity(embeddings=embeddings, sample_ids=ids, model=model, key="img_sim", if_exists="replace")
print(index.config.method, index.config.model, index.total_index_size)

print(index.sort_by_similarity(ids[0], k=15).sample_ids[:3])
print(index.sort_by_similarity([ids[0], ids[-1]], k=10).sample_ids[:3])
print(index.sort_by_similarity(generator.random(32), k=10).sample_ids[:3])
print(index.sort_by_similarity("kites high in the air", k=15).query_kind)

view = index.use_view(sample_ids=ids[:100])  # a value: the index itself is not restricted
print(view.sort_by_similarity(text="kites", k=5).sample_ids)

unique = index.find_unique(50)
print(unique.unique_ids[:5])
duplicates = index.find_duplicates(fraction=0.01)
print(duplicates.neighbors_map)

new_vectors, new_ids, _ = index.compute_embeddings(["a", "b"], sample_ids=["new-1", "new-2"])
index.add_to_index(new_vectors, new_ids)
vectors, sample_ids, _ = index.get_embeddings(sample_ids=ids[:50])
print(vectors.shape, sample_ids.shape)
index.remove_from_index(sample_ids=sample_ids)
index.save()

objects = fob.compute_similarity(
    embeddings=False, model=model, patches_field="ground_truth", key="gt_sim", if_exists="replace"
)
objects.add_to_index(vectors, sample_ids, label_ids=[f"label-{number}" for number in range(len(sample_ids))])
got = objects.get_embeddings(label_ids=["label-7"])
print(got.sample_ids, got.label_ids)
objects.save()

print(fob.list_runs(patches_field="ground_truth", supports_prompts=True))
print(fob.get_run_info("gt_sim").config.supports_prompts)
fob.rename_run("gt_sim", "objects")
objects.cleanup()
fob.delete_run("objects")
