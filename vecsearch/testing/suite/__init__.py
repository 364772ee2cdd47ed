"""The parts of the conformance suite, a file a subject; ``vecsearch.testing.conformance`` joins them."""
