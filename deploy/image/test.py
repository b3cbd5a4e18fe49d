#!/usr/bin/env python3
"""Boots the image in QEMU and sells through it, with Kafka on this machine; cuts the power; boots again; audits.

    deploy/image/test.py [--image FILE.img] [--pos-sim FILE] [--seconds N] [--keep]

The disk is the image, byte for byte (a copy, made larger as a card would be); kernel and initramfs are those of its boot
partition. The machine is QEMU's "virt" with a Cortex-A53 and 1 GB: QEMU's own Raspberry Pi has neither the network nor
the firmware of a real one.
"""

import argparse
import collections
import json
import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request

TOP = pathlib.Path(__file__).resolve().parents[2]
STORE = "paris-1"
SIMULATOR = "simulator:only-for-this-test"
TOPICS = ["orders", "payments", "deliveries"]


def say(*words):
    print(f"[{time.monotonic() - BEGAN:6.1f} s]", *words, flush=True)


BEGAN = time.monotonic()


class Failed(Exception):
    pass


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def within(what, seconds, attempt):
    """Tries until it gives something true; says what was the matter last."""
    end, last = time.monotonic() + seconds, None
    while time.monotonic() < end:
        try:
            result = attempt()
            if result:
                return result
        except (OSError, ValueError, KeyError, subprocess.SubprocessError) as error:
            last = error
        time.sleep(0.2)
    raise Failed(f"{what}: not within {seconds} s ({last})")


class Kafka:
    """One node of the real thing. The guest reaches this machine's loopback as 10.0.2.2, hence two listeners."""

    def __init__(self, work):
        self.folder = work / "kafka"
        self.folder.mkdir()
        subprocess.run([TOP / "gateway/harness/kafka/fetch.sh"], check=True, stdout=subprocess.DEVNULL)
        cache = pathlib.Path(
            os.environ.get("COMPTOIR_CACHE")
            or pathlib.Path(os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache") / "comptoir"
        )
        pom = (TOP / "gateway/harness/kafka/pom.xml").read_text()
        version = re.search("<kafka.version>(.*)</kafka.version>", pom).group(1)
        jars = ":".join(str(jar) for jar in sorted((cache / f"kafka-{version}/lib").glob("*.jar")))
        self.host, self.guest, controller = free_port(), free_port(), free_port()
        properties = self.folder / "server.properties"
        properties.write_text(f"""process.roles=broker,controller
node.id=1
listeners=HOST://127.0.0.1:{self.host},GUEST://127.0.0.1:{self.guest},CONTROLLER://127.0.0.1:{controller}
advertised.listeners=HOST://127.0.0.1:{self.host},GUEST://10.0.2.2:{self.guest}
listener.security.protocol.map=HOST:PLAINTEXT,GUEST:PLAINTEXT,CONTROLLER:PLAINTEXT
inter.broker.listener.name=HOST
controller.listener.names=CONTROLLER
controller.quorum.bootstrap.servers=127.0.0.1:{controller}
log.dirs={self.folder}/data
offsets.topic.replication.factor=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
group.initial.rebalance.delay.ms=0
auto.create.topics.enable=false
""")
        java = ["java", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Xmx384m"]
        java += ["-Dorg.slf4j.simpleLogger.defaultLogLevel=warn", "-cp", jars]
        log = open(self.folder / "log", "wb")
        subprocess.run(
            java + ["kafka.tools.StorageTool", "format", "--standalone", "--cluster-id", "comptoirComptoirImages"]
            + ["--config", str(properties)], check=True, stdout=log, stderr=log)
        self.process = subprocess.Popen(java + ["kafka.Kafka", str(properties)], stdout=log, stderr=log)
        within("Kafka", 90, lambda: self.kcat("-L", "-J").returncode == 0)

    def kcat(self, *arguments):
        return subprocess.run(["kcat", "-b", f"127.0.0.1:{self.host}", "-m", "5", *arguments],
                              capture_output=True, text=True, timeout=120)

    def read(self):
        """ce_id of every committed event, as often as it is there."""
        found = collections.Counter()
        for topic in TOPICS:
            result = self.kcat("-C", "-t", topic, "-o", "beginning", "-e", "-q", "-f", "%h\n",
                               "-X", "isolation.level=read_committed")
            if result.returncode != 0:
                raise Failed(f"kcat of {topic}: {result.stderr}")
            found.update(re.findall(r"ce_id=([^,\s]+)", result.stdout))
        return found

    def stop(self):
        self.process.terminate()
        self.process.wait(30)


class Pi:
    """The image in QEMU. `cut` is the power cut."""

    def __init__(self, image, work):
        self.work, self.disk = work, work / "card.img"
        subprocess.run(["cp", "--sparse=always", image, self.disk], check=True)
        # A larger card than the image: the first start is to use all of it.
        with open(self.disk, "r+b") as disk:
            disk.truncate(6 << 30)
        boot = f"{self.disk}@@4M"
        names = subprocess.run(["mdir", "-b", "-i", boot, "::"], check=True, capture_output=True, text=True).stdout
        for kind in ["vmlinuz", "initrd.img"]:
            name = re.search(rf"::/({kind}-\S+)", names).group(1)
            subprocess.run(["mcopy", "-o", "-n", "-i", boot, f"::{name}", work / kind], check=True)
        self.boot = boot
        self.process = None
        self.mqtt, self.http, self.ssh_port = free_port(), free_port(), free_port()
        self.starts = 0
        self.key = work / "key"
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", self.key], check=True)

    def settings(self, text):
        """What a person does with a laptop and the card."""
        file = self.work / "comptoir.txt"
        file.write_text(text)
        subprocess.run(["mcopy", "-o", "-n", "-i", self.boot, file, "::comptoir.txt"], check=True)

    def file(self, name):
        found = subprocess.run(["mtype", "-i", self.boot, f"::{name}"], capture_output=True, text=True)
        return found.stdout if found.returncode == 0 else None

    def start(self):
        self.starts += 1
        self.console = self.work / f"console-{self.starts}.log"
        self.qmp = self.work / f"qmp-{self.starts}"
        forwards = f"hostfwd=tcp:127.0.0.1:{self.mqtt}-:1883,hostfwd=tcp:127.0.0.1:{self.http}-:8080"
        forwards += f",hostfwd=tcp:127.0.0.1:{self.ssh_port}-:22"
        # cache=writethrough: the guest's flush reaches this machine's disk before it is answered, and a killed QEMU
        # holds nothing back.
        command = ["qemu-system-aarch64", "-M", "virt", "-cpu", "cortex-a53", "-smp", "2", "-m", "1024", "-nographic",
                   "-kernel", self.work / "vmlinuz", "-initrd", self.work / "initrd.img",
                   "-append", "root=LABEL=comptoir-root rw fsck.repair=yes net.ifnames=0 console=ttyAMA0",
                   "-drive", f"if=none,id=card,file={self.disk},format=raw,cache=writethrough",
                   "-device", "virtio-blk-device,drive=card", "-netdev", f"user,id=net,{forwards}",
                   "-device", "virtio-net-device,netdev=net", "-device", "virtio-rng-device",
                   "-serial", f"file:{self.console}", "-monitor", "none", "-qmp", f"unix:{self.qmp},server,nowait"]
        self.began = time.monotonic()
        self.process = subprocess.Popen([str(word) for word in command], stdin=subprocess.DEVNULL)

    def get(self, path):
        with urllib.request.urlopen(f"http://127.0.0.1:{self.http}{path}", timeout=5) as answer:
            return answer.read().decode()

    def gateway(self):
        return json.loads(self.get("/api/gateway"))

    def ready(self, seconds):
        def attempt():
            if self.process.poll() is not None:
                raise Failed(f"QEMU has ended: {self.process.returncode}")
            return self.get("/readyz").startswith("ready")
        within("the gateway in the image", seconds, attempt)
        return time.monotonic() - self.began

    def ssh(self, command):
        result = subprocess.run(
            ["ssh", "-q", "-i", self.key, "-p", str(self.ssh_port), "-o", "StrictHostKeyChecking=no",
             "-o", f"UserKnownHostsFile={self.work}/known", "-o", "ConnectTimeout=20", "-o", "BatchMode=yes",
             "root@127.0.0.1", command], capture_output=True, text=True, timeout=180)
        if result.returncode != 0:
            raise OSError(f"ssh: {command}: {result.returncode} {result.stdout} {result.stderr}")
        return result.stdout.strip()

    def writes(self):
        """Bytes and operations that the card has taken, by the block device's own counters."""
        with socket.socket(socket.AF_UNIX) as connection:
            connection.connect(str(self.qmp))
            stream = connection.makefile("rw")
            stream.readline()
            for order in ["qmp_capabilities", "query-blockstats"]:
                stream.write(json.dumps({"execute": order}) + "\n")
                stream.flush()
                answer = json.loads(stream.readline())
                while "return" not in answer:
                    answer = json.loads(stream.readline())
            for device in answer["return"]:
                if device["stats"]["wr_operations"]:
                    stats = device["stats"]
                    return stats["wr_bytes"], stats["wr_operations"], stats["flush_operations"]
        raise OSError("no block device")

    def cut(self):
        os.kill(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def power_off(self):
        try:
            self.ssh("systemctl poweroff")
        except OSError:
            pass
        try:
            self.process.wait(120)
        except subprocess.TimeoutExpired:
            raise Failed("it does not switch itself off") from None


def service(pi, name="comptoir-gateway"):
    text = pi.ssh(f"systemctl show {name} -p MainPID,ExecMainStartTimestampMonotonic,ActiveEnterTimestampMonotonic,"
                  "NRestarts,StatusText")
    return dict(line.split("=", 1) for line in text.splitlines())


def sell(pi, pos_sim, work, name, *arguments):
    log = open(work / f"{name}.log", "wb")
    return subprocess.Popen(
        [pos_sim, "--broker", f"mqtt://{SIMULATOR}@127.0.0.1:{pi.mqtt}", "--store", STORE,
         "--ledger", work / f"{name}.jsonl", *arguments], stdout=log, stderr=log)


def acked(work, name):
    file = work / f"{name}.jsonl"
    lines = file.read_text().splitlines() if file.exists() else []
    return [json.loads(line)["ce_id"] for line in lines if line.endswith("}")]


def audit(kafka, ledger, what):
    """Every acked event once, none twice."""
    def attempt():
        found = kafka.read()
        return found if not set(ledger) - set(found) else None
    try:
        found = within("every acked event to be in Kafka", 120, attempt)
    except Failed:
        missing = set(ledger) - set(kafka.read())
        raise Failed(f"{what}: {len(missing)} of {len(ledger)} acked events are not in Kafka: {sorted(missing)[:5]}") from None
    twice = [name for name, times in found.items() if times > 1]
    if twice:
        raise Failed(f"{what}: {len(twice)} events are in Kafka twice: {twice[:5]}")
    say(f"audit, {what}: {len(ledger)} acked, {len(found)} in Kafka, 0 missing, 0 twice")


def measure(pi, pos_sim, work, rate, seconds):
    """What the card takes for each event at a rate, beside what it takes for none."""
    time.sleep(5)
    # The tills' own name for each rate: another epoch would do as well.
    before = pi.writes()
    run = sell(pi, pos_sim, work, f"rate-{rate}", "--devices", "4", "--rate", str(rate), "--duration", f"{seconds}s")
    peak = 0
    while run.poll() is None:
        try:
            peak = max(peak, int(pi.ssh(f"sed -n 's/^VmRSS:[^0-9]*\\([0-9]*\\).*/\\1/p' /proc/{service(pi)['MainPID']}/status")))
        except (OSError, ValueError):
            pass
        time.sleep(2)
    if run.returncode != 0:
        raise Failed(f"pos-sim: {run.returncode}: {(work / f'rate-{rate}.log').read_text()[-2000:]}")
    after = pi.writes()
    events = len(acked(work, f"rate-{rate}"))
    written, operations, flushes = (b - a for a, b in zip(before, after))
    say(f"{rate} events/s for {seconds} s: {events} acked; the card took {written / events / 1000:.1f} kB, "
        f"{operations / events:.2f} writes and {flushes / events:.2f} flushes an event; gateway's RSS {peak / 1000:.1f} MB at most")
    return acked(work, f"rate-{rate}")


def test(options, work):
    pi = Pi(options.image, work)
    kafka = Kafka(work)
    running = [kafka]
    try:
        public = pi.key.with_suffix(".pub").read_text().strip()
        good = (f"STORE={STORE}\r\nHOSTNAME=counter\nKAFKA_BROKERS=10.0.2.2:{kafka.guest}\nTIMEZONE=Europe/Paris\n"
                f"TERMINALS=till-1 till-2:chosen-by-hand\nSIMULATOR={SIMULATOR}\nSSH_KEY={public}\n")
        pi.settings(good)

        say("first start")
        pi.start()
        say(f"ready {pi.ready(900):.1f} s after power-on (first start: growing, keys, passwords)")
        within("ssh", 120, lambda: pi.ssh("true") == "")
        state = within("the system to be up", 300, lambda: pi.ssh("systemctl is-system-running --wait || true"))
        say(f"systemd: {state}; failed units: {pi.ssh('systemctl --failed --no-legend') or 'none'}")
        say("root:", pi.ssh("df -h --output=size,used / | tail -n 1").strip(),
            "| journal:", pi.ssh("findmnt -no SOURCE,SIZE,OPTIONS /var/lib/comptoir"))
        size = int(pi.ssh("df -m --output=size / | tail -n 1"))
        if size < 4000:
            raise Failed(f"the root was not grown: {size} MB of a 6 GB card")
        times = service(pi)
        start = (int(times["ActiveEnterTimestampMonotonic"]) - int(times["ExecMainStartTimestampMonotonic"])) / 1e6
        say(f"gateway ready {start:.1f} s after its start; {times['StatusText']}")
        say("userspace:", pi.ssh("systemd-analyze | head -n 1"))

        say("selling")
        ledger = []
        ledger += measure(pi, options.pos_sim, work, 1, options.seconds)
        ledger += measure(pi, options.pos_sim, work, 100, options.seconds)
        audit(kafka, ledger, "before the power cut")

        say("selling on, and cutting the power")
        run = sell(pi, options.pos_sim, work, "cut", "--devices", "4", "--rate", "50", "--events", "6000", "--queue", work / "queue")
        running.append(run)
        within("1500 acks", 180, lambda: len(acked(work, "cut")) > 1500)
        before = acked(work, "cut")
        pi.cut()
        say(f"power cut: QEMU killed with {len(before)} events of this run acked")
        pi.start()
        say(f"ready {pi.ready(900):.1f} s after power-on (file systems recovered)")
        within("pos-sim to end", 600, lambda: run.poll() is not None)
        if run.returncode != 0:
            raise Failed(f"pos-sim: {run.returncode}: {(work / 'cut.log').read_text()[-2000:]}")
        ledger += acked(work, "cut")
        audit(kafka, ledger, "after the power cut")
        say("restarts of the gateway by systemd:", service(pi)["NRestarts"],
            "| ext4:", pi.ssh("journalctl -kb --no-pager | grep -c 'EXT4-fs error' || true"), "errors")

        say("bad settings")
        pi.power_off()
        passwords = pi.file("comptoir-passwords.txt") or ""
        if not re.search(rf"^{STORE}/till-1 \S{{20,}}$", passwords, re.M) or "till-2" in passwords:
            raise Failed(f"comptoir-passwords.txt: {passwords!r}")
        pi.settings(good.replace(f"STORE={STORE}", "STORE=Paris 1") + "KAFKA_BROKER=x\n")
        pi.start()
        say(f"ready {pi.ready(900):.1f} s after power-on (settings with two errors)")
        if pi.gateway()["store"] != STORE:
            raise Failed(f"the last good settings are not in force: {pi.gateway()['store']}")
        named = [problem.get("key") or problem["message"] for problem in pi.gateway()["settings_problems"]]
        if len(named) != 2 or "STORE" not in named or not any("KAFKA_BROKER" in name for name in named):
            raise Failed(f"the gateway page does not name them: {named}")
        report = pi.ssh("cat /boot/firmware/comptoir-settings.log")
        if "STORE" not in report or "KAFKA_BROKER" not in report or "STORE" not in pi.console.read_text(errors="replace"):
            raise Failed(f"the report does not name them, or the console does not: {report}")
        say("the card says:", report.replace("\n", " / "))
        pi.power_off()
        pi.settings(good)
        pi.start()
        say(f"ready {pi.ready(900):.1f} s after power-on (settings right again)")
        within("the report to be gone", 60, lambda: pi.ssh("ls /boot/firmware/comptoir-settings.log 2>/dev/null || echo gone") == "gone")
        pi.power_off()
        say("passed")
    finally:
        for process in [pi.process, *running[1:]]:
            if process and process.poll() is None:
                process.kill()
        kafka.stop()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    folder = pathlib.Path(os.environ.get("COMPTOIR_IMAGE_FOLDER") or TOP / "target/image")
    target = pathlib.Path(os.environ.get("CARGO_TARGET_DIR") or TOP / "target")
    sims = [target / profile / "pos-sim" for profile in ("dist", "release", "debug")]
    parser.add_argument("--image", type=pathlib.Path, default=folder / "comptoir-arm64.img")
    parser.add_argument("--pos-sim", type=pathlib.Path, default=next((sim for sim in sims if sim.exists()), sims[1]))
    parser.add_argument("--seconds", type=int, default=40, help="how long each rate is measured")
    parser.add_argument("--keep", action="store_true", help="keep the folder with the card, the consoles and the ledgers")
    options = parser.parse_args()
    for file in [options.image, options.pos_sim]:
        if not file.exists():
            sys.exit(f"{file} is missing: make image, cargo build --release")
    for tool in ["qemu-system-aarch64", "mcopy", "mdir", "kcat", "ssh", "ssh-keygen", "java"]:
        if not shutil.which(tool):
            sys.exit(f"{tool} is missing: deploy/install-dependencies.sh image, and test")
    # An end from outside must not leave QEMU and Kafka behind.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    work = pathlib.Path(tempfile.mkdtemp(prefix="comptoir-image-"))
    try:
        test(options, work)
    except Failed as failed:
        options.keep = True
        for console in sorted(work.glob("console-*.log"))[-1:]:
            print(console.read_text(errors="replace")[-3000:], file=sys.stderr)
        sys.exit(f"FAILED: {failed}\nkept: {work}")
    finally:
        if not options.keep:
            shutil.rmtree(work, ignore_errors=True)


if __name__ == "__main__":
    main()
