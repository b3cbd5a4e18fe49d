"""Checks that every supported board has the drivers for its card, its USB disk and its network.

According to the kernel's own device trees, each device between the processor and the SD card, USB, Ethernet and Wi-Fi
has a driver. The driver is built in, in the initramfs if the root may depend on it, or otherwise in the root.
"""

import re

import devices
import fdt
from common import Failed, say
from kernel import Kernel

VL805 = "pci:v00001106d00003483sv00001106sd00003483bc0Csc03i30"
GIGABIT_PHY = "mdio:01100000000011011000010010100010"  # BCM54213PE
PLUS_PHY = "mdio:00000000000001111100000100110010"  # in the LAN7515
USB_DISK = ["usb:v0000p0000d0000dc00dsc00dp00ic08isc06ip50in00", "usb:v0000p0000d0000dc00dsc00dp00ic08isc06ip62in00",
            "scsi:t-0x00"]
ROOT = ["fs-ext4"]
XHCI_OF_DWC3 = "platform:xhci-hcd"
# The chip's number on the SDIO bus; its files in /usr/lib/firmware/brcm.
BCM43430, BCM43455 = "sdio:c00v02D0dA9A6", "sdio:c00v02D0dA9BF"

# Device tree: devices that are discovered on USB or PCI and on the network bus; the Wi-Fi chip, and its firmware.
BOARDS = {
    "bcm2837-rpi-3-b": ([], [], BCM43430, "43430"),
    "bcm2837-rpi-3-a-plus": ([], [], BCM43455, "43455"),
    "bcm2837-rpi-3-b-plus": ([], [PLUS_PHY], BCM43455, "43455"),
    "bcm2837-rpi-zero-2-w": ([], [], BCM43430, "43430"),
    "bcm2711-rpi-4-b": ([VL805], [GIGABIT_PHY], BCM43455, "43455"),
    "bcm2711-rpi-400": ([VL805], [GIGABIT_PHY], BCM43455, "43456"),
    "bcm2712-rpi-5-b": ([XHCI_OF_DWC3], [GIGABIT_PHY], BCM43455, "43455"),
    "bcm2712-d-rpi-5-b": ([XHCI_OF_DWC3], [GIGABIT_PHY], BCM43455, "43455"),
}
WITHOUT_ETHERNET = {"bcm2837-rpi-3-a-plus", "bcm2837-rpi-zero-2-w"}
# These need no driver: the mmc core reads such nodes itself, and the USB core drives the hubs.
SERVED_BY_CORE = {"brcm,bcm4329-fmac", "usb424,9514", "usb424,2514"}


def kernel_of(card):
    version = kernel_version(card)
    modules = f"/usr/lib/modules/{version}"
    return Kernel(
        card.read_boot(card.started("kernel")),
        card.read_root(f"{modules}/modules.alias").decode(),
        card.read_root(f"{modules}/modules.dep").decode(),
        card.read_root(f"{modules}/modules.builtin.modinfo"),
        card.read_boot(card.started("initramfs")),
    )


def kernel_version(card):
    versions = card.list_root("/usr/lib/modules")
    if len(versions) != 1:
        raise Failed(f"the root must have the modules of one kernel, and has {versions}")
    return versions[0]


def tree_of(card, board):
    data = card.read_boot(f"{card.config()['os_prefix']}{board}.dtb")
    if data is None:
        raise Failed(f"{board}.dtb is not in the folder that config.txt selects")
    return fdt.Tree(data)


def modaliases(node):
    """The names by which drivers of USB and PCI match a device that is also in the tree."""
    for compatible in node.strings("compatible"):
        named = re.fullmatch("(usb|pci)([0-9a-f]+),([0-9a-f]+)", compatible)
        vendor, device = (int(number, 16) for number in named.groups()[1:]) if named else (0, 0)
        if named and named.group(1) == "usb":
            yield f"usb:v{vendor:04X}p{device:04X}d0000dcFFdsc00dpFFicFFisc00ipFFin00"
        elif named:
            yield f"pci:v{vendor:08X}d{device:08X}sv00000000sd00000000bc02sc00i00"


def lacking(kernel, board, tree):
    """Devices without a driver, and the number of devices that were checked."""
    on_usb, on_network, wifi_chip, _ = BOARDS[board]
    problems, seen = [], set()

    def need(where, what, found, usable):
        seen.add(what)
        if not any(map(usable, found)):
            problems.append(f"{board}, {where}: {what} needs {' or '.join(sorted(found)) or 'a driver that the kernel lacks'}")

    def goals(where, nodes, extra, usable):
        if not nodes:
            problems.append(f"{board}, {where}: not in the device tree")
        for goal in nodes:
            for node, way in devices.needs(tree, goal).items():
                compatible = node.strings("compatible")
                if SERVED_BY_CORE & set(compatible):
                    continue
                found = set().union(*map(kernel.drivers_of, compatible), *map(kernel.drivers, modaliases(node)))
                need(where, f"{' '.join(compatible)} ({way})", found, usable)
        for modalias in extra:
            need(where, modalias, kernel.drivers(modalias), usable)

    goals("SD card", devices.card_slots(tree), ROOT, kernel.is_in_initramfs)
    goals("USB disk", devices.usb(tree), on_usb + USB_DISK + ROOT, kernel.is_in_initramfs)
    if board not in WITHOUT_ETHERNET:
        goals("Ethernet", devices.ethernet(tree), on_network, kernel.is_in_root)
    goals("Wi-Fi", devices.wifi(tree), [wifi_chip], kernel.is_in_root)
    return problems, len(seen)


def lacking_firmware(card, board, tree):
    """Firmware files that the Wi-Fi chip's driver requests and the root lacks."""
    chip = BOARDS[board][3]
    there = set(card.list_root("/usr/lib/firmware/brcm"))
    name = f"brcmfmac{chip}-sdio"
    settings = {f"{name}.txt", *(f"{name}.{compatible}.txt" for compatible in tree.root.strings("compatible")[:1])}
    wanted = [{f"{name}.bin"}, {f"{name}.clm_blob"}, settings]
    return [f"{board}, Wi-Fi: no {' or '.join(sorted(names))}" for names in wanted if not names & there]


def test(card):
    kernel = kernel_of(card)
    trees = {board: tree_of(card, board) for board in BOARDS}
    problems, devices_seen = [], 0
    for board, tree in trees.items():
        missing, seen = lacking(kernel, board, tree)
        problems += missing + lacking_firmware(card, board, tree)
        devices_seen += seen
    if problems:
        raise Failed("drivers:\n  " + "\n  ".join(problems))
    say(f"drivers: {len(BOARDS)} device trees, {devices_seen} devices, each with a driver where it is needed")
    controls(kernel, trees)


def controls(kernel, trees):
    """Positive controls: the test must fail if a driver is removed."""
    newer = {board for board in BOARDS if not board.startswith("bcm2837")}
    for module, boards in [
        ("fixed", newer), ("gpio_regulator", newer), ("bcm2835", set(BOARDS) - newer), ("usb_storage", set(BOARDS)),
        ("rp1_pci", {board for board in BOARDS if board.startswith("bcm2712")}),
    ]:
        kernel.in_initramfs.discard(module)
        failed = {board for board, tree in trees.items() if lacking(kernel, board, tree)[0]}
        kernel.in_initramfs.add(module)
        if failed != boards:
            raise Failed(f"without {module}, {sorted(failed)} fail instead of {sorted(boards)}")
    say("drivers: the test fails if any of five drivers is missing from the initramfs")
