"""Server of the soak test: each response has the requested id, and is often late, cut or broken."""

from __future__ import annotations

import asyncio
import contextlib
import json
import random


async def respond(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Serve one connection: each response has the id of its request."""
    with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
        while True:
            head = await reader.readuntil(b"\r\n\r\n")
            invoice_id = head.split(b" ", 2)[1].rpartition(b"/")[2].decode()
            body = json.dumps({"id": invoice_id, "status": "pending", "amount": "1"}).encode()
            await write_badly(writer, body)
    writer.close()


async def write_badly(writer: asyncio.StreamWriter, body: bytes) -> None:
    """Write a response: immediately, after a delay, or in two pieces; 2 % fail or close."""
    way = random.random()
    if way < 0.01:
        raise ConnectionResetError
    status = b"503 Service Unavailable" if way < 0.02 else b"200 OK"
    whole = b"HTTP/1.1 %s\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s" % (
        status,
        len(body),
        body,
    )
    if way < 0.3:
        await asyncio.sleep(random.random() * 0.01)
    cut = random.randrange(len(whole)) if way < 0.5 else 0
    if cut:
        writer.write(whole[:cut])
        await asyncio.sleep(0.001)
    writer.write(whole[cut:])
    await writer.drain()


async def serve() -> None:
    """Print the port, and serve until the process is killed."""
    server = await asyncio.start_server(respond, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(serve())
