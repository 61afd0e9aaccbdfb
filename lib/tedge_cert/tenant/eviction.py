# SPDX-License-Identifier: Apache-2.0
"""Push the bridge out, at the moment that keeps it away for the shortest time.

The bridge then reconnects, and reads the certificate again. mosquitto counts its pause (``restart_timeout 1``) in whole
seconds of a clock that both can read. 2.0 reconnects when the second one since its fall begins: after two seconds if it
fell just after the begin of a second, after one if it fell just before. 2.1 reconnects when the first one begins, one
second sooner. So a connection that is going to push it out waits, between the TLS handshake and CONNECT, for the end of
a second.
"""

import select
import socket
import ssl
import struct
import time
from functools import partial

from tedge_cert.bridge.health import Bridge
from tedge_cert.device.connections import Tenant
from tedge_cert.tenant.own_connection import Verdict, attempt, own_context

# The time from the arrival of CONNECT at the tenant until the broker sees its bridge disconnected, without the network.
HANDLING_S = 0.25
# A network slower or less steady than this misses the end of the second, so it is not waited for.
LONGEST_LEAD_S = 0.6
# struct tcp_info of Linux: smoothed round-trip time and its mean deviation, in microseconds (tcp(7), RFC 6298).
_TIMES_AT, _TIMES = 68, struct.Struct("=II")


def evict_bridge(tenant: Tenant, bridge: Bridge) -> Verdict:
    """Push the bridge out by a short connection with the active certificate, so that it reconnects with it."""
    return attempt(tenant, own_context(tenant), before_connect=partial(await_moment, clock=bridge.clock))


def lead_s(connection: socket.socket) -> float:
    """Return how long before the end of the second CONNECT has to leave, so that the bridge falls before it."""
    told = connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _TIMES_AT + _TIMES.size)
    round_trip_us, deviation_us = _TIMES.unpack_from(told, _TIMES_AT)
    return HANDLING_S + float(round_trip_us + 2 * deviation_us) / 1e6


def pause_s(lead_s: float, clock_s: float) -> float:
    """Return how long it is from ``clock_s`` until ``lead_s`` is left of a second; 0 where waiting would not help."""
    return 0.0 if lead_s > LONGEST_LEAD_S else (1.0 - lead_s - clock_s) % 1.0


def await_moment(connection: ssl.SSLSocket, clock: int) -> None:
    """Wait, less than a second, until it is time to send CONNECT; raises OSError if the server ends TLS meanwhile.

    The time is shortly before the end of a second of ``clock``, that of the broker.
    In TLS 1.3 this is where a server refuses the certificate of a client.
    """
    ends_s = time.monotonic() + pause_s(lead_s(connection), time.clock_gettime(clock))
    while (left_s := ends_s - time.monotonic()) > 0:
        if not select.select([connection], [], [], left_s)[0]:
            return
        try:
            if connection.recv(1):
                raise ConnectionResetError("it spoke before CONNECT, which MQTT does not know")
        except ssl.SSLWantReadError:
            # A session ticket.
            continue
        # The server closed the connection; the next read finds that too.
        return
