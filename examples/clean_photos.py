"""Find near-duplicates in a collection, look at them, and drop them from your own table."""

import pandas as pd
from sklearn.datasets import load_digits

import vecsearch

digits = load_digits()
paths = [f"digits/{number:04}.png" for number in range(len(digits.data))]
table = pd.DataFrame({"path": paths, "label": digits.target})

index = vecsearch.compute_similarity(
    embeddings=digits.data, sample_ids=table["path"], metadata=table[["label"]], key="photos", if_exists="replace"
)
index.plot_distances().savefig("distances.png")  # where does "near" end?

duplicates = index.find_duplicates(thresh=0.02)
print(duplicates)
print(duplicates.to_pandas().sort_values("distance").head())
duplicates.plot(images=dict(zip(table["path"], digits.images, strict=True)), path="duplicates.png")

clean = table[duplicates.keep_mask(table["path"])]
print(f"{len(table)} rows, {len(clean)} without near-duplicates")

near = index.sort_by_similarity("digits/0001.png", k=10, exclude_self=True)
print(table.iloc[near.positions(table["path"])])

# Integers are ids too; the mask takes them as you have them.
by_row = vecsearch.compute_similarity(embeddings=digits.data, sample_ids=table.index)
few = table[by_row.find_duplicates(fraction=0.01).keep_mask(table.index)]
print(f"{len(table) - len(few)} rows are one percent")
