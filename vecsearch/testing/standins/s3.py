"""A stand-in for an object store that speaks S3: objects in a dict, on loopback.

As much of the protocol as the Rust crate ``object_store`` uses, which LanceDB reads and writes by: whole and partial
reads, conditional writes, parts, lists, deletions. Signatures are not checked.
"""

from __future__ import annotations

import hashlib
import itertools
import threading
from email.utils import formatdate
from typing import TYPE_CHECKING
from xml.etree.ElementTree import Element, SubElement, fromstring, tostring

from vecsearch.testing.standins.http import Answer, LoopbackServer

if TYPE_CHECKING:
    from vecsearch.testing.standins.http import Request

_NOW = "2026-01-01T00:00:00.000Z"


class S3StandIn(LoopbackServer):
    """One bucket or several, named by the first part of the path; what is held outlives ``stop`` and ``start``."""

    def __init__(self) -> None:
        super().__init__()
        self.objects: dict[str, bytes] = {}
        """Every object, by ``bucket/key``."""
        self._parts: dict[str, dict[int, bytes]] = {}
        self._numbers = itertools.count(1)
        self._writing = threading.Lock()

    def options(self) -> dict[str, str]:
        """What a client must be given to come here."""
        return {
            "aws_access_key_id": "AKIASTANDIN",
            "aws_secret_access_key": "secret-of-the-stand-in",
            "aws_endpoint": self.url,
            "allow_http": "true",
            "region": "us-east-1",
        }

    def answer(self, request: Request) -> Answer:
        """As the service answers."""
        key = "/".join(request.path)
        with self._writing:
            if request.method == "POST":
                return self._posted(key, request)
            if request.method == "PUT":
                return self._put(key, request)
            if request.method == "DELETE":
                self.objects.pop(key, None)
                return Answer(204, b"")
            return self._listed(key, request) if "list-type" in request.query else self._got(key, request)

    def _got(self, key: str, request: Request) -> Answer:
        held = self.objects.get(key)
        if held is None:
            return _refused(404, "NoSuchKey")
        headers = {"ETag": _tag(held), "Last-Modified": formatdate(0, usegmt=True), "Accept-Ranges": "bytes"}
        wanted = request.headers.get("range")
        if wanted is None:
            return Answer(200, held, headers)
        first, _, last = wanted.removeprefix("bytes=").partition("-")
        start = int(first) if first else max(0, len(held) - int(last))
        stop = min(len(held), int(last) + 1) if first and last else len(held)
        if start >= len(held):
            return _refused(416, "InvalidRange")
        return Answer(206, held[start:stop], {**headers, "Content-Range": f"bytes {start}-{stop - 1}/{len(held)}"})

    def _put(self, key: str, request: Request) -> Answer:
        if "uploadId" in request.query:
            self._parts[request.query["uploadId"]][int(request.query["partNumber"])] = request.body
            return Answer(200, b"", {"ETag": _tag(request.body)})
        if request.headers.get("if-none-match") == "*" and key in self.objects:
            return _refused(412, "PreconditionFailed")
        source = request.headers.get("x-amz-copy-source")
        body = request.body if source is None else self.objects[source.strip("/")]
        self.objects[key] = body
        return Answer(200, b"" if source is None else _xml("CopyObjectResult", ETag=_tag(body)), {"ETag": _tag(body)})

    def _posted(self, key: str, request: Request) -> Answer:
        if "delete" in request.query:
            root = Element("DeleteResult")
            for name in (found.text or "" for found in fromstring(request.body).iter() if found.tag.endswith("Key")):  # noqa: S314  our own client's
                self.objects.pop(f"{key}/{name}", None)
                SubElement(SubElement(root, "Deleted"), "Key").text = name
            return Answer(200, tostring(root))
        if "uploads" in request.query:
            upload = str(next(self._numbers))
            self._parts[upload] = {}
            bucket, _, name = key.partition("/")
            return Answer(200, _xml("InitiateMultipartUploadResult", Bucket=bucket, Key=name, UploadId=upload))
        parts = self._parts.pop(request.query["uploadId"])
        self.objects[key] = b"".join(parts[number] for number in sorted(parts))
        return Answer(200, _xml("CompleteMultipartUploadResult", ETag=_tag(self.objects[key])))

    def _listed(self, bucket: str, request: Request) -> Answer:
        prefix, delimiter = request.query.get("prefix", ""), request.query.get("delimiter", "")
        after = request.query.get("start-after", "")
        names = sorted(key.partition("/")[2] for key in self.objects if key.startswith(f"{bucket}/"))
        root = Element("ListBucketResult")
        folders = []
        for name in names:
            if not name.startswith(prefix) or name <= after:
                continue
            below, found, _ = name[len(prefix) :].partition(delimiter) if delimiter else (name, "", "")
            if found:
                folders.append(prefix + below + delimiter)
                continue
            held = self.objects[f"{bucket}/{name}"]
            facts = {"Key": name, "LastModified": _NOW, "ETag": _tag(held), "Size": str(len(held))}
            _filled(SubElement(root, "Contents"), facts)
        for folder in dict.fromkeys(folders):
            SubElement(SubElement(root, "CommonPrefixes"), "Prefix").text = folder
        SubElement(root, "IsTruncated").text = "false"
        return Answer(200, tostring(root), {"Content-Type": "application/xml"})


def _tag(body: bytes) -> str:
    return f'"{hashlib.sha256(body).hexdigest()[:32]}"'


def _filled(element: Element, facts: dict[str, str]) -> None:
    for name, text in facts.items():
        SubElement(element, name).text = text


def _xml(name: str, **facts: str) -> bytes:
    root = Element(name)
    _filled(root, facts)
    return tostring(root)


def _refused(status: int, code: str) -> Answer:
    return Answer(status, _xml("Error", Code=code, Message=code), {"Content-Type": "application/xml"})


__all__ = ("S3StandIn",)
