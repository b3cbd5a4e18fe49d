"""The image on QEMU's machine "virt", with the kernel, initramfs and files of a Pi, and a network."""

import base64
import json
import shlex
import ssl
import subprocess
import time
import urllib.error
import urllib.parse
import urllib.request

from common import Failed, free_port, say, within
from qemu import Machine

STORE = "paris-1"
SIMULATOR = "simulator:only-for-this-test"
PASSWORD = "0042 for the test"
# The password of the tills that pos-sim simulates.
TILLS_PASSWORD = "chosen-by-hand"


class Pi:
    def __init__(self, card, work):
        self.card, self.work, self.machine = card, work, None
        self.mqtt, self.http, self.ssh_port = free_port(), free_port(), free_port()
        self.starts = 0
        self.key = work / "key"
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", self.key], check=True)

    def settings(self, text):
        """Writes comptoir.txt to the card, as a person would on a laptop."""
        file = self.work / "comptoir.txt"
        file.write_text(text)
        self.card.write_boot(file, "comptoir.txt")

    def file(self, name):
        data = self.card.read_boot(name)
        return None if data is None else data.decode()

    def start(self):
        self.starts += 1
        for kind in ["kernel", "initramfs"]:
            (self.work / kind).write_bytes(self.card.read_boot(self.card.started(kind)))
        forwards = f"hostfwd=tcp:127.0.0.1:{self.mqtt}-:1883,hostfwd=tcp:127.0.0.1:{self.http}-:8080"
        forwards += f",hostfwd=tcp:127.0.0.1:{self.ssh_port}-:22"
        self.began = time.monotonic()
        self.machine = Machine(self.work, self.starts, lambda console: [
            "-M", "virt", "-cpu", "cortex-a53", "-smp", "2", "-m", "1024",
            "-kernel", self.work / "kernel", "-initrd", self.work / "initramfs",
            "-append", "root=LABEL=comptoir-root rw fsck.repair=yes net.ifnames=0 console=ttyAMA0",
            "-drive", f"if=none,id=card,file={self.card.file},format=raw,cache=writethrough",
            "-device", "virtio-blk-device,drive=card", "-netdev", f"user,id=net,{forwards}",
            "-device", "virtio-net-device,netdev=net", "-device", "virtio-rng-device",
            "-serial", f"file:{console}"])

    def cut(self):
        self.machine.cut()

    def get(self, path, password=PASSWORD):
        request = urllib.request.Request(f"https://127.0.0.1:{self.http}{path}")
        if password:
            request.add_header("Authorization", "Basic " + base64.b64encode(f"admin:{password}".encode()).decode())
        with urllib.request.urlopen(request, timeout=5, context=self.trust()) as answer:
            return answer.read().decode()

    def trust(self):
        """The TLS settings of a client that trusts the gateway's own authority. This machine reaches the gateway from
        outside, as a phone does, so plain HTTP offers nothing but the authority's certificate."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.http}/authority.crt", timeout=5) as answer:
            return ssl.create_default_context(cadata=answer.read())

    def asks_to_sign_in(self, path):
        """Whether a page redirects to the sign-in page."""
        with urllib.request.urlopen(f"https://127.0.0.1:{self.http}{path}", timeout=5, context=self.trust()) as answer:
            return urllib.parse.urlsplit(answer.url).path == "/login"

    def refuses(self, path, password=None):
        try:
            self.get(path, password)
        except urllib.error.HTTPError as error:
            return error.code == 401
        return False

    def gateway(self):
        return json.loads(self.get("/api/gateway"))

    def ready(self, seconds):
        def attempt():
            self.machine.check_runs()
            return self.get("/readyz", None).startswith("ready")
        within("the gateway in the image", seconds, attempt)
        return time.monotonic() - self.began

    def ssh_command(self, command):
        return shlex.join([
            "ssh", "-q", "-i", str(self.key), "-p", str(self.ssh_port), "-o", "StrictHostKeyChecking=no",
            "-o", f"UserKnownHostsFile={self.work}/known", "-o", "ConnectTimeout=20", "-o", "BatchMode=yes",
            "root@127.0.0.1", command])

    def ssh(self, command):
        result = subprocess.run(shlex.split(self.ssh_command(command)), capture_output=True, text=True, timeout=300)
        if result.returncode != 0:
            raise OSError(f"ssh: {command}: {result.returncode} {result.stdout} {result.stderr}")
        return result.stdout.strip()

    def copy(self, file, to):
        subprocess.run(
            ["scp", "-q", "-O", "-i", self.key, "-P", str(self.ssh_port), "-o", "StrictHostKeyChecking=no",
             "-o", f"UserKnownHostsFile={self.work}/known", "-o", "BatchMode=yes", file, f"root@127.0.0.1:{to}"],
            check=True, timeout=300)

    def writes(self):
        """Bytes and write operations on the card, by QEMU's counters of the block device."""
        for device in self.machine.qmp("query-blockstats"):
            if device["stats"]["wr_operations"]:
                return device["stats"]["wr_bytes"], device["stats"]["wr_operations"]
        raise OSError("no block device")

    def power_off(self):
        try:
            self.ssh("systemctl poweroff")
        except OSError:
            pass
        try:
            self.machine.process.wait(120)
        except subprocess.TimeoutExpired:
            raise Failed("the Pi does not turn itself off") from None


def service(pi, name="comptoir-gateway"):
    text = pi.ssh(f"systemctl show {name} -p MainPID,ExecMainStartTimestampMonotonic,ActiveEnterTimestampMonotonic,"
                  "NRestarts,StatusText")
    return dict(line.split("=", 1) for line in text.splitlines())


def healthy(pi):
    state = within("the system to be up", 300, lambda: pi.ssh("systemctl is-system-running --wait || true"))
    failed = pi.ssh("systemctl --failed --no-legend --plain | cut -d ' ' -f 1")
    say(f"systemd: {state}; failed units: {failed or 'none'}")
    if state != "running":
        raise Failed(f"systemd is {state}: {failed}: {pi.ssh('journalctl -b -p warning --no-pager | tail -n 30')}")
    errors = int(pi.ssh("journalctl -kb --no-pager | grep -c 'EXT4-fs error' || true"))
    if errors:
        raise Failed(f"{errors} errors of ext4")
