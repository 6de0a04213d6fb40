"""A receiver of mail on this machine."""

from __future__ import annotations

import socketserver
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest


@dataclass
class MailBox:
    """A mail server that takes everything but the addresses in `refused`."""

    port: int = 0
    refused: set[str] = field(default_factory=set)
    letters: list[bytes] = field(default_factory=list)
    said: list[str] = field(default_factory=list)


@pytest.fixture
def mailbox() -> Iterator[MailBox]:
    kept = MailBox()

    class Session(socketserver.StreamRequestHandler):
        def say(self, line: str) -> None:
            self.wfile.write(f"{line}\r\n".encode())

        def handle(self) -> None:
            self.say("220 here")
            for raw in self.rfile:
                line = raw.decode().strip()
                kept.said.append(line)
                verb = line[:4].upper()
                if verb == "RCPT" and any(address in line for address in kept.refused):
                    self.say("550 nobody of that name")
                elif verb == "DATA":
                    self.say("354 go on")
                    letter = []
                    while (part := self.rfile.readline()) != b".\r\n":
                        letter.append(part.removeprefix(b"."))
                    kept.letters.append(b"".join(letter))
                    self.say("250 taken")
                elif verb == "QUIT":
                    self.say("221 bye")
                    return
                else:
                    self.say("250 ok")

    server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), Session)
    server.daemon_threads = True
    kept.port = int(server.server_address[1])
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    yield kept
    server.shutdown()
    thread.join()
    server.server_close()
