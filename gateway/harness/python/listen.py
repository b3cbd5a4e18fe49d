"""A Socket.IO client of another make: writes each event as a line of JSON, until it is killed.

usage: listen.py URL [AUTH]   AUTH: JSON that is said when connecting
"""

import asyncio
import json
import sys

import socketio

# Not the one with threads, which calls its handlers side by side and so loses the order.
client = socketio.AsyncClient(reconnection_delay=0.1, reconnection_delay_max=0.5)


def say(event, data):
    print(json.dumps({"event": event, "data": data}), flush=True)


@client.on("disconnect")
def disconnected(reason=None):
    say("disconnect", reason)


@client.on("*")
def any_event(event, data=None):
    say(event, data)


async def listen(url, auth=None):
    await client.connect(url, auth=auth, retry=True)
    await client.wait()


asyncio.run(listen(sys.argv[1], *map(json.loads, sys.argv[2:3])))
