"""Runs a command beside a Milvus server of its own: ``python tests/milvus_server.py pytest -q tests/conformance``.

The server of the package ``milvus`` listens on all interfaces, on nine ports, and no option forbids it: run it inside a
network namespace that has a loopback only (``nox -s tests-milvus-server`` does).
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

PORT = 29530
SECONDS = 120


def main():
    interfaces = [line.partition(":")[0].strip() for line in Path("/proc/net/dev").read_text().splitlines()[2:]]
    if interfaces != ["lo"]:
        sys.exit(f"refused: not in a network namespace of its own, there are {', '.join(interfaces)}")
    from milvus import MilvusServer

    with tempfile.TemporaryDirectory(prefix="milvus-") as folder:
        server = MilvusServer(wait_for_started=False)
        server.set_base_dir(folder)
        server.listen_port = PORT
        server.start()
        try:
            uri = f"http://127.0.0.1:{PORT}"
            wait_until_ready(uri)
            environment = {**os.environ, "VECSEARCH_TEST_MILVUS_URI": uri}
            return subprocess.run(sys.argv[1:], env=environment, check=False).returncode
        finally:
            server.stop()


def wait_until_ready(uri):
    from pymilvus import MilvusClient
    from pymilvus.exceptions import MilvusException

    deadline = time.monotonic() + SECONDS
    while True:
        try:
            client = MilvusClient(uri, timeout=5)
            client.list_collections(timeout=5)
            client.close()
        except MilvusException:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.5)
        else:
            return


if __name__ == "__main__":
    sys.exit(main())
