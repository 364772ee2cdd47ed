import os
import signal

import pytest
from hypothesis import settings

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # A shell has what it runs in the background ignore Control-C, and so would every process that a test starts.
    signal.signal(signal.SIGINT, signal.default_int_handler)

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
