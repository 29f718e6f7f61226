"""Sends MPEG-TS by TCP or UDP: unlike FFmpeg's protocols, it never waits for long, nor holds up other threads."""

from __future__ import annotations

import socket
from urllib.parse import urlsplit

from stylize.decode.live_address import hide_password
from stylize.errors import VideoError

TIMEOUT = 5.0
"""Seconds that a receiver may take to accept a connection, or a part of the stream."""
DATAGRAM = 1316
"""Bytes of a datagram: seven packets of MPEG-TS."""
PORTS = {"rtmp": 1935, "rtsp": 554}


class NetworkSink:
    """A stream of bytes to `tcp://host:port` or `udp://host:port`, as PyAV writes into it.

    Raises:
        OSError: the receiver is not there.
    """

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port or 0
        self._is_datagram = parts.scheme == "udp"
        if self._is_datagram:
            family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_DGRAM)[0]
            self._socket = socket.socket(family, kind, protocol)
            self._socket.connect(address)
        else:
            self._socket = socket.create_connection((host, port), TIMEOUT)
        self._socket.settimeout(TIMEOUT)
        self.error: OSError | None = None
        """Why nothing more can be sent; PyAV itself would not tell."""

    def write(self, content: bytes) -> int:
        """Sends bytes; a receiver of datagrams need not be there."""
        if self.error is None:
            try:
                self._send(bytes(content))
            except ConnectionRefusedError as error:
                self.error = None if self._is_datagram else error
            except OSError as error:
                self.error = error
        return len(content)

    def _send(self, content: bytes) -> None:
        if not self._is_datagram:
            self._socket.sendall(content)
            return
        for begin in range(0, len(content), DATAGRAM):
            self._socket.send(content[begin : begin + DATAGRAM])

    def close(self) -> None:
        """Ends the connection."""
        self._socket.close()


def check_receiver(url: str) -> None:
    """Raises OSError if nobody listens at an address that FFmpeg is to connect to, which would stop all threads."""
    parts = urlsplit(url)
    if parts.scheme in PORTS:
        socket.create_connection((parts.hostname or "", parts.port or PORTS[parts.scheme]), TIMEOUT).close()


def check_address(url: str) -> None:
    """Raises VideoError for an address without host or port."""
    parts = urlsplit(url)
    try:
        complete = bool(parts.hostname) and (parts.scheme in PORTS or parts.port)
    except ValueError:
        complete = False
    if not complete:
        raise VideoError(f"{hide_password(url)}: is not a whole address", "write it as udp://127.0.0.1:5000")
