import pytest


@pytest.fixture(autouse=True)
def own_home(tmp_path_factory, monkeypatch):
    """No test sees or touches the user's own runs and settings."""
    home = tmp_path_factory.mktemp("home")
    monkeypatch.setenv("VECSEARCH_HOME", str(home))
    return home
