"""Retrieval: passages with metadata, a view per tenant that cannot be left, text queries, updates."""

from datetime import UTC, datetime

import numpy as np

import vecsearch
from vecsearch import F


class Encoder:
    """Stands for a sentence-transformers model: hashed words, so that shared words bring texts together."""

    name = "hashed-words"

    def encode(self, texts: list[str]) -> np.ndarray:
        """Embeddings of the texts, one row each."""
        vectors = np.full((len(texts), 256), 1e-3)
        for row, text in zip(vectors, texts, strict=True):
            for word in text.lower().split():
                row[sum(ord(letter) * 31**place for place, letter in enumerate(word)) % 256] += 1.0
        return vectors


passages = {
    "guide#0": ("acme", "Technical leadership means to decide what not to build.", 2026),
    "guide#1": ("acme", "A design review is cheap before the code exists.", 2025),
    "memo#0": ("acme", "Leadership in a crisis: say what you know.", 2026),
    "memo#1": ("globex", "Technical leadership at another company.", 2026),
}
texts = [text for _, text, _ in passages.values()]
metadata = [
    {"tenant": tenant, "doc": key.partition("#")[0], "date": datetime(year, 1, 2, tzinfo=UTC)}
    for key, (tenant, _, year) in passages.items()
]
index = vecsearch.compute_similarity(
    texts, sample_ids=list(passages), metadata=metadata, model=Encoder(), key="kb", if_exists="replace"
)

acme = index.use_view(filter=F("tenant") == "acme")  # whatever is asked of it, other tenants' rows are not there
this_year = F("date") >= datetime(2026, 1, 1, tzinfo=UTC)
for hit in acme.sort_by_similarity(text="technical leadership", k=5, filter=this_year):
    print(f"{hit.distance:.3f} {(hit.metadata or {})['doc']}: {hit.document}")

batch = acme.search(text=["design review", "crisis"], k=1)
print([[hit.document for hit in row] for row in batch])

index.add_samples(["A design review is cheap; so is a second one."], ["guide#1"], metadata=[metadata[1]])
index.set_metadata([{"reviewed": True}], ["guide#1"])
print(index.get_metadata(["guide#1"]))
memo = F("doc") == "memo"
print(index.count(memo), "passages of the memo;", index.remove_from_index(filter=memo), "removed")
print(index.get_metadata(["memo#0"], on_missing="skip"))
