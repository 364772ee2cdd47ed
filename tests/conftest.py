import os

import pytest
from hypothesis import settings

# Where a change is judged, the same examples are tried each time; elsewhere new ones are, to find what is missing.
settings.register_profile("ci", derandomize=True, deadline=None)
if os.environ.get("CI"):
    settings.load_profile("ci")


@pytest.fixture(autouse=True)
def own_home(tmp_path_factory, monkeypatch):
    """No test sees or touches the user's own runs and settings."""
    home = tmp_path_factory.mktemp("home")
    monkeypatch.setenv("VECSEARCH_HOME", str(home))
    return home
