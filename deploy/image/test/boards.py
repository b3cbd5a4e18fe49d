"""The image's own kernel, initramfs, device tree, command line and card on QEMU's Raspberry Pi 3 and 4."""

import re
import subprocess

import fdt
from card import Card
from common import Failed, say
from qemu import Machine

# QEMU requires a power of two. The card is small, because QEMU's card is slow.
CARD_BYTES = 4 << 30
# Per step. A whole first start takes a minute or two; a busy machine needs more.
SECONDS = 600
DISPLAY = r"/gpu|/soc/(txp|dsi|hvs|pixelvalve|vec|hdmi)@.*|/soc/(clock|interrupt-controller|i2c)@7ef0.*"
# Drivers that wait for the GPIO expander.
ON_EXPANDER = {"wifi-pwrseq", "regulator-cam1"}


def copy_card(image, to, size):
    subprocess.run(["cp", "--sparse=always", image, to], check=True)
    with open(to, "r+b") as disk:
        disk.truncate(size)
    return Card(to)


def start(card, work, name, tree):
    """Does the firmware's work: loads the files that config.txt selects, with the command line from the card."""
    files = {}
    for kind in ["kernel", "initramfs", "cmdline.txt"]:
        files[kind] = work / f"{name}-{kind}"
        files[kind].write_bytes(card.read_boot(card.started(kind)))
    # QEMU resets a Pi as soon as its watchdog is armed.
    command_line = files["cmdline.txt"].read_text().strip() + " modprobe.blacklist=bcm2835_wdt"
    return Machine(work, name, lambda console: [
        "-M", name, "-kernel", files["kernel"], "-initrd", files["initramfs"], "-dtb", tree, "-append", command_line,
        "-drive", f"if=sd,format=raw,file={card.file},cache=unsafe",
        # The second serial port is ttyS1, the console on the command line.
        "-serial", "null", "-serial", f"file:{console}"])


SLOT = "the host controller of the slot", r"mmc\d: SDHCI controller on fe340000\.mmc"
CARD = "the card", r"mmcblk\d: mmc\d:"
ROOT = "the root", r"EXT4-fs \(mmcblk\dp2\): mounted filesystem"
SYSTEMD = "systemd", r"systemd\[1\]: systemd \d+"
# The first start creates it.
JOURNAL = "the journal's partition", r"EXT4-fs \(mmcblk\dp3\): mounted filesystem"


def reaches(machine, board, *steps):
    for what, pattern in steps:
        machine.says(f"{what} of a {board}", pattern, SECONDS)
        say(f"{board}: {what}")


def raspi3b(image, work):
    card = copy_card(image, work / "raspi3b.img", CARD_BYTES)
    tree = work / "raspi3b.dtb"
    tree.write_bytes(card.read_boot(f"{card.config()['os_prefix']}bcm2837-rpi-3-b.dtb"))
    machine = start(card, work, "raspi3b", tree)
    try:
        reaches(machine, "Pi 3", CARD, ROOT, SYSTEMD, JOURNAL)
    finally:
        machine.end()


def raspi4b(image, work):
    """Boots up to systemd. The card slot's host controller starts, with the regulators that power it. QEMU attaches the
    card to the other controller, which a board uses for its Wi-Fi chip."""
    card = copy_card(image, work / "raspi4b.img", CARD_BYTES)
    tree = work / "raspi4b.dtb"
    tree.write_bytes(card.read_boot(f"{card.config()['os_prefix']}bcm2711-rpi-4-b.dtb"))
    without_what_qemu_lacks(tree)
    machine = start(card, work, "raspi4b", tree)
    try:
        reaches(machine, "Pi 4", SLOT, CARD, ROOT, SYSTEMD)
        # The kernel lists them ten seconds after the last driver has started.
        machine.says("the kernel's list of waiting devices", r"deferred probe pending", SECONDS)
        waiting = set(re.findall(r"(?:platform )?(\S+): deferred probe pending", machine.text()))
        if not waiting <= ON_EXPANDER:
            raise Failed(f"drivers wait for devices that nothing provides: {sorted(waiting - ON_EXPANDER)}")
    finally:
        machine.end()
    say("Pi 4: waiting drivers, all for the GPIO expander:", *sorted(waiting))


def without_what_qemu_lacks(tree):
    """Disables the display, whose registers QEMU lacks. QEMU also lacks the firmware's GPIO expander, so the slot's
    regulators use lines of the processor's own GPIO controller, and the Wi-Fi chip's slot has no reset line."""
    paths = {node.path: node for node in fdt.Tree(tree.read_bytes()).root.walk()}

    def put(*words):
        subprocess.run(["fdtput", *words], check=True)
    for path, node in paths.items():
        if re.fullmatch(DISPLAY, path):
            put("-t", "s", tree, path, "status", "disabled")
    gpio = str(paths["/soc/gpio@7e200000"].cell("phandle"))
    for regulator, name, line in [("/regulator-sd-vcc", "gpio", "26"), ("/regulator-sd-io-1v8", "gpios", "27")]:
        if name not in paths[regulator].properties:
            raise Failed(f"{regulator} has no property {name}; does it still power the card slot?")
        put(tree, regulator, name, gpio, line, "0")
    put("-d", tree, "/soc/mmc@7e300000", "mmc-pwrseq")


def test(image, work):
    raspi3b(image, work)
    raspi4b(image, work)
