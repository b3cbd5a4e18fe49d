"""Tests one limit of the packaged Mosquitto configuration with raw MQTT 3.1.1.

    mqtt_limits.py TILLS_PORT GATEWAY_PORT TILL TILL_PASSWORD GATEWAY_PASSWORD packet|qos|connections|queue
"""

import resource
import socket
import struct
import sys
import threading
import time

# As in deploy/mosquitto/comptoir.conf.
CONNECTIONS, QUEUED, LARGEST_PACKET = 4000, 100_000, 2097152
TIMEOUT = 60


def text(value):
    data = value.encode()
    return struct.pack(">H", len(data)) + data


def packet(kind, body):
    length, rest = b"", len(body)
    while True:
        rest, digit = divmod(rest, 128)[0], rest % 128
        length += bytes([digit | (128 if rest else 0)])
        if not rest:
            return bytes([kind]) + length + body


class Client:
    def __init__(self, port, client_id, user, password, clean=True):
        self.socket = socket.create_connection(("127.0.0.1", port), TIMEOUT)
        self.stream = self.socket.makefile("rb")
        flags = 0xC0 | (2 if clean else 0)
        body = text("MQTT") + bytes([4, flags]) + struct.pack(">H", 600) + text(client_id) + text(user) + text(password)
        self.socket.sendall(packet(0x10, body))
        kind, answer = self.read()
        assert kind == 0x20 and answer[1] == 0, f"CONNACK {answer}"

    def read(self):
        kind = self.stream.read(1)
        if not kind:
            raise EOFError
        length, shift = 0, 0
        while True:
            digit = self.stream.read(1)[0]
            length |= (digit & 127) << shift
            shift += 7
            if not digit & 128:
                return kind[0], self.stream.read(length)

    def publish(self, topic, payload, qos=1, number=1):
        self.socket.sendall(packet(0x30 | qos << 1, text(topic) + struct.pack(">H", number) + payload))

    def ping(self):
        self.socket.sendall(packet(0xC0, b""))

    def is_closed(self):
        try:
            while True:
                self.read()
        except (EOFError, ConnectionError):
            return True

    def close(self):
        self.socket.sendall(packet(0xE0, b""))
        self.socket.close()


def largest_packet(till, _gateway):
    sender = till()
    head = len(text("pos/paris-1/till-1/orders")) + 2
    # The fixed header of a packet of that size has 5 bytes.
    sender.publish("pos/paris-1/till-1/orders", bytes(LARGEST_PACKET - head - 5))
    assert sender.read()[0] == 0x40, "a packet of the limit's size is not acknowledged"
    try:
        sender.publish("pos/paris-1/till-1/orders", bytes(LARGEST_PACKET))
    except ConnectionError:
        # Mosquitto refuses the packet at its header, so the rest may find the connection closed.
        return
    assert sender.is_closed()


def no_qos_2(till, _gateway):
    sender = till()
    sender.publish("pos/paris-1/till-1/orders", b"x", qos=2)
    assert sender.is_closed()


def is_refused(sock):
    sock.setblocking(False)
    try:
        return sock.recv(1) == b""
    except BlockingIOError:
        return False
    except ConnectionError:
        return True


def connections(till, gateway):
    """Idle sockets fill the tills' listener. The gateway can still connect; tills can once the sockets are closed."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, min(hard, CONNECTIONS + 1000)), hard))
    port = int(sys.argv[1])
    # More than the default limit of open files, but less than the limit of connections: tills can still connect.
    idle = [socket.create_connection(("127.0.0.1", port), TIMEOUT) for _ in range(1100)]
    till().close()
    # Mosquitto 2.0.11 counts each client's disconnection twice, so each test before has raised the limit by one.
    idle += [socket.create_connection(("127.0.0.1", port), TIMEOUT) for _ in range(CONNECTIONS + 500 - len(idle))]
    end = time.monotonic() + TIMEOUT
    while not any(is_refused(each) for each in idle):
        assert time.monotonic() < end, f"{len(idle)} connections were accepted"
        time.sleep(0.1)
    gateway("comptoir-paris-1").close()
    for each in idle:
        each.close()
    while True:
        try:
            return till().close()
        except (EOFError, ConnectionError):
            assert time.monotonic() < end, "tills are still refused"
            time.sleep(0.1)


def queue(till, gateway):
    """The queue of an absent gateway is limited; its sender and the gateway are still served."""
    absent = gateway("comptoir-absent", clean=False)
    absent.socket.sendall(packet(0x82, struct.pack(">H", 1) + text("pos/+/+/payments") + b"\1"))
    while absent.read()[0] != 0x90:
        pass
    absent.close()
    sender = till()
    sent, acked = QUEUED + 5000, threading.Event()

    def count():
        for _ in range(sent):
            while sender.read()[0] != 0x40:
                pass
        acked.set()
    threading.Thread(target=count, daemon=True).start()
    for number in range(sent):
        sender.publish("pos/paris-1/till-1/payments", b"x" * 20, number=number % 65000 + 1)
    assert acked.wait(TIMEOUT), "not every message was acknowledged"
    back = gateway("comptoir-absent", clean=False)
    received = 0
    back.socket.settimeout(5)
    try:
        while received <= sent:
            kind, body = back.read()
            if kind & 0xF0 == 0x30:
                received += 1
                topic = struct.unpack(">H", body[:2])[0]
                back.socket.sendall(packet(0x40, body[2 + topic : 4 + topic]))
    except TimeoutError:
        pass
    # Messages in flight do not count towards the queue.
    assert QUEUED <= received <= QUEUED + 1000, f"{received} messages were queued"


def main():
    tills, gateways, user, password, gateway_password, limit = sys.argv[1:]
    tests = {"packet": largest_packet, "qos": no_qos_2, "connections": connections, "queue": queue}
    tests[limit](lambda: Client(int(tills), "x", user, password),
                 lambda name, clean=True: Client(int(gateways), name, "gateway", gateway_password, clean))


main()
