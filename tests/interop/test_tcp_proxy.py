"""The proxy itself: silence is silence, a cut is a cut."""

import socket
import threading
from collections.abc import Iterator

import pytest
from tcp_proxy import TcpProxy, proxied
from waiting import PATIENCE_S


@pytest.fixture
def echo_port() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            while True:
                try:
                    peer, _ = listener.accept()
                except OSError:
                    return  # the test is over
                threading.Thread(target=echo, args=(peer,), daemon=True).start()

        def echo(peer: socket.socket) -> None:
            with peer:
                try:
                    while chunk := peer.recv(4096):
                        peer.sendall(chunk)
                except OSError:
                    return  # that is what the proxy is for

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield listener.getsockname()[1]
        listener.shutdown(socket.SHUT_RDWR)
        thread.join()


def connect(proxy: TcpProxy) -> socket.socket:
    return socket.create_connection(("127.0.0.1", proxy.port), timeout=PATIENCE_S)


def test_it_forwards_both_ways_and_counts(echo_port: int) -> None:
    with proxied(echo_port) as proxy, connect(proxy) as peer:
        peer.sendall(b"hello")
        assert peer.recv(5) == b"hello"
        assert (proxy.to_server, proxy.to_client) == (5, 5)


def test_paused_it_is_silent_and_loses_nothing(echo_port: int) -> None:
    with proxied(echo_port) as proxy, connect(proxy) as peer:
        peer.sendall(b"a")
        assert peer.recv(1) == b"a"
        proxy.pause()
        peer.sendall(b"b")
        peer.settimeout(0.2)
        with pytest.raises(TimeoutError):
            peer.recv(1)
        proxy.resume()
        peer.settimeout(PATIENCE_S)
        assert peer.recv(1) == b"b"


def test_reset_ends_the_connection_and_the_next_one_works(echo_port: int) -> None:
    with proxied(echo_port) as proxy:
        with connect(proxy) as peer:
            peer.sendall(b"a")
            assert peer.recv(1) == b"a"
            proxy.reset()
            with pytest.raises(ConnectionResetError):
                peer.recv(1)
        with connect(proxy) as peer:
            peer.sendall(b"b")
            assert peer.recv(1) == b"b"
