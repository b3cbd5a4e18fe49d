"""A day of a shop with the image: settings, sales, a power cut while Kafka does not answer, settings with errors."""

import re

from common import Failed, say, within
from pi import PASSWORD, SIMULATOR, STORE, TILLS_PASSWORD, healthy, service
from selling import acked, audit, finish, idle, measure, sell

# The limit from the gateway's start to its readiness, on a machine with 1 GB of memory.
READY_SECONDS = 5
SECRETS = [PASSWORD, SIMULATOR.split(":")[1], TILLS_PASSWORD]


def good_settings(pi, kafka):
    public = pi.key.with_suffix(".pub").read_text().strip()
    tills = " ".join(f"till-{number}:{TILLS_PASSWORD}" for number in range(1, 5))
    return (f"STORE={STORE}\r\nHOSTNAME=counter\nKAFKA_BROKERS=10.0.2.2:{kafka.guest}\nTIMEZONE=Europe/Paris\n"
            f"TERMINALS=counter-1 {tills}\nSIMULATOR={SIMULATOR}\nDASHBOARD_PASSWORD={PASSWORD}\n"
            f"SSH_KEY={public}\n")


def is_set_up(pi):
    healthy(pi)
    times = service(pi)
    start = (int(times["ActiveEnterTimestampMonotonic"]) - int(times["ExecMainStartTimestampMonotonic"])) / 1e6
    say(f"gateway ready {start:.1f} s after its start; {times['StatusText']}")
    if start > READY_SECONDS:
        raise Failed(f"the gateway was not ready within {READY_SECONDS} s")
    say("userspace:", pi.ssh("systemd-analyze | head -n 1"))
    if not pi.refuses("/api/gateway") or not pi.asks_to_sign_in("/") or not pi.refuses("/api/gateway", "0042"):
        raise Failed("the pages are accessible without the password")
    found = pi.ssh("ls /var/log/mosquitto 2>/dev/null; journalctl -b -u mosquitto -q --no-pager | grep -c mosquitto")
    if not found.isdigit() or int(found) < 2:
        raise Failed(f"Mosquitto logs to a file, or not at all: {found}")
    said = pi.ssh("comptoir-check || true")
    if "ok      configuration" not in said or "ok      kafka.brokers" not in said:
        raise Failed(f"comptoir-check: {said}")
    secrets = "|".join(SECRETS)
    if pi.ssh(f"journalctl -b --no-pager | grep -vE 'sshd|session' | grep -cE '{secrets}' || true") != "0":
        raise Failed("a password is in the log")
    secrets_are_erased(pi)
    setup_code(pi)
    mqtt_over_tls(pi)


def secrets_are_erased(pi):
    """No password is anywhere on the boot partition, free clusters included."""
    within("the settings to be applied", 120, lambda: "DASHBOARD_PASSWORD=(stored)" in pi.file("comptoir.txt"))
    pi.ssh("sync --file-system /boot/firmware")
    start, size = pi.card.partitions()[0]
    with open(pi.card.file, "rb") as disk:
        disk.seek(start)
        boot = disk.read(size)
    found = [secret for secret in SECRETS if secret.encode() in boot]
    if found:
        raise Failed(f"{len(found)} passwords are still on the boot partition")
    modes = pi.ssh("stat -c %U:%a /etc/comptoir/card-secrets /etc/comptoir/settings.env").split()
    if modes != ["root:600", "root:600"]:
        raise Failed(f"the stored passwords can be read by others: {modes}")
    say("secrets: stored for root, and erased on the boot partition")


def setup_code(pi):
    """While the gateway has a setup code, the code is beside comptoir.txt."""
    pi.ssh("echo 1234-5678 >/var/lib/comptoir/setup-code")
    within("the setup code on the boot partition", 60, lambda: pi.file("comptoir-setup-code.txt") == "1234-5678\n")
    pi.ssh("rm /var/lib/comptoir/setup-code")
    within("the setup code to be gone", 60, lambda: pi.file("comptoir-setup-code.txt") is None)
    say("setup code: shown and erased")


def mqtt_over_tls(pi):
    pi.ssh("systemctl start comptoir-certificate && mosquitto_pub -V 5 -h localhost -p 8883 -q 1 -m online "
           f"--cafile /etc/mosquitto/comptoir-tls/authority.pem -u {STORE}/till-1 -P {TILLS_PASSWORD} -t pos/{STORE}/till-1/status")
    if "ct count over" not in pi.ssh("nft list table inet comptoir"):
        raise Failed("the limit of MQTT connections per address is not in force")
    say("MQTT over TLS:", pi.ssh("openssl x509 -in /etc/mosquitto/comptoir-tls/server.pem -noout -ext subjectAltName | tail -n 1"))


def sells(pi, kafka, options, work):
    """Sells, with a power cut, and returns the ledger of all acknowledged events."""
    ledger = []
    for_nothing = idle(pi, options.seconds)
    ledger += measure(pi, options.pos_sim, work, 1, options.seconds, for_nothing)
    ledger += measure(pi, options.pos_sim, work, 100, options.seconds, for_nothing)
    audit(kafka, ledger, "before the power cut")

    say("selling while Kafka does not answer, and cutting the power")
    kafka.pause()
    run = sell(pi, options.pos_sim, work, "cut", "--devices", "4", "--rate", "50", "--events", "6000",
               "--queue", work / "queue")
    pending = within("1500 acks", 180, lambda: len(acked(work, "cut")) > 1500 and pi.gateway()["journal"]["pending"])
    before = acked(work, "cut")
    pi.cut()
    say(f"power cut: QEMU killed with {len(before)} events of this run acked, {pending} of all only on the card")
    if pending < 500:
        raise Failed("too few events were only on the card")
    pi.start()
    say(f"ready {pi.ready(900):.1f} s after power-on (file systems recovered)")
    kept = pi.gateway()["journal"]["pending"]
    say(f"{kept} events on the card after it; now Kafka answers again")
    kafka.resume()
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
    if not re.search(rf"^{STORE}/counter-1 \S{{20,}}$", passwords, re.M) or "till-" in passwords:
        raise Failed(f"comptoir-passwords.txt: {passwords!r}")
    pi.settings(good.replace(f"STORE={STORE}", "STORE=Paris 1") + "KAFKA_BROKER=x\n")
    pi.start()
    say(f"ready {pi.ready(900):.1f} s after power-on (settings with two errors)")
    if pi.gateway()["store"] != STORE:
        raise Failed(f"the last good settings are not in force: the store is {pi.gateway()['store']}")
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
    say(f"ready {pi.ready(900):.1f} s after power-on (valid settings again)")
    within("the report to be gone", 60,
           lambda: pi.ssh("ls /boot/firmware/comptoir-settings.log 2>/dev/null || echo gone") == "gone")
    pi.power_off()
