#!/usr/bin/env python3
"""Boots the image in QEMU and sells through it, with Kafka on this machine; cuts the power; boots again; audits.

    deploy/image/test.py --package FILE.deb [--image FILE.img] [--pos-sim FILE] [--seconds N] [--keep]

Also: the power is cut during the first start; the package is updated while tills sell, and the way back taken as
deploy/docs/updates.md has it; settings with errors; a gateway that does not start.

The disk is the image, byte for byte (a copy, made larger as a card would be); kernel and initramfs are those of its boot
partition. The machine is QEMU's "virt" with a Cortex-A53 and 1 GB: QEMU's own Raspberry Pi has neither the network nor
the firmware of a real one.
"""

import argparse
import base64
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
import urllib.error
import urllib.request

TOP = pathlib.Path(__file__).resolve().parents[2]
STORE = "paris-1"
SIMULATOR = "simulator:only-for-this-test"
PASSWORD = "0042 for the test"
# What the image is to keep to, with 1 GB of memory.
READY_SECONDS, RSS_MB = 5, 40
TOPICS = ["orders", "payments", "deliveries"]


def say(*words):
    print(f"[{time.monotonic() - BEGAN:6.1f} s]", *words, flush=True)


BEGAN = time.monotonic()
SELLING = []


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

    def pause(self):
        """As a network that swallows everything: nothing is refused, nothing is answered."""
        os.kill(self.process.pid, signal.SIGSTOP)

    def go_on(self):
        os.kill(self.process.pid, signal.SIGCONT)

    def stop(self):
        self.go_on()
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

    def get(self, path, password=PASSWORD):
        request = urllib.request.Request(f"http://127.0.0.1:{self.http}{path}")
        if password:
            request.add_header("Authorization", "Basic " + base64.b64encode(f"shop:{password}".encode()).decode())
        with urllib.request.urlopen(request, timeout=5) as answer:
            return answer.read().decode()

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
            if self.process.poll() is not None:
                raise Failed(f"QEMU has ended: {self.process.returncode}")
            return self.get("/readyz", None).startswith("ready")
        within("the gateway in the image", seconds, attempt)
        return time.monotonic() - self.began

    def ssh(self, command):
        result = subprocess.run(
            ["ssh", "-q", "-i", self.key, "-p", str(self.ssh_port), "-o", "StrictHostKeyChecking=no",
             "-o", f"UserKnownHostsFile={self.work}/known", "-o", "ConnectTimeout=20", "-o", "BatchMode=yes",
             "root@127.0.0.1", command], capture_output=True, text=True, timeout=300)
        if result.returncode != 0:
            raise OSError(f"ssh: {command}: {result.returncode} {result.stdout} {result.stderr}")
        return result.stdout.strip()

    def copy(self, file, to):
        subprocess.run(
            ["scp", "-q", "-O", "-i", self.key, "-P", str(self.ssh_port), "-o", "StrictHostKeyChecking=no",
             "-o", f"UserKnownHostsFile={self.work}/known", "-o", "BatchMode=yes", file, f"root@127.0.0.1:{to}"],
            check=True, timeout=300)

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
                    return stats["wr_bytes"], stats["wr_operations"]
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
    run = subprocess.Popen(
        [pos_sim, "--broker", f"mqtt://{SIMULATOR}@127.0.0.1:{pi.mqtt}", "--store", STORE,
         "--ledger", work / f"{name}.jsonl", *arguments], stdout=log, stderr=log)
    SELLING.append(run)
    return run


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


def end(run, work, name):
    """Tells a run that it is to end, when the tills have caught up: it waits for the last acks, and not for ever."""
    def to_go():
        return int(re.findall(r"(\d+) to go", (work / f"{name}.log").read_text())[-1])
    within("the tills to have caught up", 300, lambda: to_go() < 100)
    run.send_signal(signal.SIGINT)
    return finish(run, work, name)


def finish(run, work, name, seconds=600):
    within("pos-sim to end", seconds, lambda: run.poll() is not None)
    if run.returncode != 0:
        raise Failed(f"pos-sim: {run.returncode}: {(work / f'{name}.log').read_text()[-2000:]}")
    return acked(work, name)


def taken(pi, what):
    """Bytes and writes that the card takes meanwhile, up to and with a sync. Nothing else asks the Pi for anything."""
    pi.ssh("sync")
    time.sleep(5)
    before = pi.writes()
    result = what()
    pi.ssh("sync")
    return [b - a for a, b in zip(before, pi.writes())], result


def idle(pi, seconds):
    (written, operations), _ = taken(pi, lambda: time.sleep(seconds))
    say(f"idle for {seconds} s: the card took {written / seconds / 1000:.2f} kB and {operations / seconds:.2f} writes a second")
    return [written / seconds, operations / seconds]


def measure(pi, pos_sim, work, rate, seconds, for_nothing):
    """What the card takes for each event at a rate, with and without what it takes for none; the gateway's memory."""
    name = f"rate-{rate}"
    pid = service(pi)["MainPID"]
    # The kernel's own high-water mark, from here on.
    pi.ssh(f"echo 5 >/proc/{pid}/clear_refs")

    def selling():
        began = time.monotonic()
        run = sell(pi, pos_sim, work, name, "--devices", "4", "--rate", str(rate), "--duration", f"{seconds}s")
        return finish(run, work, name, seconds + 120), time.monotonic() - began

    figures, (ledger, took) = taken(pi, selling)
    peak = int(pi.ssh(f"sed -n 's/^VmHWM:[^0-9]*\\([0-9]*\\).*/\\1/p' /proc/{pid}/status")) * 1024 / 1e6
    events = len(ledger)
    written, operations = (figure / events for figure in figures)
    net = [(figure - took * each) / events for figure, each in zip(figures, for_nothing)]
    say(f"{rate} events/s for {seconds} s: {events} acked; the card took {written / 1000:.1f} kB and {operations:.2f} "
        f"writes an event ({net[0] / 1000:.1f} and {net[1]:.2f} without what it takes idle); gateway's RSS {peak:.1f} MB at most")
    if events < 0.95 * rate * seconds:
        raise Failed(f"{events} events in {seconds} s are not {rate} a second")
    if peak >= RSS_MB:
        raise Failed(f"the gateway took {peak:.1f} MB of memory: to stay below {RSS_MB}")
    return ledger


def healthy(pi):
    state = within("the system to be up", 300, lambda: pi.ssh("systemctl is-system-running --wait || true"))
    failed = pi.ssh("systemctl --failed --no-legend --plain | cut -d ' ' -f 1")
    say(f"systemd: {state}; failed units: {failed or 'none'}")
    if state != "running":
        raise Failed(f"systemd is {state}: {failed}: {pi.ssh('journalctl -b -p warning --no-pager | tail -n 30')}")
    errors = int(pi.ssh("journalctl -kb --no-pager | grep -c 'EXT4-fs error' || true"))
    if errors:
        raise Failed(f"{errors} errors of ext4")


def update(pi, kafka, options, work, ledger):
    """Another version while tills sell, and the way back from it, as the page on updates has it."""
    later = work / "later.deb"
    subprocess.run([TOP / "deploy/debian/repack.sh", options.package, "9.9.9-1", later], check=True)
    pi.copy(later, "/root/later.deb")
    pi.copy(options.package, "/root/first.deb")
    copies = "ls /var/backups/comptoir/journal-*.db.gz 2>/dev/null || true"
    before = set(pi.ssh(copies).split())
    run = sell(pi, options.pos_sim, work, "update", "--devices", "4", "--rate", "20", "--queue", work / "update-queue")
    within("sales", 120, lambda: len(acked(work, "update")) > 200)
    began = time.monotonic()
    pi.ssh("dpkg --force-confold --install /root/later.deb </dev/null")
    say(f"updated in {time.monotonic() - began:.1f} s, with {len(acked(work, 'update'))} events acked at its end")
    version = pi.ssh("dpkg-query -W -f '${db:Status-Status} ${Version}' comptoir-gateway")
    if version != "installed 9.9.9-1":
        raise Failed(f"the update has left {version}")
    new = set(pi.ssh(copies).split()) - before
    if len(new) != 1:
        raise Failed(f"the update has made {len(new)} copies: {new}")
    pi.ready(120)
    if service(pi)["NRestarts"] != "0":
        raise Failed("systemd had to restart the gateway")
    ledger += end(run, work, "update")
    audit(kafka, ledger, "updated while tills sold")

    within("everything to be in Kafka", 60, lambda: pi.gateway()["journal"]["pending"] == 0)
    run = sell(pi, options.pos_sim, work, "back", "--devices", "4", "--rate", "5", "--queue", work / "back-queue")
    within("sales", 60, lambda: len(acked(work, "back")) > 20)
    pi.ssh("systemctl mask --runtime --now comptoir-gateway mosquitto")
    pi.ssh("dpkg --remove comptoir-gateway && dpkg --force-confold --install /root/first.deb </dev/null")
    states = pi.ssh("systemctl is-active comptoir-gateway mosquitto || true").split()
    if states != ["inactive", "inactive"]:
        raise Failed(f"the older package has started something: {states}")
    say("back:", pi.ssh(f"comptoir-backup restore {new.pop()}"))
    if "masked" in pi.ssh("systemctl is-enabled comptoir-gateway mosquitto || true"):
        raise Failed("something is still masked")
    pi.ready(120)
    ledger += end(run, work, "back")
    audit(kafka, ledger, "the way back, with tills that sold meanwhile")
    healthy(pi)


def backoff(pi):
    """A gateway that ends at once is started again, later and later; corrected, it starts at once."""
    drop_in = "/run/systemd/system/comptoir-gateway.service.d/test.conf"
    pi.ssh(f"mkdir -p {drop_in.rsplit('/', 1)[0]}; printf '[Service]\\nExecStart=\\nExecStart=/bin/false\\n' >{drop_in};"
           "systemctl daemon-reload; systemctl restart --no-block comptoir-gateway")
    time.sleep(45)
    restarts = int(service(pi)["NRestarts"])
    say(f"a gateway that does not start: {restarts} restarts in 45 s")
    # 2, 4, 8, 16 s and what each start takes: fewer than half of one every 2 s.
    if not 2 <= restarts <= 6:
        raise Failed("from 2 s to 1 min, there would be 3 to 5")
    began = time.monotonic()
    # Its own name in the network, by mDNS, for which it must be let ask for the machine's addresses.
    pi.ssh(f"printf '[Service]\\nEnvironment=COMPTOIR_HTTP__MDNS=by-itself\\n' >{drop_in};"
           "systemctl daemon-reload; systemctl restart comptoir-gateway")
    took = time.monotonic() - began
    if took > 20:
        raise Failed(f"started by hand it has waited: {took:.0f} s")
    address = within("the gateway's own name", 60, lambda: pi.ssh("getent hosts by-itself.local || true"))
    say(f"started by hand in {took:.1f} s; by mDNS: {' '.join(address.split())}")
    pi.ssh(f"rm {drop_in}; systemctl daemon-reload; systemctl restart comptoir-gateway")
    pi.ready(60)


def test(options, work):
    pi = Pi(options.image, work)
    kafka = Kafka(work)
    try:
        public = pi.key.with_suffix(".pub").read_text().strip()
        good = (f"STORE={STORE}\r\nHOSTNAME=counter\nKAFKA_BROKERS=10.0.2.2:{kafka.guest}\nTIMEZONE=Europe/Paris\n"
                f"TERMINALS=till-1 till-2:chosen-by-hand\nSIMULATOR={SIMULATOR}\nDASHBOARD_PASSWORD={PASSWORD}\n"
                f"SSH_KEY={public}\n")
        pi.settings(good)

        say("first start, and its power cut")
        pi.start()
        within("the first start's work", 300, lambda: "the first start of this card" in pi.console.read_text(errors="replace"))
        time.sleep(4)
        pi.cut()
        if "first-boot: done" in pi.console.read_text(errors="replace"):
            say("(it was through already)")
        pi.start()
        say(f"ready {pi.ready(900):.1f} s after power-on (first start again: growing, keys, passwords)")
        within("ssh", 120, lambda: pi.ssh("true") == "")
        healthy(pi)
        say("root:", pi.ssh("df -h --output=size,used / | tail -n 1").strip(),
            "| journal:", pi.ssh("findmnt -no SOURCE,SIZE,OPTIONS /var/lib/comptoir"))
        size = int(pi.ssh("df -m --output=size / | tail -n 1"))
        if size < 4000:
            raise Failed(f"the root was not grown: {size} MB of a 6 GB card")
        times = service(pi)
        start = (int(times["ActiveEnterTimestampMonotonic"]) - int(times["ExecMainStartTimestampMonotonic"])) / 1e6
        say(f"gateway ready {start:.1f} s after its start; {times['StatusText']}")
        if start > READY_SECONDS:
            raise Failed(f"it is to be ready within {READY_SECONDS} s")
        say("userspace:", pi.ssh("systemd-analyze | head -n 1"))
        if not pi.refuses("/api/gateway") or not pi.refuses("/") or not pi.refuses("/api/gateway", "0042"):
            raise Failed("the pages are open without the password")
        limit = pi.gateway()["journal"]["max_bytes"]
        if limit != 671088640:
            raise Failed(f"the journal's limit is {limit} on a disk of 1 GiB")
        found = pi.ssh("ls /var/log/mosquitto 2>/dev/null; journalctl -b -u mosquitto -q --no-pager | grep -c mosquitto")
        if not found.isdigit() or int(found) < 2:
            raise Failed(f"Mosquitto's log is a file, or nowhere: {found}")
        said = pi.ssh("comptoir-check || true")
        if "ok      configuration" not in said or "ok      kafka.brokers" not in said:
            raise Failed(f"comptoir-check: {said}")
        secrets = "|".join([PASSWORD, "only-for-this-test", "chosen-by-hand"])
        if pi.ssh(f"journalctl -b --no-pager | grep -vE 'sshd|session' | grep -cE '{secrets}' || true") != "0":
            raise Failed("a password is in the log")

        say("selling")
        ledger = []
        for_nothing = idle(pi, options.seconds)
        ledger += measure(pi, options.pos_sim, work, 1, options.seconds, for_nothing)
        ledger += measure(pi, options.pos_sim, work, 100, options.seconds, for_nothing)
        audit(kafka, ledger, "before the power cut")

        say("selling on while Kafka does not answer, and cutting the power")
        kafka.pause()
        run = sell(pi, options.pos_sim, work, "cut", "--devices", "4", "--rate", "50", "--events", "6000",
                   "--queue", work / "queue")
        pending = within("1500 acks", 180, lambda: len(acked(work, "cut")) > 1500 and pi.gateway()["journal"]["pending"])
        before = acked(work, "cut")
        pi.cut()
        say(f"power cut: QEMU killed with {len(before)} events of this run acked, {pending} of all only on the card")
        if pending < 500:
            raise Failed("the card had next to nothing to lose")
        pi.start()
        say(f"ready {pi.ready(900):.1f} s after power-on (file systems recovered)")
        kept = pi.gateway()["journal"]["pending"]
        say(f"{kept} events on the card after it; now Kafka answers again")
        kafka.go_on()
        ledger += finish(run, work, "cut")
        audit(kafka, ledger, "after the power cut")
        healthy(pi)
        restarts = service(pi)["NRestarts"]
        if restarts != "0":
            raise Failed(f"systemd had to restart the gateway {restarts} times")

        say("updating while tills sell, and the way back")
        update(pi, kafka, options, work, ledger)
        backoff(pi)

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
        for process in [pi.process, *SELLING]:
            if process and process.poll() is None:
                process.kill()
        kafka.stop()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    folder = pathlib.Path(os.environ.get("COMPTOIR_IMAGE_FOLDER") or TOP / "target/image")
    target = pathlib.Path(os.environ.get("CARGO_TARGET_DIR") or TOP / "target")
    sims = [target / profile / "pos-sim" for profile in ("dist", "release", "debug")]
    parser.add_argument("--package", type=pathlib.Path, required=True, help="the package that is in the image")
    parser.add_argument("--image", type=pathlib.Path, default=folder / "comptoir-arm64.img")
    parser.add_argument("--pos-sim", type=pathlib.Path, default=next((sim for sim in sims if sim.exists()), sims[1]))
    parser.add_argument("--seconds", type=int, default=40, help="how long each rate is measured")
    parser.add_argument("--keep", action="store_true", help="keep the folder with the card, the consoles and the ledgers")
    options = parser.parse_args()
    for file in [options.image, options.pos_sim, options.package]:
        if not file.exists():
            sys.exit(f"{file} is missing: make image, cargo build --release")
    for tool in ["qemu-system-aarch64", "mcopy", "mdir", "kcat", "ssh", "scp", "ssh-keygen", "java", "dpkg-deb"]:
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
