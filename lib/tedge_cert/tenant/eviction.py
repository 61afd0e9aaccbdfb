# SPDX-License-Identifier: Apache-2.0
"""When to push the bridge out, so that it is away for as short as can be.

mosquitto counts its pause (``restart_timeout 1``) in whole seconds of a clock that both can read, and connects anew
when more than one has struck since its fall: after two seconds if it fell just after the stroke, after one if just
before. So a connection that is going to push it out waits, between the TLS handshake and CONNECT, for the end of a
second.
"""

import select
import socket
import ssl
import struct
import time

# mosquitto's own (lib/time_mosq.c); that of 2.0.11 stood still in a suspended device, where any moment is as good.
CLOCK = time.CLOCK_BOOTTIME
# What tenant and broker take between them to pass CONNECT on as the end of the bridge's connection.
HANDLING_S = 0.25
# With a way so slow or so unsteady the stroke cannot be met: then it is not waited for.
LONGEST_LEAD_S = 0.6
# struct tcp_info of Linux: smoothed round-trip time and its mean deviation, in microseconds (tcp(7), RFC 6298).
_TIMES_AT, _TIMES = 68, struct.Struct("=II")


def lead_s(connection: socket.socket) -> float:
    """How long before the stroke CONNECT has to leave: what it takes to end in the bridge's fall."""
    told = connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _TIMES_AT + _TIMES.size)
    round_trip_us, deviation_us = _TIMES.unpack_from(told, _TIMES_AT)
    return HANDLING_S + float(round_trip_us + 2 * deviation_us) / 1e6


def pause_s(lead_s: float, clock_s: float) -> float:
    """How long from ``clock_s`` until so much is left of a second; 0 where that would not help."""
    return 0.0 if lead_s > LONGEST_LEAD_S else (1.0 - lead_s - clock_s) % 1.0


def await_moment(connection: ssl.SSLSocket) -> None:
    """Wait until it is time to send CONNECT, less than a second; raises what the other side says meanwhile (OSError).

    In TLS 1.3 that is where it refuses a client's certificate.
    """
    ends_s = time.monotonic() + pause_s(lead_s(connection), time.clock_gettime(CLOCK))
    while (left_s := ends_s - time.monotonic()) > 0:
        if not select.select([connection], [], [], left_s)[0]:
            return
        try:
            if connection.recv(1):
                raise ConnectionResetError("it spoke before CONNECT, which MQTT does not know")
        except ssl.SSLWantReadError:
            # A session ticket.
            continue
        # It closed the connection, which the next one to read is told too.
        return
