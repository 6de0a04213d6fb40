"""What is refused before a server starts."""

from __future__ import annotations

import socket

import pytest

from backstay.kernel.clock import SystemClock
from backstay.kernel.errors import BackstayError
from backstay.serve.loopback import is_loopback
from backstay.serve.server import run_server
from backstay.settings import Settings


def start(tmp_path, **serve):
    run_server(
        Settings.model_validate({"serve": serve}),
        pointer=lambda: None,
        keys=list,
        journal_directory=tmp_path / "journal",
        clock=SystemClock(),
        announce=lambda line: None,
    )


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.2", "example.org"])  # noqa: S104 - it is refused
def test_an_open_address_needs_keys(tmp_path, host):
    with pytest.raises(BackstayError, match=r"no key would be asked for.*127\.0\.0\.1"):
        start(tmp_path, host=host, port=0, require_key=False)


def test_a_taken_port_is_told(tmp_path):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(BackstayError, match=r"cannot be bound.*--port"):
            start(tmp_path, port=taken.getsockname()[1])


def test_loopback_by_default():
    assert is_loopback(Settings().serve.host)
    assert Settings().serve.require_key
