"""Reads and writes an image, or a card made from it, without mounting anything."""

import json
import re
import subprocess

from common import Failed

SECTOR = 512


class Card:
    def __init__(self, file):
        self.file = file

    def partitions(self):
        """Start and size of each partition in bytes, in the order of the partition table."""
        table = subprocess.run(["sfdisk", "--json", self.file], check=True, capture_output=True, text=True).stdout
        entries = json.loads(table)["partitiontable"]["partitions"]
        return [(entry["start"] * SECTOR, entry["size"] * SECTOR) for entry in entries]

    # ---- the boot partition, FAT ----

    @property
    def boot(self):
        return f"{self.file}@@{self.partitions()[0][0]}"

    def boot_files(self, folder=""):
        """Paths of all files on the boot partition, or in one of its folders."""
        listed = subprocess.run(["mdir", "-/", "-b", "-i", self.boot, f"::{folder}"], capture_output=True, text=True)
        return [line[3:] for line in listed.stdout.splitlines() if line.startswith("::/") and not line.endswith("/")]

    def read_boot(self, name):
        found = subprocess.run(["mtype", "-i", self.boot, f"::{name}"], capture_output=True)
        return found.stdout if found.returncode == 0 else None

    def write_boot(self, file, name):
        subprocess.run(["mcopy", "-o", "-n", "-i", self.boot, file, f"::{name}"], check=True)

    def config(self):
        """config.txt as the firmware reads it: KEY=value, where the last value counts. The key initramfs has no "="."""
        text = (self.read_boot("config.txt") or b"").decode()
        lines = [line.strip() for line in text.splitlines() if line.strip() and not line.startswith(("#", "["))]
        return dict(re.split(r"[= ]", line, maxsplit=1) for line in lines)

    def started(self, kind):
        """Path of the file that the firmware would load as kernel, initramfs, or for example cmdline.txt."""
        config = self.config()
        name = config.get(kind, kind).split()[0]
        return config["os_prefix"] + name

    # ---- the root, ext4 ----

    def _debugfs(self, command):
        root = f"{self.file}?offset={self.partitions()[1][0]}"
        found = subprocess.run(["debugfs", "-R", command, root], capture_output=True)
        if b"File not found" in found.stderr:
            return None
        if found.returncode != 0 or b"Bad magic" in found.stderr:
            raise Failed(f"debugfs of {self.file}: {command}: {found.stderr.decode()}")
        return found.stdout

    def read_root(self, path):
        return self._debugfs(f'cat "{path}"')

    def list_root(self, path):
        listed = (self._debugfs(f'ls -p "{path}"') or b"").decode()
        names = [line.split("/")[5] for line in listed.splitlines() if line.count("/") >= 6]
        return [name for name in names if name not in (".", "..")]
