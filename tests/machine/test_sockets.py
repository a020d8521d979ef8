"""Whether sockets that others have opened send at once, as the kernel says."""

import socket

import pytest

from imgcls.machine.sockets import send_at_once


def sends_at_once(one: socket.socket) -> bool:
    return one.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) != 0


@pytest.fixture
def pair():
    """A socket that listens, one that is connected to it, and what was accepted."""
    with socket.create_server(("127.0.0.1", 0)) as server, socket.create_connection(server.getsockname()) as client:
        accepted, _ = server.accept()
        with accepted:
            yield server, client, accepted


def test_those_of_the_port_do_and_go_on_being_open(pair):
    server, client, accepted = pair
    assert not any(map(sends_at_once, pair))
    assert send_at_once(server.getsockname()[1]) == 3
    assert all(map(sends_at_once, pair))
    client.sendall(b"here")
    assert accepted.recv(4) == b"here"
    with socket.create_connection(server.getsockname()), server.accept()[0] as later:
        assert sends_at_once(later)


def test_others_stay_as_they_are(pair):
    server, *_ = pair
    with socket.create_server(("127.0.0.1", 0)) as other:
        assert send_at_once(other.getsockname()[1]) == 1
        assert not any(map(sends_at_once, pair))
    with socket.socket() as nowhere:  # bound to no port
        assert send_at_once(0) == 0
        assert not sends_at_once(nowhere)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as datagrams:
        datagrams.bind(("127.0.0.1", server.getsockname()[1]))
        assert send_at_once(server.getsockname()[1]) == 3
