# SPDX-License-Identifier: Apache-2.0
"""Carry connections to 127.0.0.1 on to somewhere else: `python -m system.forwarder PORT:HOST:PORT …`.

Run in a device's network it lets the device find at its own address what listens at its cable.
"""

import asyncio
import contextlib
import sys


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while block := await reader.read(1 << 16):
            writer.write(block)
            await writer.drain()
    writer.close()


async def _serve(port: int, host: str, there: int) -> None:
    async def carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            far_reader, far_writer = await asyncio.open_connection(host, there)
        except OSError:
            writer.close()
            return
        await asyncio.gather(_copy(reader, far_writer), _copy(far_reader, writer))

    server = await asyncio.start_server(carry, "127.0.0.1", port)
    await server.serve_forever()


async def _main(routes: list[str]) -> None:
    parts = [route.split(":") for route in routes]
    await asyncio.gather(*(_serve(int(port), host, int(there)) for port, host, there in parts))


if __name__ == "__main__":
    asyncio.run(_main(sys.argv[1:]))
