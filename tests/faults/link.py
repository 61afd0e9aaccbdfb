# SPDX-License-Identifier: Apache-2.0
"""A bad link between a device and its tenant: delay in both directions, and loss as it appears to users of TCP.

The kernel of the test machine need not know netem, so packets are not lost: what is lost costs the connection the
time of a retransmission (RFC 6298: a second, doubled each time it is lost again), and everything behind it waits.
Now and then a connection is reset, as middle boxes do. The handshake of TCP itself is not delayed.
"""

import asyncio
import contextlib
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from random import Random

RETRANSMISSION_S = 1.0
SEGMENT_BYTES = 1400


@dataclass(frozen=True)
class Link:
    """How bad it is."""

    delay_s: float = 0.0
    loss: float = 0.0
    # The share of connections that are reset after some segments.
    resets: float = 0.0
    seed: int = 1


class _Carrier:
    def __init__(self, link: Link, there: tuple[str, int]) -> None:
        self._link = link
        self._there = there
        self._random = Random(link.seed)  # noqa: S311

    async def carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection, until either side ends it or it is reset."""
        try:
            far_reader, far_writer = await asyncio.open_connection(*self._there)
        except OSError:
            writer.close()
            return
        doomed = self._random.random() < self._link.resets
        left = [self._random.randrange(2, 8) if doomed else 0]
        ways = (self._way(reader, far_writer, left), self._way(far_reader, writer, left))
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            await asyncio.gather(*ways)
        for each in (writer, far_writer):
            each.transport.abort()

    async def _way(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, left: list[int]) -> None:
        waiting: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue()
        loop = asyncio.get_running_loop()

        async def deliver() -> None:
            while True:
                due_s, segment = await waiting.get()
                await asyncio.sleep(max(0.0, due_s - loop.time()))
                if not segment:
                    writer.write_eof()
                    return
                writer.write(segment)
                await writer.drain()

        delivering = asyncio.create_task(deliver())
        last_s = 0.0
        while segment := await reader.read(SEGMENT_BYTES):
            if left[0]:
                left[0] -= 1
                if not left[0]:
                    delivering.cancel()
                    raise ConnectionResetError
            last_s = max(last_s, loop.time() + self._link.delay_s + self._lost_s())
            waiting.put_nowait((last_s, segment))
        waiting.put_nowait((max(last_s, loop.time() + self._link.delay_s), b""))
        await delivering

    def _lost_s(self) -> float:
        lost_s, again_s = 0.0, RETRANSMISSION_S
        while self._random.random() < self._link.loss:
            lost_s, again_s = lost_s + again_s, 2 * again_s
        return lost_s


@contextmanager
def linked(link: Link, there: tuple[str, int]) -> Iterator[int]:
    """The port at which `there` is reached over the link."""
    loop, ports, carrier = asyncio.new_event_loop(), [], _Carrier(link, there)
    listening = threading.Event()

    async def serve() -> None:
        server = await asyncio.start_server(carrier.carry, "127.0.0.1", 0)
        ports.append(server.sockets[0].getsockname()[1])
        listening.set()

    def run() -> None:
        loop.run_until_complete(serve())
        loop.run_forever()

    thread = threading.Thread(target=run)
    thread.start()
    assert listening.wait(10)
    try:
        yield ports[0]
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        for task in asyncio.all_tasks(loop):
            task.cancel()
        loop.run_until_complete(asyncio.sleep(0))
        loop.close()
