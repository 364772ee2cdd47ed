"""Points made up for tests."""

from vecsearch.bench.points import DatasetFacts, Environment, Point, Spec, Workload

MACHINE = Environment(
    cpu="a processor", cores=2, affinity=2, system="Linux x86_64", kernel="6", python="3.11", packages_sha256="0" * 64
)


def a_spec(**changes):
    workload = Workload(kind="search", **changes.pop("workload", {}))
    fields = {"dataset": "digits", "dataset_sha256": "0" * 64, "rows": 1000, "dim": 64, "metric": "cosine"}
    return Spec(**{**fields, "label": "one", "backend": "sklearn", "workload": workload, **changes})


def a_point(**changes):
    spec = changes.pop("spec", None) or a_spec()
    fields = {"run_id": "r", "dataset": DatasetFacts(queries=100), "environment": MACHINE, "verdict": "valid"}
    return Point(spec=spec, **{**fields, **changes})
