"""A kernel upgrade on a real FAT file system: the Pi starts after a power cut at any moment.

During the upgrade, the test pauses QEMU repeatedly and copies the boot partition. In each copy, the files that
config.txt selects must be complete and of the same version.
"""

import hashlib
import shlex
import subprocess
import time

from card import Card
from common import Failed, say

# Limits the disk usage; each copy is sparse.
COPIES = 200


def sums(card, prefix):
    """Hashes of all files in a folder of the boot partition."""
    return {name[len(prefix):]: hashlib.sha256(card.read_boot(name)).hexdigest() for name in card.boot_files(prefix)}


def copy_boot(card, to):
    """Copies the partition table and the boot partition."""
    start, size = card.partitions()[0]
    subprocess.run(["dd", f"if={card.file}", f"of={to}", "bs=4M", f"count={(start + size) >> 22}", "conv=sparse",
                    "status=none"], check=True)


def snapshots(pi, work, command):
    """Runs the command and copies the card repeatedly, from before its start until after its end."""
    folder = work / "snapshots"
    folder.mkdir()
    ssh = subprocess.Popen(shlex.split(pi.ssh_command(command)), stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    taken = []
    while len(taken) < COPIES:
        running = ssh.poll() is None
        copy = folder / f"{len(taken)}.img"
        pi.machine.qmp("stop")
        copy_boot(pi.card, copy)
        pi.machine.qmp("cont")
        taken.append(copy)
        if not running:
            break
        time.sleep(0.2)
    said = ssh.communicate(timeout=600)[0].decode()
    if ssh.returncode != 0:
        raise Failed(f"{command}: {said}")
    return taken


def test(pi, work):
    before = pi.card.config()["os_prefix"]
    old = sums(pi.card, before)
    # A different initramfs and kernel, as after an upgrade.
    kernel = pi.ssh("ls /boot/vmlinuz-*").strip()
    quoted = shlex.quote(kernel)
    pi.ssh(f"cp --remove-destination {quoted} /boot/new && printf upgraded >>/boot/new && mv /boot/new {quoted}")
    copies = snapshots(pi, work, "DEB_MAINT_PARAMS=configure /etc/kernel/postinst.d/z50-raspi-firmware")
    after = pi.card.config()["os_prefix"]
    new = sums(pi.card, after)
    if after == before or new["vmlinuz"] == old["vmlinuz"] or sums(pi.card, before) != old:
        raise Failed(f"after the upgrade, config.txt selects {after}, before {before}; the old folder must not change")
    started = []
    for copy in copies:
        card = Card(copy)
        prefix = card.config().get("os_prefix")
        found = sums(card, prefix) if prefix else None
        if found not in (old, new):
            raise Failed(f"{copy}: config.txt selects {prefix}, which is incomplete")
        started.append(prefix)
        copy.unlink()
    halves = sum(prefix == before for prefix in started), sum(prefix == after for prefix in started)
    say(f"kernel upgrade: {len(copies)} moments, {halves[0]} start the old kernel and {halves[1]} the new one")
    if halves[0] < 3 or not halves[1]:
        raise Failed("too few copies for a conclusion")
