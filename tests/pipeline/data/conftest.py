"""A faulty server, and a downloader that does not wait between attempts."""

import pytest

from pipeline.data import http
from tests.helpers.downloads import DATA
from tests.helpers.faulty_server import Site, serving


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    """No waiting between tries, and tries that count by the kilobyte."""
    monkeypatch.setattr(http, "BACK_OFF", 0.0)
    monkeypatch.setattr(http, "TRICKLE", 1000)
    monkeypatch.setenv("no_proxy", "127.0.0.1")


@pytest.fixture
def site():
    with serving(Site(DATA)) as running:
        yield running
