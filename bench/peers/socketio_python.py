"""A python-socketio server for the side by side runs.

"join" enters a room and is acknowledged, "msg" is broadcast to the room "bench".
Usage: socketio_python.py PORT
"""
import sys

import socketio
import uvicorn

server = socketio.AsyncServer(async_mode="asgi", transports=["websocket"])


@server.event
async def join(sid, room):
    await server.enter_room(sid, room)
    return True


@server.event
async def msg(sid, data):
    await server.emit("msg", data, room="bench")


if __name__ == "__main__":
    port = int(sys.argv[1]) if len(sys.argv) > 1 else 8104
    uvicorn.run(
        socketio.ASGIApp(server),
        host="127.0.0.1",
        port=port,
        backlog=4096,
        log_level="error",
        access_log=False,
        ws_per_message_deflate=False,
    )
