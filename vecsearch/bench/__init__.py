"""Which engine, on which data: data sets with their hardness, exact truth, and measures that can be trusted."""
