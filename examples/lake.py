"""A lake of Parquet: read in bounded memory, written in batches; the same call goes on after an interruption."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

import vecsearch
from vecsearch import F

DIM = 48
generator = np.random.default_rng(7)
Path("dump").mkdir(exist_ok=True)
for part in range(4):
    vectors = generator.normal(size=(5000, DIM)).astype(np.float32)
    rows = range(part * 5000, (part + 1) * 5000)
    batch = {
        "id": [f"row-{row}" for row in rows],
        "emb": pa.FixedSizeListArray.from_arrays(pa.array(vectors.ravel()), DIM),
        "tenant": [("acme", "globex")[row % 2] for row in rows],
        "text": [f"passage {row}" for row in rows],
    }
    pq.write_table(pa.table(batch), f"dump/part-{part}.parquet")

index = vecsearch.compute_similarity(embeddings=False, dim=DIM, key="lake", if_exists="replace")
try:
    receipt = index.ingest(
        "dump/*.parquet",
        embeddings="emb",
        sample_ids="id",
        metadata=["tenant"],
        documents="text",
        on_existing="skip",
        checkpoint="lake.checkpoint",
    )
except vecsearch.IngestError as error:
    print(error.written, error.failed[:3], "resume with", error.checkpoint)
else:
    print(f"{receipt.written} rows, {receipt.skipped} skipped")
print(index.count(F("tenant") == "acme"), "rows of acme")
print(index.sort_by_similarity("row-7", k=3, filter=F("tenant") == "acme"))
