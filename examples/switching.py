"""The same program on every engine: only the environment says which.

    python examples/switching.py
    VECSEARCH_DEFAULT_SIMILARITY_BACKEND=lancedb python examples/switching.py

prints the same table twice. ``exact=True`` asks engines that approximate for the true nearest rows.
"""

from sklearn.datasets import load_digits

import vecsearch
from vecsearch import F

digits = load_digits()
index = vecsearch.compute_similarity(
    embeddings=digits.data,
    sample_ids=[f"digit-{number:04}" for number in range(len(digits.data))],
    metadata={"label": digits.target.tolist(), "row": list(range(len(digits.data)))},
)
labelled = F("label").is_in([3, 8]) & (F("row") >= 500)
print("query       neighbour   distance  label")
for query in ("digit-0003", "digit-0008", "digit-0042"):
    for match in index.search(ids=[query], k=4, filter=labelled, exact=True)[0]:
        print(f"{query}  {match.id}  {match.distance:8.4f}  {(match.metadata or {})['label']}")

duplicates = index.find_duplicates(fraction=0.01)
print(len(duplicates.duplicate_ids), "near-duplicates, first:", *sorted(duplicates.duplicate_ids)[:3])
print("most unique:", *index.find_unique(3).unique_ids)
index.close()
