"""A hub of models on loopback, as the hub's own client asks for it: what a repository holds, and each of its files."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

_COMMIT = "0123456789abcdef0123456789abcdef01234567"


class _Hub(ThreadingHTTPServer):
    def __init__(self, folder: Path, *, breaks_off: bool) -> None:
        super().__init__(("127.0.0.1", 0), _Request)
        self.folder = folder
        self.missing_bytes = 1000 if breaks_off else 0


class _Request(BaseHTTPRequestHandler):
    server: _Hub

    def do_HEAD(self) -> None:
        self._answer()

    def do_GET(self) -> None:
        self._answer()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Say nothing."""

    def _answer(self) -> None:
        match self.path.partition("?")[0].strip("/").split("/"):
            case ["api", "models", owner, name, *what]:
                self._send(self._about(self.server.folder / owner / name, listing=what[:1] == ["tree"]))
            case [owner, name, "resolve", _revision, *path]:
                file = self.server.folder / owner / name / "/".join(path)
                self._send(file.read_bytes() if file.is_file() else None)
            case _:
                self._send(None)

    def _about(self, folder: Path, *, listing: bool) -> bytes | None:
        files = sorted(file for file in folder.rglob("*") if file.is_file())
        if listing:
            entries = [(file.relative_to(folder).as_posix(), file.stat().st_size) for file in files]
            return json.dumps(
                [{"type": "file", "path": path, "size": size, "oid": "0"} for path, size in entries]
            ).encode()
        siblings = [{"rfilename": file.relative_to(folder).as_posix()} for file in files]
        return json.dumps({"id": folder.name, "sha": _COMMIT, "siblings": siblings}).encode() if files else None

    def _send(self, content: bytes | None) -> None:
        self.send_response(HTTPStatus.NOT_FOUND if content is None else HTTPStatus.OK)
        self.send_header("X-Repo-Commit", _COMMIT)
        self.send_header("ETag", f'"{hashlib.sha256(content or b"").hexdigest()}"')
        self.send_header("Content-Length", str(len(content or b"") + self.server.missing_bytes))
        self.end_headers()
        if content is not None and self.command != "HEAD":
            self.wfile.write(content)


@contextmanager
def hub(folder: Path, *, breaks_off: bool = False) -> Iterator[str]:
    """Serve the repositories under `folder` (OWNER/NAME/...) and give the address; an answer may break off."""
    server = _Hub(folder, breaks_off=breaks_off)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
