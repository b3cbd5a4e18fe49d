"""Simulated tills that sell through the image, and an audit of their events in Kafka."""

import json
import re
import signal
import subprocess
import time

from common import Failed, say, within
from pi import STORE, TILLS_PASSWORD, service

# The limit for the gateway in the image, on a machine with 1 GB of memory.
RSS_MB = 40
SELLING = []


def sell(pi, pos_sim, work, name, *arguments):
    log = open(work / f"{name}.log", "wb")
    run = subprocess.Popen(
        [pos_sim, "--broker", f"mqtt://{{till}}:{TILLS_PASSWORD}@127.0.0.1:{pi.mqtt}", "--store", STORE,
         "--ledger", work / f"{name}.jsonl", *arguments], stdout=log, stderr=log)
    SELLING.append(run)
    return run


def acked(work, name):
    file = work / f"{name}.jsonl"
    lines = file.read_text().splitlines() if file.exists() else []
    return [json.loads(line)["ce_id"] for line in lines if line.endswith("}")]


def audit(kafka, ledger, what):
    """Checks that every acknowledged event is in Kafka exactly once."""
    def attempt():
        found = kafka.read()
        return found if not set(ledger) - set(found) else None
    try:
        found = within("every acknowledged event in Kafka", 120, attempt)
    except Failed:
        missing = set(ledger) - set(kafka.read())
        raise Failed(f"{what}: {len(missing)} of {len(ledger)} acked events are not in Kafka: {sorted(missing)[:5]}") from None
    twice = [name for name, times in found.items() if times > 1]
    if twice:
        raise Failed(f"{what}: {len(twice)} events are in Kafka twice: {twice[:5]}")
    say(f"audit, {what}: {len(ledger)} acked, {len(found)} in Kafka, 0 missing, 0 twice")


def end(run, work, name):
    """Stops a run when the tills have caught up, because pos-sim waits only 10 s for the last acknowledgements."""
    def to_go():
        return int(re.findall(r"(\d+) to go", (work / f"{name}.log").read_text())[-1])
    within("the tills catch up", 300, lambda: to_go() < 100)
    run.send_signal(signal.SIGINT)
    return finish(run, work, name)


def finish(run, work, name, seconds=600):
    within("the end of pos-sim", seconds, lambda: run.poll() is not None)
    if run.returncode != 0:
        raise Failed(f"pos-sim: {run.returncode}: {(work / f'{name}.log').read_text()[-2000:]}")
    return acked(work, name)


def taken(pi, what):
    """Bytes and writes on the card during an action, including a sync. Nothing else uses the Pi meanwhile."""
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
    """Measures writes to the card per event at a given rate, with and without those of an idle gateway, and the
    gateway's memory."""
    name = f"rate-{rate}"
    pid = service(pi)["MainPID"]
    # Resets the kernel's high-water mark of the resident memory.
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
        raise Failed(f"{events} events in {seconds} s are fewer than {rate} per second")
    if peak >= RSS_MB:
        raise Failed(f"the gateway used {peak:.1f} MB of memory; the limit is {RSS_MB}")
    return ledger
