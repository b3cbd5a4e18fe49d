"""An update of the package while tills sell, a downgrade, and a gateway that does not start."""

import subprocess
import time

from common import TOP, Failed, say, within
from pi import healthy, service
from selling import acked, audit, end, sell


def update(pi, kafka, options, work, ledger):
    """Updates to another version while tills sell, and downgrades as deploy/docs/updates.md describes."""
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
    audit(kafka, ledger, "downgraded while tills sold")
    healthy(pi)


def backoff(pi):
    """A gateway that ends at once is restarted with growing delays. Once repaired, it starts without delay."""
    drop_in = "/run/systemd/system/comptoir-gateway.service.d/test.conf"
    pi.ssh(f"mkdir -p {drop_in.rsplit('/', 1)[0]}; printf '[Service]\\nExecStart=\\nExecStart=/bin/false\\n' >{drop_in};"
           "systemctl daemon-reload; systemctl restart --no-block comptoir-gateway")
    time.sleep(45)
    restarts = int(service(pi)["NRestarts"])
    say(f"a gateway that does not start: {restarts} restarts in 45 s")
    # Delays of 2, 4, 8 and 16 s, and the time of each start: far fewer than one restart every 2 s.
    if not 2 <= restarts <= 6:
        raise Failed("with delays from 2 s to 1 min, 3 to 5 were expected")
    began = time.monotonic()
    # The gateway's own mDNS name. Its sandbox must allow it to list the machine's addresses.
    pi.ssh(f"printf '[Service]\\nEnvironment=COMPTOIR_HTTP__MDNS=by-itself\\n' >{drop_in};"
           "systemctl daemon-reload; systemctl restart comptoir-gateway")
    took = time.monotonic() - began
    if took > 20:
        raise Failed(f"a manual start took {took:.0f} s; it must not be delayed")
    address = within("the gateway's own name", 60, lambda: pi.ssh("getent hosts by-itself.local || true"))
    say(f"started by hand in {took:.1f} s; by mDNS: {' '.join(address.split())}")
    pi.ssh(f"rm {drop_in}; systemctl daemon-reload; systemctl restart comptoir-gateway")
    pi.ready(60)
