"""``vecsearch dev-server``: a stand-in that anybody can start, and the settings that point a backend at it."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import urllib.request

import pytest
from typer.testing import CliRunner

from vecsearch.cli import app
from vecsearch.cli.serving import STAND_INS


@pytest.mark.parametrize("backend", STAND_INS)
def test_it_says_how_to_use_it_and_ends_with_ctrl_c(backend, tmp_path):
    pytest.importorskip("jsonschema")
    command = [sys.executable, "-m", "vecsearch", "dev-server", backend]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            lines = []
            while not (lines and lines[-1].startswith("{")):
                line = process.stdout.readline()
                assert line, process.stderr.read()
                lines.append(line)
            settings = json.loads(lines[-1])["similarity_backends"][backend]
            url = next(value for value in settings.values() if str(value).startswith("http://127.0.0.1:"))
            assert url in lines[0]
            for name, value in settings.items():
                assert f"export VECSEARCH_SIMILARITY_{backend}_{name}".upper() in "".join(lines).upper()
                assert str(value) in "".join(lines)
            with pytest.raises(urllib.error.HTTPError) as refused:
                urllib.request.urlopen(f"{url}/nothing", timeout=10)  # noqa: S310  a stand-in on loopback
            refused.value.close()
            process.send_signal(signal.SIGINT)
            assert process.wait(20) == 0
            assert "1 requests" in process.stderr.read()
        finally:
            process.kill()


def test_what_it_cannot_run_it_says(monkeypatch):
    unknown = CliRunner().invoke(app, ["dev-server", "nothing"])
    assert unknown.exit_code == 2
    assert "there is one for: mosaic, pinecone" in unknown.stderr
    for name in [name for name in sys.modules if name.startswith(("vecsearch.testing.standins", "jsonschema"))]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "jsonschema", None)
    missing = CliRunner().invoke(app, ["dev-server", "pinecone"])
    assert missing.exit_code == 2
    assert "pip install 'vecsearch[testing]'" in missing.stderr
