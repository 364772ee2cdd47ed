"""Which engine, on my data: measurements that say whether they can be trusted."""
