"""A page is served to this machine's own browser, and to whoever knows its address alone."""

from collections.abc import Iterator
from http.client import HTTPConnection
from threading import Event, Thread

import pytest

from mmbase.errors import MmError
from mmstudy.report.serving import LivePage, PageServer, private_way_to


class Told:
    """What a page tells of, and how often it was made."""

    number = 0
    times_made = 0

    def make(self) -> str:
        if self.number < 0:
            raise MmError("Nothing is <finished>.")
        self.times_made += 1
        return f"page {self.number} ✓"


@pytest.fixture
def told() -> Told:
    return Told()


@pytest.fixture
def server(told: Told) -> Iterator[PageServer]:
    with PageServer(LivePage(mark=lambda: told.number, make=told.make)) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def ask(server: PageServer, path: str, **headers: str) -> tuple[int, str]:
    connection = HTTPConnection("127.0.0.1", server.server_port, timeout=10)
    connection.request("GET", path, headers=headers)
    answer = connection.getresponse()
    status, text = answer.status, answer.read().decode()
    connection.close()
    return status, text


def test_the_page_is_made_anew_only_when_something_has_changed(server: PageServer, told: Told) -> None:
    path = f"/{server.token}/"
    assert ask(server, path) == ask(server, path) == (200, "page 0 ✓") and told.times_made == 1
    told.number = 1
    assert ask(server, path) == (200, "page 1 ✓") and told.times_made == 2


@pytest.mark.parametrize("path", ["/", "/wrong/", "/{token}", "/{token}/../", "/{token}/more"])
def test_without_the_token_there_is_nothing(server: PageServer, told: Told, path: str) -> None:
    status, text = ask(server, path.format(token=server.token))
    assert status == 404 and "page" not in text and server.token not in text and told.times_made == 0


@pytest.mark.parametrize("host", ["evil.example", "evil.example:80", "127.0.0.1.evil.example:80", ""])
def test_under_the_name_of_another_site_there_is_nothing(server: PageServer, told: Told, host: str) -> None:
    assert ask(server, f"/{server.token}/", Host=host)[0] == 404 and told.times_made == 0


def test_a_tunnel_to_this_machine_may_have_another_port(server: PageServer) -> None:
    assert ask(server, f"/{server.token}/", Host="localhost:9999")[0] == 200


def test_nobody_outside_this_machine_can_ask(server: PageServer) -> None:
    assert server.server_address[0] == "127.0.0.1" and server.address.startswith("http://127.0.0.1:")
    assert len(server.token) >= 32


def test_a_browser_is_led_to_the_address_by_a_file_that_nobody_else_can_read_and_that_goes(server: PageServer) -> None:
    with private_way_to(server.address + "?a&b") as path:
        assert path.stat().st_mode & 0o777 == 0o600 and path.parent.stat().st_mode & 0o777 == 0o700
        assert server.token not in str(path)
        assert f'content="0; url={server.address}?a&amp;b"' in path.read_text()
    assert not path.parent.exists()


def test_the_end_waits_for_a_page_that_is_being_made_and_none_is_made_afterwards() -> None:
    begun, may_end, made = Event(), Event(), []

    def make() -> str:
        begun.set()
        may_end.wait()
        made.append("page")
        return "page"

    page = LivePage(mark=lambda: len(made), make=make)
    asking, ending = Thread(target=page.text), Thread(target=page.close)
    asking.start()
    begun.wait()
    ending.start()
    assert ending.is_alive()
    may_end.set()
    ending.join()
    assert made == ["page"]
    with pytest.raises(MmError, match="no longer served"):
        page.text()
    asking.join()


def test_what_stands_in_the_way_of_the_page_is_told(server: PageServer, told: Told) -> None:
    told.number = -1
    status, text = ask(server, f"/{server.token}/")
    assert status == 503 and "Nothing is &lt;finished&gt;." in text
    told.number = 2
    assert ask(server, f"/{server.token}/")[0] == 200
