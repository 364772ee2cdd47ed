import os

import pytest


@pytest.fixture(autouse=True)
def no_settings_of_the_machine(monkeypatch):
    """Neither proxies nor a Databricks login of whoever runs the tests."""
    for name in [name for name in os.environ if name.startswith(("VECSEARCH_MODEL", "DATABRICKS_"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("DATABRICKS_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
