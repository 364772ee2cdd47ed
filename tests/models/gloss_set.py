"""Some nouns of WordNet 3.0 (its licence is beside them), and their embeddings by sentence-transformers in float16."""

import json
from pathlib import Path

import numpy as np

HERE = Path(__file__).parent
ROWS = [json.loads(line) for line in (HERE / "glosses.jsonl").read_text().splitlines()]
WORDS = [row["words"][0] for row in ROWS]
GLOSSES = {row["words"][0]: row["gloss"] for row in ROWS}
TEXTS = [f"{', '.join(row['words'])}: {row['gloss']}" for row in ROWS]
REFERENCE = np.load(HERE / "glosses-f16.npy").astype(np.float32)

QUESTIONS = {
    "a photo of a dog": "dog",
    "somebody who pulls teeth": "dentist",
    "string instrument played with a bow": "violin",
    "hot molten rock": "volcano",
    "where books are kept": "library",
    "game with kings and pawns": "chess",
    "a big sea mammal": "whale",
    "who rules when the people vote": "democracy",
    "things that orbit the sun": "planet",
}
