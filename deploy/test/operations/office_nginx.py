"""The nginx configurations of head office, in front of small HTTP servers instead of the office.

    office_nginx.py NGINX FRONT.conf REPLICA.conf FOLDER

Two replicas, each with an nginx of REPLICA.conf, and one nginx of FRONT.conf before both, as in docker-compose.yml. Only ports,
addresses and folders are replaced. FOLDER is for temporary files.
"""

import http.client
import http.server
import pathlib
import re
import signal
import socket
import socketserver
import struct
import subprocess
import sys
import threading
import time

NAME = "office-replicas"
# Addresses of the replicas, the last of them only after a move. All of 127.0.0.0/8 is this machine.
ADDRESSES = ["127.0.0.2", "127.0.0.3", "127.0.0.4"]
REQUESTS = 40


class Office:
    """What the configurations need of the office: names of its own machine only, 503 without PostgreSQL."""

    def __init__(self, name, port):
        self.name, self.port, self.server = name, port, None
        self.has_database, self.posts, self.hosts = True, 0, []

    def start(self):
        office = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def answer(self, status, body):
                self.send_response(status)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def do_GET(self):
                host = self.headers.get("Host", "")
                office.hosts.append(host)
                if host.split(":")[0] not in ("localhost", "127.0.0.1"):
                    self.answer(421, b"unknown host")
                elif self.headers.get("Upgrade") == "websocket" and self.headers.get("Connection") == "upgrade":
                    self.echo()
                elif self.path == "/big":
                    self.answer(200, bytes(8 << 20))
                elif office.has_database or self.path == "/healthz":
                    self.answer(200, office.name.encode())
                else:
                    self.answer(503, b"no database")

            def echo(self):
                """Like a WebSocket: bytes in both directions. The first are the addresses that the request came from."""
                self.send_response_only(101)
                self.send_header("Upgrade", "websocket")
                self.send_header("Connection", "upgrade")
                self.end_headers()
                self.close_connection = True
                self.wfile.write(self.headers.get("X-Forwarded-For", "").encode() + b"\n")
                while received := self.connection.recv(100):
                    self.connection.sendall(received)

            def do_POST(self):
                # Ends in the middle of the request, which may have been executed.
                office.posts += 1
                self.close_connection = True
                self.connection.shutdown(socket.SHUT_RDWR)

            def log_message(self, *_):
                pass

        class Server(socketserver.ThreadingMixIn, http.server.HTTPServer):
            daemon_threads = True
            request_queue_size = 64

        self.server = Server(("127.0.0.1", self.port), Handler)
        threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()

    def stop(self):
        self.server.shutdown()
        self.server.server_close()


class Dns(threading.Thread):
    """Docker's DNS: the addresses of one name, for one second."""

    def __init__(self):
        super().__init__(daemon=True)
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind(("127.0.0.1", 0))
        self.port = self.socket.getsockname()[1]
        self.addresses = []

    def run(self):
        while True:
            query, client = self.socket.recvfrom(512)
            question = query[12 : query.index(b"\0", 12) + 5]
            is_known = question[:-4] == bytes([len(NAME)]) + NAME.encode() + b"\0" and question[-4:-2] == b"\0\1"
            found = self.addresses if is_known else []
            reply = query[:2] + struct.pack(">HHHHH", 0x8180 if is_known else 0x8183, 1, len(found), 0, 0) + question
            for address in found:
                reply += b"\xc0\x0c" + struct.pack(">HHIH", 1, 1, 1, 4) + socket.inet_aton(address)
            self.socket.sendto(reply, client)


def free_port(addresses=("127.0.0.1",)):
    """A port that is free at all of these addresses."""
    for _ in range(100):
        with socket.socket() as first:
            first.bind((addresses[0], 0))
            port = first.getsockname()[1]
            try:
                for address in addresses[1:]:
                    with socket.socket() as other:
                        other.bind((address, port))
            except OSError:
                continue
            return port
    raise SystemExit("no free port")


def replaced(text, changes):
    """Each change must fit, so that this test uses the configuration and not a part of it."""
    for old, new in changes:
        text, count = re.subn(old, new, text, flags=re.M)
        assert count, f"the configuration has no {old}"
    return text


class Nginx:
    def __init__(self, program, folder, text, address, port):
        folder.mkdir()
        self.config, self.log = folder / "nginx.conf", folder / "log"
        self.config.write_text(replaced(text, [("/tmp/", f"{folder}/")]))
        self.program, self.folder, self.at, self.process = program, folder, (address, port), None

    def command(self, *arguments):
        return [self.program, "-e", "stderr", "-p", str(self.folder), "-c", str(self.config), *arguments]

    def start(self):
        with self.log.open("a") as log:
            subprocess.run(self.command("-t"), stdout=log, stderr=log, check=True)
            self.process = subprocess.Popen(self.command("-g", "daemon off;"), stdout=log, stderr=log)
        for _ in range(100):
            try:
                socket.create_connection(self.at, 1).close()
                return
            except OSError:
                time.sleep(0.05)
        raise SystemExit(f"nginx does not listen: {self.log.read_text()}")

    def stop(self):
        if self.process:
            self.process.send_signal(signal.SIGTERM)
            self.process.wait(10)
            self.process = None


def request(at, path, method="GET", host="localhost"):
    connection = http.client.HTTPConnection(*at, timeout=20)
    try:
        connection.request(method, path, headers={"Host": host})
        response = connection.getresponse()
        return response.status, response.read()
    finally:
        connection.close()


def open_live(at):
    """A live connection, and the addresses that the office has been told it came from."""
    connection = socket.create_connection(at, 20)
    head = "GET /socket.io/ HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nX-Forwarded-For: 192.0.2.7\r\n\r\n"
    connection.sendall(head.encode())
    stream = connection.makefile("rb")
    status = stream.readline()
    assert b" 101 " in status, f"nginx passes no WebSocket: {status}"
    while stream.readline().strip():
        pass
    return connection, stream, stream.readline().strip().decode()


def check(program, front_text, replica_text, folder):
    dns = Dns()
    dns.start()
    page, health = free_port(ADDRESSES), free_port(ADDRESSES)
    offices = [Office(f"office-{number}", free_port()) for number in (1, 2)]

    def replica(name, address, office):
        changes = [
            (r"listen 8091;", f"listen {address}:{page};"),
            (r"listen 8092;", f"listen {address}:{health};"),
            (r"http://127\.0\.0\.1:8090;", f"http://127.0.0.1:{office.port};"),
        ]
        return Nginx(program, folder / name, replaced(replica_text, changes), address, page)

    replicas = [replica(f"nginx-{number}", ADDRESSES[number], offices[number]) for number in (0, 1)]
    moved = replica("nginx-moved", ADDRESSES[2], offices[1])
    front_port = free_port()
    changes = [
        (r"listen 8090;", f"listen 127.0.0.1:{front_port};"),
        (r"resolver 127\.0\.0\.11 ", f"resolver 127.0.0.1:{dns.port} "),
        (rf"{NAME}:8091;", f"{NAME}:{page};"),
    ]
    front = Nginx(program, folder / "front", replaced(front_text, changes), "127.0.0.1", front_port)

    def all_succeed(when):
        answers = [request(front.at, "/") for _ in range(REQUESTS)]
        failed = [status for status, _ in answers if status != 200]
        assert not failed, f"{when}: {len(failed)} of {REQUESTS} requests failed: {sorted(set(failed))}"
        return {body.decode() for _, body in answers}

    try:
        # Before any replica is there, and before its name is known.
        front.start()
        assert request(front.at, "/")[0] == 502, "without replicas"
        # The answer that the name is unknown is not kept for long.
        dns.addresses = ADDRESSES[:2]
        for each in (*offices, *replicas):
            each.start()
        deadline = time.monotonic() + 15
        while request(front.at, "/")[0] != 200:
            assert time.monotonic() < deadline, "the replicas are not found"
            time.sleep(0.2)

        assert all_succeed("both replicas run") == {"office-1", "office-2"}, "requests go to one replica only"
        assert request(front.at, "/", host="localhost:8090")[0] == 200
        assert "localhost:8090" in offices[0].hosts + offices[1].hosts, "the browser's Host is changed"
        assert request(front.at, "/", host="sales.example.org")[0] == 421, "a foreign Host is accepted"
        assert len(request(front.at, "/big")[1]) == 8 << 20, "a large answer is cut off"

        connection, stream, addresses = open_live(front.at)
        # After what the browser claims, its own address, and then that of the nginx in front.
        claimed, browser, *proxies = addresses.split(", ")
        found = (claimed, browser, len(proxies))
        assert found == ("192.0.2.7", "127.0.0.1", 1), f"the office is told {addresses!r}"
        connection.sendall(b"sale\n")
        assert stream.readline() == b"sale\n", "a live connection passes nothing on"
        connection.close()

        # A replica is asked once: a second time might do it twice.
        for number in range(1, 9):
            assert request(front.at, "/", "POST")[0] == 502
            assert offices[0].posts + offices[1].posts == number, "a POST was repeated"

        for stopped, other in ((0, 1), (1, 0)):
            offices[stopped].stop()
            assert all_succeed("one office is stopped") == {offices[other].name}
            # nginx beside it says so itself, and stays.
            at = (ADDRESSES[stopped], health)
            assert request(at, "/nginx")[0] == 204 and request(at, "/readyz")[0] == 502, "the probes"
            replicas[stopped].stop()
            all_succeed("one office and its nginx are stopped")
            open_live(front.at)[0].close()
            replicas[stopped].start()
            offices[stopped].start()
            offices[stopped].has_database = False
            all_succeed("one office has no database")
            offices[stopped].has_database = True

        # The probes and Prometheus ask the pod's address. Sales are not at that port.
        at = (ADDRESSES[0], health)
        for path in ("/healthz", "/readyz", "/metrics"):
            assert request(at, path, host=f"{ADDRESSES[0]}:8092")[0] == 200, path
        assert request(at, "/api/sales")[0] == 404, "the port of the probes shows sales"

        # A container that is made anew has another address.
        replicas[1].stop()
        moved.start()
        offices[0].stop()
        dns.addresses = [ADDRESSES[0], ADDRESSES[2]]
        deadline = time.monotonic() + 15
        while request(front.at, "/") != (200, b"office-2"):
            assert time.monotonic() < deadline, "nginx does not look the name up again"
            time.sleep(0.2)

        offices[1].stop()
        assert request(front.at, "/")[0] == 502, "no office runs"
    except AssertionError:
        for file in sorted(folder.glob("*/log")):
            print(file.read_text()[-2000:])
        raise
    finally:
        for each in (front, moved, *replicas):
            each.stop()


if __name__ == "__main__":
    if len(sys.argv) != 5:
        print(__doc__)
        sys.exit(2)
    texts = [pathlib.Path(file).read_text() for file in sys.argv[2:4]]
    check(sys.argv[1], *texts, pathlib.Path(sys.argv[4]))
