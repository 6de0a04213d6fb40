"""Where messages may go."""

from __future__ import annotations

import ipaddress
import socket

import pytest

from backstay.connect.address import is_public, resolve
from backstay.kernel.errors import BackstayError

CLOSED = [
    "127.0.0.1", "10.1.2.3", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1", "0.1.2.3", "224.0.0.1",
    "255.255.255.255", "::1", "::", "fe80::1", "fc00::1", "ff02::1", "::ffff:10.0.0.1", "64:ff9b::a9fe:a9fe",
    "2002:7f00:1::",
]  # fmt: skip


@pytest.mark.parametrize("address", CLOSED)
def test_addresses_that_are_not_of_the_public_internet(address):
    assert not is_public(ipaddress.ip_address(address))


@pytest.mark.parametrize("address", ["8.8.8.8", "2606:4700:4700::1111", "::ffff:8.8.8.8", "64:ff9b::808:808"])
def test_addresses_of_the_public_internet(address):
    assert is_public(ipaddress.ip_address(address))


def answers(monkeypatch, *addresses: str) -> None:
    found = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (a, 443)) for a in addresses]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: found)


def test_a_name_that_answers_with_one_private_address_among_public_ones_is_refused(monkeypatch):
    answers(monkeypatch, "8.8.8.8", "10.0.0.1")
    with pytest.raises(BackstayError, match=r"10\.0\.0\.1.*not an address of the public internet"):
        resolve("https://hooks.example.com/x", allow_private=False)


def test_the_address_that_was_judged_is_the_one_called(monkeypatch):
    answers(monkeypatch, "8.8.8.8")
    target = resolve("https://hooks.example.com/x?y=1", allow_private=False)
    assert (target.address, target.host, target.port, target.path) == ("8.8.8.8", "hooks.example.com", 443, "/x?y=1")


def test_private_ones_where_they_are_allowed():
    assert resolve("http://127.0.0.1:9/", allow_private=True).address == "127.0.0.1"


@pytest.mark.parametrize(
    "url",
    ["file:///etc/passwd", "ftp://example.com/", "https://", "https://u:p@example.com/", "https://h:99999/",
     "https://127.0.0.1/a\r\nX: y", "https://no-such-name.invalid/"],
)  # fmt: skip
def test_what_is_no_address_is_refused(url):
    with pytest.raises(BackstayError) as caught:
        resolve(url, allow_private=True)
    assert caught.value.fix
