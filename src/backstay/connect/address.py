"""To which machine a message may go: the name is looked up once, every answer is judged, and that answer is called.

A server that can be talked into calling an address inside its own network is a way into that network (server-side
request forgery). Judging the name is not enough: it may answer differently the second time.
"""

from __future__ import annotations

import ipaddress
import socket
from dataclasses import dataclass
from urllib.parse import urlsplit

from backstay.kernel.errors import BackstayError

NAT64 = ipaddress.ip_network("64:ff9b::/96")
PORTS = {"https": 443, "http": 80}

Address = ipaddress.IPv4Address | ipaddress.IPv6Address


@dataclass(frozen=True, slots=True)
class Target:
    """Where one request goes: `address` is called, `host` is what its certificate must name."""

    scheme: str
    host: str
    port: int
    address: str
    path: str


def is_public(address: Address) -> bool:
    """Whether this is an address of the public internet, looking through IPv6 addresses that carry an IPv4 one.

    >>> [is_public(ipaddress.ip_address(a)) for a in ("8.8.8.8", "10.0.0.1", "::ffff:127.0.0.1", "64:ff9b::a00:1")]
    [True, False, False, False]
    """
    if isinstance(address, ipaddress.IPv6Address):
        inner = address.ipv4_mapped or address.sixtofour or (address.teredo[1] if address.teredo else None)
        if address in NAT64:
            inner = ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
        if inner is not None:
            return is_public(inner)
    return address.is_global and not address.is_multicast


def resolve(url: str, *, allow_private: bool) -> Target:
    """Look the name up and choose the address to call.

    Raises:
        BackstayError: no such name, credentials in the address, a scheme or port that is none, or an address that is
            not of the public internet without `allow_private`.
    """
    parts = urlsplit(url)
    try:
        port = parts.port
    except ValueError as error:
        raise BackstayError(f"{url!r} names no port ({error})", fix="mend the address in notify.webhooks") from error
    if parts.scheme not in PORTS or not parts.hostname:
        raise BackstayError(f"{url!r} is no web address", fix="name one that begins with https://")
    if parts.username or parts.password:
        raise BackstayError(
            f"the address of {parts.hostname} holds a name or password", fix="take them out: the messages are signed"
        )
    if any(ord(letter) <= 32 or ord(letter) == 127 for letter in url):
        raise BackstayError(f"{url!r} holds blanks or control characters", fix="mend the address in notify.webhooks")
    port = port or PORTS[parts.scheme]
    try:
        found = socket.getaddrinfo(parts.hostname, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise BackstayError(f"no machine answers to the name {parts.hostname!r} ({error})", fix="check it") from error
    addresses = [str(entry[4][0]).partition("%")[0] for entry in found]
    closed = [a for a in addresses if not is_public(ipaddress.ip_address(a))]
    if closed and not allow_private:
        raise BackstayError(
            f"{parts.hostname} is at {closed[0]}, which is not an address of the public internet",
            fix="set notify.allow_private = true if messages may go there",
        )
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    return Target(parts.scheme, parts.hostname, port, addresses[0], path)
