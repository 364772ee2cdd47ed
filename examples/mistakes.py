"""What people get wrong, and what they read then: one clear error each, and nothing changed."""

from collections.abc import Callable

import numpy as np

import vecsearch
from vecsearch import F

index = vecsearch.compute_similarity(
    embeddings=np.eye(4), metadata={"t": [1, 1, 2, 2]}, key="photos", if_exists="replace"
)
view = index.use_view(filter=F("t") == 1)


def unique_in_a_mode() -> None:
    with index.use_view(filter=F("t") == 1):
        index.find_unique(3)


def misspelt_setting() -> None:
    vecsearch.config.defualt_similarity_backend = "x"


MISTAKES: dict[str, Callable[[], object]] = {
    "a run that does not exist": lambda: vecsearch.load_run("fotos"),
    "text without a model": lambda: index.search(text="a kite"),
    "`and` between filters": lambda: index.search(ids=["0"], filter=(F("t") == 1) and (F("d") == 2)),
    "a write through a view": lambda: view.add_to_index([[1.0, 0, 0, 0]], ["a"]),
    "a view as a mode": unique_in_a_mode,
    "an attribute that moved": lambda: index.unique_ids,
    "a typo in a setting": misspelt_setting,
    "a typo in an argument": lambda: vecsearch.compute_similarity(embeddings=np.eye(2), brain_key="x"),
    "a typo in a backend": lambda: vecsearch.compute_similarity(embeddings=np.eye(2), backend="skleran"),
    "a matrix as samples": lambda: vecsearch.compute_similarity(np.eye(2)),
    "another width": lambda: index.search(np.ones(5)),
    "NaN": lambda: index.add_to_index([[np.nan, 0, 0, 1]], ["a"]),
    "zeros under cosine": lambda: index.add_to_index([[0, 0, 0, 0]], ["a"]),
    "an id twice": lambda: index.add_to_index(np.eye(4)[:2], ["a", "a"]),
    "ids of another length": lambda: index.add_to_index(np.eye(4)[:2], ["a"]),
    "an id that is not there": lambda: index.get_embeddings(["5"]),
    "a mistyped id": lambda: index.sort_by_similarity("no-such-id"),
    "ids or a vector?": lambda: index.sort_by_similarity([0, 1, 2, 3]),
    "k of zero": lambda: index.search(np.ones(4), k=0),
    "remove what?": index.remove_from_index,
    "a key that is taken": lambda: vecsearch.compute_similarity(embeddings=np.eye(2), key="photos"),
    "a negative threshold": lambda: index.find_duplicates(thresh=-1),
    "a fraction above one": lambda: index.find_duplicates(fraction=1.5),
    "no threshold at all": index.find_duplicates,
    "an operator that does not exist": lambda: index.count({"t": {"$gtt": 1}}),
    "a date without a timezone": lambda: index.set_metadata([{"at": np.datetime64("2026-01-01")}], ["0"]),
    "a search option of another engine": lambda: index.search(np.ones(4), params={"hnsw_ef": 64}),
}


def main() -> None:
    for name, mistake in MISTAKES.items():
        try:
            mistake()
        except Exception as error:  # noqa: BLE001  whatever it is, it is shown
            print(f"{name}\n    {type(error).__name__}: {error}")
        else:
            raise SystemExit(f"{name}: nothing was said")


if __name__ == "__main__":
    main()
