"""A Milvus Lite that listens on loopback, to be stopped and started again, as a server is."""

from __future__ import annotations

from milvus_lite.adapter.grpc.server import start_server_in_thread


class LiteServer:
    def __init__(self, folder):
        self.folder = str(folder / "served.db")
        self.port = 0
        self.start()

    @property
    def uri(self):
        return f"http://127.0.0.1:{self.port}"

    def start(self):
        self._server, self._db, self.port = start_server_in_thread(
            data_dir=self.folder, host="127.0.0.1", port=self.port
        )

    def stop(self):
        if self._server is not None:
            self._server.stop(grace=0).wait()
            self._db.close()
            self._server = None
