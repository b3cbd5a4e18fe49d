"""The first start of a card with three power cuts, and the partitions that it creates."""

import struct
import subprocess

from common import Failed, say, within

SECTOR = 512
CARD_BYTES = 16 << 30
GIB = 1 << 30
ERASE_BLOCK = 4 << 20
# Offsets in an ext4 file system and in its superblock.
SUPERBLOCK, LABEL, MAGIC = 1024, 0x78, 0x38


def label(card, start):
    with open(card.file, "rb") as disk:
        disk.seek(start + SUPERBLOCK)
        block = disk.read(1024)
    if struct.unpack_from("<H", block, MAGIC)[0] != 0xEF53:
        return None
    return block[LABEL : LABEL + 16].rstrip(b"\0").decode()


def journal_start(card):
    """Where the journal's partition must begin: it has half of the free space, at most 8 GiB."""
    root_start, root_size = card.partitions()[1]
    share = min((CARD_BYTES - root_start - root_size) // 2, 8 * GIB)
    return (CARD_BYTES - share) // ERASE_BLOCK * ERASE_BLOCK


def leave_old_journal(card, work):
    """Simulates a used card: an old journal at exactly the place of the new one."""
    old, folder = work / "old-journal.img", work / "old-journal"
    folder.mkdir()
    (folder / "old").write_text("from an earlier use of the card\n")
    with open(old, "wb") as file:
        file.truncate(256 << 20)
    subprocess.run(["mke2fs", "-q", "-t", "ext4", "-L", "comptoir-data", "-d", folder, old], check=True)
    subprocess.run(["dd", f"if={old}", f"of={card.file}", "bs=1M", f"seek={journal_start(card) >> 20}",
                    "conv=notrunc,sparse", "status=none"], check=True)


def cut_when(pi, what, happened):
    pi.start()

    def attempt():
        pi.machine.check_runs()
        return happened()
    within(what, 600, attempt)
    pi.cut()
    say(f"first start, power cut: {what}")


def test(pi, work):
    card = pi.card
    planned = journal_start(card)
    leave_old_journal(card, work)
    cut_when(pi, "the partition table is written", lambda: len(card.partitions()) == 3)
    start, size = card.partitions()[2]
    if start != planned:
        raise Failed(f"the journal begins at {start}, but the old one is at {planned}")
    cut_when(pi, "the journal's file system is made", lambda: label(card, start) == "comptoir-data")
    cut_when(pi, "keys are made", lambda: card.read_root("/etc/ssh/ssh_host_ed25519_key"))

    pi.start()
    say(f"ready {pi.ready(900):.1f} s after power-on (first start continued: growing, keys, passwords)")
    within("ssh", 120, lambda: pi.ssh("true") == "")
    sizes = pi.ssh("df --block-size=1 --output=size / /var/lib/comptoir | tail -n 2").split()
    root, journal = (int(size) for size in sizes)
    say(f"card of {CARD_BYTES / GIB:.0f} GiB: root {root / GIB:.1f} GiB, journal {journal / GIB:.1f} GiB")
    unused = CARD_BYTES - sum(card.partitions()[-1])
    # File systems use up to a tenth for themselves.
    if unused > ERASE_BLOCK or root < 0.9 * card.partitions()[1][1] or journal < 0.9 * size or journal < 5 * GIB:
        raise Failed(f"space on the card is unused: {card.partitions()}, {unused} bytes left, file systems {sizes}")
    if pi.ssh("ls /var/lib/comptoir/old 2>/dev/null || echo none") != "none":
        raise Failed("the card's old journal is still there")
    limit = pi.gateway()["journal"]["max_bytes"]
    if limit != journal * 5 // 8:
        raise Failed(f"the journal's limit is {limit} on a file system of {journal} bytes")
