"""A server for one person: on this machine only, for its own page only.

Requests must name this server as their host, so that no other site's name can be pointed at
it; what counts a file must come from the page itself, with the secret that only it has. The
paths are those listed here: nothing is looked up in the file system.
"""

from __future__ import annotations

import json
import re
import secrets
from collections import OrderedDict
from contextlib import suppress
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import BoundedSemaphore
from typing import Any, cast
from urllib.parse import parse_qs, urlsplit

from flopwise.errors import FlopwiseError
from flopwise.reports import memory as size_text
from flopwise.web import page, upload

HERE = "127.0.0.1"
KEPT = 8  # reports that can still be opened
AT_ONCE = 4  # uploads in progress
PATIENCE = 60  # seconds without a byte before a connection is dropped
HURRY = 2  # the same, once the answer is given
_REPORT = re.compile(r"/report/([0-9a-f]{32})")
ALWAYS = {
    "Cache-Control": "no-store",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
}
OWN = (
    "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; "
    "frame-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
# A report has scripts of its own and names out of the file: it runs as a stranger.
REPORT = (
    "sandbox allow-scripts allow-popups allow-popups-to-escape-sandbox allow-downloads "
    "allow-modals; frame-ancestors 'self'"
)


class Server(ThreadingHTTPServer):
    """Listens on the loopback address. `limit` bounds an upload, in bytes."""

    daemon_threads = True

    def __init__(self, port: int = 0, limit: int = 2**31) -> None:
        super().__init__((HERE, port), Handler)
        self.limit = limit
        self.secret = secrets.token_hex(16)
        self.reports: OrderedDict[str, str] = OrderedDict()
        self.places = BoundedSemaphore(AT_ONCE)

    @property
    def hosts(self) -> tuple[str, ...]:
        """What a browser may call this server."""
        return f"{HERE}:{self.server_port}", f"localhost:{self.server_port}"

    @property
    def url(self) -> str:
        return f"http://{HERE}:{self.server_port}/"

    def keep(self, text: str) -> str:
        """Keep a report, and forget the oldest; its path."""
        key = secrets.token_hex(16)
        self.reports[key] = text
        while len(self.reports) > KEPT:
            self.reports.popitem(last=False)
        return f"/report/{key}"


class Refused(Exception):
    """A request that is not served: a status and one line."""

    def __init__(self, status: HTTPStatus, line: str) -> None:
        super().__init__(line)
        self.status = status


class Handler(BaseHTTPRequestHandler):
    """One connection."""

    server_version, sys_version = "flopwise", ""
    protocol_version = "HTTP/1.1"
    timeout = PATIENCE

    @property
    def owner(self) -> Server:
        return cast(Server, self.server)

    def do_GET(self) -> None:
        self._answer(self._get)

    def do_POST(self) -> None:
        self._answer(self._post)

    def _answer(self, method: Any) -> None:
        """Whatever goes wrong is one line of JSON."""
        self.body = upload.Body(self.rfile, 0)
        try:
            self._from_here()
            method()
        except Refused as error:
            self._tell(error.status, str(error))
        except FlopwiseError as error:
            self._tell(HTTPStatus.UNPROCESSABLE_ENTITY, str(error))
        except (ConnectionError, TimeoutError):
            self.close_connection = True
        except Exception as error:
            kind = f"{type(error).__name__}: {' '.join(str(error).split())}"
            self._tell(HTTPStatus.INTERNAL_SERVER_ERROR, f"flopwise fails on this file ({kind})")

    def _from_here(self) -> None:
        """Refuse what came by another name than ours."""
        if self.headers.get("Host", "").lower() not in self.owner.hosts:
            raise Refused(HTTPStatus.FORBIDDEN, f"this page is at {self.owner.url} only")

    def _own_page(self) -> None:
        """Refuse what another page sent."""
        origin, site = self.headers.get("Origin"), self.headers.get("Sec-Fetch-Site")
        secret = self.headers.get("X-Flopwise", "")
        elsewhere = origin is not None and origin not in [f"http://{h}" for h in self.owner.hosts]
        if elsewhere or site not in (None, "same-origin"):
            raise Refused(HTTPStatus.FORBIDDEN, "another page may not count files here")
        if not secrets.compare_digest(secret.encode(), self.owner.secret.encode()):
            raise Refused(HTTPStatus.FORBIDDEN, "this page is out of date: load it again")

    def _get(self) -> None:
        path = urlsplit(self.path).path
        if path == "/":
            text = page.html(self.owner.secret, self.owner.limit)
            self._send(HTTPStatus.OK, "text/html", text, OWN)
        elif path in page.PARTS:
            self._send(HTTPStatus.OK, *page.part(path), OWN)
        elif (match := _REPORT.fullmatch(path)) and match[1] in self.owner.reports:
            self._send(HTTPStatus.OK, "text/html", self.owner.reports[match[1]], REPORT)
        else:
            raise Refused(HTTPStatus.NOT_FOUND, "there is nothing here")

    def _post(self) -> None:
        url = urlsplit(self.path)
        if url.path != "/count":
            raise Refused(HTTPStatus.NOT_FOUND, "there is nothing here")
        self.body = upload.Body(self.rfile, self._length())
        self._own_page()
        self._fits()
        asked = upload.settings(parse_qs(url.query, keep_blank_values=True))
        if not self.owner.places.acquire(blocking=False):
            raise Refused(HTTPStatus.SERVICE_UNAVAILABLE, "other files are being counted: wait")
        try:
            profile, text = upload.report(self.body, asked)
        finally:
            self.owner.places.release()
        answer = {"report": self.owner.keep(text), "name": profile.graph.name}
        self._send(HTTPStatus.OK, "application/json", json.dumps(answer), OWN)

    def _length(self) -> int:
        """How many bytes follow, by the sender's word."""
        stated = self.headers.get("Content-Length", "")
        if "Transfer-Encoding" in self.headers or not re.fullmatch(r"\d{1,15}", stated, re.ASCII):
            raise Refused(HTTPStatus.LENGTH_REQUIRED, "the length of the file is not stated")
        return int(stated)

    def _fits(self) -> None:
        if self.body.left > self.owner.limit:
            most = size_text(self.owner.limit)
            raise Refused(
                HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
                f"the file has {self.body.left:,} bytes, and {most} are allowed: "
                "flopwise serve --max-upload takes more",
            )

    def _tell(self, status: HTTPStatus, line: str) -> None:
        self.close_connection = True
        with suppress(OSError):
            self._send(status, "application/json", json.dumps({"error": line}), OWN)
            self.connection.settimeout(HURRY)
            self.body.discard()

    def _send(self, status: HTTPStatus, kind: str, text: str, policy: str) -> None:
        body = text.encode()
        self.send_response(status)
        for name, value in {**ALWAYS, "Content-Security-Policy": policy}.items():
            self.send_header(name, value)
        self.send_header("Content-Type", f"{kind}; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing: what a person counts is theirs."""
