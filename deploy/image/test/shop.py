"""A shop's day through the image: settings, sales, a power cut while Kafka does not answer, settings with errors."""

import re

from common import Failed, say, within
from pi import PASSWORD, SIMULATOR, STORE, healthy, service
from selling import acked, audit, finish, idle, measure, sell

# From its start to readiness, with 1 GB of memory.
READY_SECONDS = 5


def good_settings(pi, kafka):
    public = pi.key.with_suffix(".pub").read_text().strip()
    return (f"STORE={STORE}\r\nHOSTNAME=counter\nKAFKA_BROKERS=10.0.2.2:{kafka.guest}\nTIMEZONE=Europe/Paris\n"
            f"TERMINALS=till-1 till-2:chosen-by-hand\nSIMULATOR={SIMULATOR}\nDASHBOARD_PASSWORD={PASSWORD}\n"
            f"SSH_KEY={public}\n")


def is_set_up(pi):
    healthy(pi)
    times = service(pi)
    start = (int(times["ActiveEnterTimestampMonotonic"]) - int(times["ExecMainStartTimestampMonotonic"])) / 1e6
    say(f"gateway ready {start:.1f} s after its start; {times['StatusText']}")
    if start > READY_SECONDS:
        raise Failed(f"it is to be ready within {READY_SECONDS} s")
    say("userspace:", pi.ssh("systemd-analyze | head -n 1"))
    if not pi.refuses("/api/gateway") or not pi.refuses("/") or not pi.refuses("/api/gateway", "0042"):
        raise Failed("the pages are open without the password")
    found = pi.ssh("ls /var/log/mosquitto 2>/dev/null; journalctl -b -u mosquitto -q --no-pager | grep -c mosquitto")
    if not found.isdigit() or int(found) < 2:
        raise Failed(f"Mosquitto's log is a file, or nowhere: {found}")
    said = pi.ssh("comptoir-check || true")
    if "ok      configuration" not in said or "ok      kafka.brokers" not in said:
        raise Failed(f"comptoir-check: {said}")
    secrets = "|".join([PASSWORD, "only-for-this-test", "chosen-by-hand"])
    if pi.ssh(f"journalctl -b --no-pager | grep -vE 'sshd|session' | grep -cE '{secrets}' || true") != "0":
        raise Failed("a password is in the log")


def sells(pi, kafka, options, work):
    """The ledger of all acked events, which are in Kafka afterwards."""
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
    return ledger


def refuses_bad_settings(pi, good):
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
    report = within("ssh", 120, lambda: pi.ssh("cat /boot/firmware/comptoir-settings.log"))
    if "STORE" not in report or "KAFKA_BROKER" not in report or "STORE" not in pi.machine.text():
        raise Failed(f"the report does not name them, or the console does not: {report}")
    say("the card says:", report.replace("\n", " / "))
    pi.power_off()
    pi.settings(good)
    pi.start()
    say(f"ready {pi.ready(900):.1f} s after power-on (settings right again)")
    within("the report to be gone", 60,
           lambda: pi.ssh("ls /boot/firmware/comptoir-settings.log 2>/dev/null || echo gone") == "gone")
    pi.power_off()
