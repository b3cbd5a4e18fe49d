"""Opens more MQTT connections from one address than deploy/mosquitto/firewall.nft allows."""

import socket

LIMIT = 200
SERVER = "10.9.0.1"


def connect(address, port):
    client = socket.socket()
    client.settimeout(10)
    client.bind((address, 0))
    client.connect((SERVER, port))
    return client


servers = [socket.create_server((SERVER, port), backlog=1024) for port in (1883, 1884, 8883)]
kept = [connect("10.9.0.1", 1883) for _ in range(LIMIT)]
for port in (1883, 8883):
    try:
        connect("10.9.0.1", port)
        raise SystemExit(f"connection {LIMIT + 1} of one address to port {port} was accepted")
    except ConnectionRefusedError:
        pass
# Other addresses and the gateway are not affected.
kept += [connect("10.9.0.2", 1883), connect("10.9.0.2", 8883), connect("10.9.0.1", 1884)]
# A closed connection no longer counts.
servers[0].accept()[0].close()
kept.pop(0).close()
kept.append(connect("10.9.0.1", 1883))
