"""The open connections of one client, which another thread can end at any moment.

Neither requests nor urllib3 can end a request that is being connected, encrypted or waited for. Here each connection
tells its socket from its first moment on, and whoever reads from a socket that is shut down wakes up.
"""

from __future__ import annotations

import socket
import threading
from contextlib import suppress
from http.client import HTTPResponse
from typing import TYPE_CHECKING, Any
from weakref import WeakSet

from requests import Response, Session
from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.exceptions import ConnectTimeoutError, NameResolutionError, NewConnectionError

if TYPE_CHECKING:
    from urllib3 import ProxyManager

__all__ = ["OneHost", "OpenSockets"]


class OpenSockets:
    """The sockets of a client; once ended, no more are opened."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._open: WeakSet[socket.socket] = WeakSet()
        self._ended = False
        self.timeout: float | None = None  # seconds in which something has to be sent or received

    def add(self, sock: socket.socket) -> None:
        """Take in a socket that is about to be used."""
        with self._lock:
            if self._ended:
                raise ConnectionAbortedError("the request was ended")
            self._open.add(sock)

    def end(self) -> None:
        """Shut all of them down, now and for good: the gateway sees it, and who reads from them wakes up."""
        with self._lock:
            self._ended = True
            for sock in self._open:
                with suppress(OSError):  # not connected yet, or closed
                    socket.socket.shutdown(sock, socket.SHUT_RDWR)  # below TLS, which another thread may be using


class OneHost(Session):
    """Sends to the host that it is given and to no other, over sockets that can be ended."""

    def __init__(self, sockets: OpenSockets) -> None:
        super().__init__()
        for scheme in ("http://", "https://"):
            self.mount(scheme, _Adapter(sockets))

    def get_redirect_target(self, resp: Response) -> None:
        """Follow no redirect: the key goes to no other host."""


class _Adapter(HTTPAdapter):
    """Makes connections that tell their sockets, to gateways and to proxies."""

    def __init__(self, sockets: OpenSockets) -> None:
        self._pools = _pools(sockets)
        super().__init__()

    def init_poolmanager(self, *args: Any, **settings: Any) -> None:
        """Make the pools for gateways."""
        super().init_poolmanager(*args, **settings)
        self.poolmanager.pool_classes_by_scheme = self._pools

    def proxy_manager_for(self, proxy: str, **settings: Any) -> ProxyManager:
        """Make the pools for a proxy; one that speaks SOCKS keeps its own."""
        manager: ProxyManager = super().proxy_manager_for(proxy, **settings)
        if not proxy.lower().startswith("socks"):
            manager.pool_classes_by_scheme = self._pools
        return manager


class _Unlogged(HTTPResponse):
    """A response whose headers are not logged where they are out of form: they may repeat the key."""

    def begin(self) -> None:
        super().begin()
        self.headers.defects.clear()
        self.headers.set_payload("")


def _pools(sockets: OpenSockets) -> dict[str, type[HTTPConnectionPool]]:
    """Return urllib3's pools, with connections that tell their sockets."""

    class Told(HTTPConnection):
        handle: socket.socket | None = None
        debuglevel = 0  # where it is set for all connections, http.client prints the headers, the key in them
        response_class = _Unlogged

        def _new_conn(self) -> socket.socket:
            sock = _connected(self, sockets)
            # TLS takes the socket over, and tells its own only when both sides have agreed.
            self.handle = sock.dup()
            sockets.add(self.handle)
            return sock

        def connect(self) -> None:
            try:
                super().connect()
            finally:
                if self.handle is not None:
                    self.handle.close()
            sockets.add(self.sock)
            self.sock.settimeout(sockets.timeout)  # urllib3's own, for connecting, would also hold while a body is sent

    class ToldSafely(Told, HTTPSConnection):
        pass

    class Pool(HTTPConnectionPool):
        ConnectionCls = Told

    class SafePool(HTTPSConnectionPool):
        ConnectionCls = ToldSafely

    return {"http": Pool, "https": SafePool}


def _connected(connection: HTTPConnection, sockets: OpenSockets) -> socket.socket:
    """Connect as urllib3 does, to the first of the host's addresses that answers."""
    host = connection.host
    try:
        addresses = socket.getaddrinfo(host.strip("[]"), connection.port, type=socket.SOCK_STREAM)
    except UnicodeError as error:
        unknown = socket.gaierror(socket.EAI_NONAME, "no name of a host can be so")
        raise NameResolutionError(host, connection, unknown) from error
    except socket.gaierror as error:
        raise NameResolutionError(host, connection, error) from error
    failure: OSError = OSError("the host has no address")
    for family, kind, protocol, _, address in addresses:
        sock = None
        try:
            sock = socket.socket(family, kind, protocol)
            sockets.add(sock)
            sock.settimeout(connection.timeout)
            for option in connection.socket_options or ():
                sock.setsockopt(*option)
            sock.connect(address)
        except OSError as error:
            if sock is not None:
                sock.close()
            failure = error
        else:
            return sock
    if isinstance(failure, TimeoutError):
        raise ConnectTimeoutError(connection, f"Connecting to {host} timed out.") from failure
    raise NewConnectionError(connection, f"Connecting to {host} failed: {failure}") from failure
