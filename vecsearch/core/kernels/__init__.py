"""Kernels: what proposes candidates, with a certified bound on its error."""
