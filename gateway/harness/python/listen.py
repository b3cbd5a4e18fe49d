"""An independent Socket.IO client: prints each event as a line of JSON, until it is killed.

usage: listen.py URL [AUTH [HEADERS]]   the `auth` object of the connect packet and the HTTP headers, as JSON
"""

import asyncio
import json
import sys

import socketio

# Not the threaded client: it calls handlers concurrently, which loses the order of events.
client = socketio.AsyncClient(reconnection_delay=0.1, reconnection_delay_max=0.5)


def emit(event, data):
    print(json.dumps({"event": event, "data": data}), flush=True)


@client.on("disconnect")
def disconnected(reason=None):
    emit("disconnect", reason)


@client.on("connect_error")
def refused(reason=None):
    emit("connect_error", reason)


@client.on("*")
def any_event(event, data=None):
    emit(event, data)


async def listen(url, auth=None, headers=None):
    try:
        await client.connect(url, headers=headers or {}, auth=auth, retry=True)
    except socketio.exceptions.ConnectionError:
        # Refused by the gateway, which was printed. It runs until it is killed, as always.
        await asyncio.Event().wait()
    await client.wait()


asyncio.run(listen(sys.argv[1], *map(json.loads, sys.argv[2:4])))
