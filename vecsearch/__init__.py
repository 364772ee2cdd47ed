"""One SimilarityIndex over every vector engine."""
