"""A page that is served to this machine's own browser while what it tells of still grows.

The server listens on the loopback interface alone. The address has a token: another user of the machine, or a page of
another site in the same browser, does not know it and gets nothing. Whoever asks under another name than that of this
machine gets nothing either, so no site can point a name of its own here.

The words that a browser is started with can be read by every user of a machine. So a browser is not given the address
but a private file that leads there.
"""

import html
import secrets
from collections.abc import Callable, Hashable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Lock
from typing import Any

from mmbase.errors import MmError
from mmbase.files import write_text

LOOPBACK = "127.0.0.1"
AGAIN_SECONDS = 10
"""After which a browser asks again where there was no page."""
_OWN_NAMES = (LOOPBACK, "localhost")
_HEADERS = {
    "Content-Type": "text/html; charset=utf-8",
    "Cache-Control": "no-store",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}


@dataclass(kw_only=True)
class LivePage:
    """A page that is made anew when what it tells of has changed."""

    mark: Callable[[], Hashable]
    """Says whether anything has changed; cheap."""
    make: Callable[[], str]
    _made: tuple[Hashable, str] | None = None
    _lock: Lock = field(default_factory=Lock)
    _is_closed: bool = False

    def text(self) -> str:
        """Return the page as of now; whoever asks while it is made waits for it.

        Raises
        ------
        MmError
            It is no longer made, or cannot be.
        """
        with self._lock:
            if self._is_closed:
                raise MmError("The page is no longer served.")
            mark = self.mark()
            if self._made is None or self._made[0] != mark:
                self._made = (mark, self.make())
            return self._made[1]

    def close(self) -> None:
        """Wait for a page that is being made, and make no more: a process must not end while its threads compute."""
        with self._lock:
            self._is_closed = True


class PageServer(ThreadingHTTPServer):
    """Serves one page under an address that cannot be guessed."""

    daemon_threads = True

    def __init__(self, page: LivePage, port: int = 0) -> None:
        """Take a port of the loopback interface; 0: any that is free.

        Raises
        ------
        OSError
            The port is taken.
        """
        super().__init__((LOOPBACK, port), _Handler)
        self.page = page
        self.token = secrets.token_urlsafe(24)

    @property
    def address(self) -> str:
        """Return where the page is."""
        return f"http://{LOOPBACK}:{self.server_port}/{self.token}/"


@contextmanager
def private_way_to(address: str) -> Iterator[Path]:
    """Make a file that leads a browser to an address while a block lasts; its owner alone can read it."""
    shown = html.escape(address)
    with TemporaryDirectory(prefix="mm-report-", ignore_cleanup_errors=True) as folder:
        path = Path(folder) / "report.html"
        write_text(
            path,
            '<!DOCTYPE html><meta charset="utf-8"><meta name="referrer" content="no-referrer"><title>Report</title>'
            f'<meta http-equiv="refresh" content="0; url={shown}"><p><a href="{shown}">The report</a></p>',
        )
        yield path


class _Handler(BaseHTTPRequestHandler):
    """Answers one request."""

    server: PageServer

    def do_GET(self) -> None:
        """Give the page to whoever knows its address."""
        name = self.headers.get("Host", "").rpartition(":")[0]
        is_asked_for = secrets.compare_digest(self.path.encode(), f"/{self.server.token}/".encode())
        if name not in _OWN_NAMES or not is_asked_for:
            self.send_error(HTTPStatus.NOT_FOUND)
            return
        try:
            self._answer(HTTPStatus.OK, self.server.page.text(), _HEADERS)
        except MmError as error:
            told = f"<!DOCTYPE html><title>No report yet</title><p>{html.escape(str(error))}</p>"
            again = {**_HEADERS, "Refresh": str(AGAIN_SECONDS)}
            self._answer(HTTPStatus.SERVICE_UNAVAILABLE, told, again)

    def _answer(self, status: HTTPStatus, text: str, headers: Mapping[str, str]) -> None:
        content = text.encode()
        self.send_response(status)
        for header, value in headers.items():
            self.send_header(header, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: Any) -> None:
        """Say nothing: the address holds the token."""
