"""Which devices of a board stand between its processor and a goal (card, USB disk, network), by its device tree."""

import re

# Properties that name other devices, and the property of the other device that says how many numbers follow.
LISTS = {
    "clocks": "#clock-cells", "assigned-clocks": "#clock-cells", "assigned-clock-parents": "#clock-cells",
    "resets": "#reset-cells", "power-domains": "#power-domain-cells", "phys": "#phy-cells", "dmas": "#dma-cells",
    "iommus": "#iommu-cells", "mboxes": "#mbox-cells", "interrupts-extended": "#interrupt-cells",
    "gpio": "#gpio-cells", "gpios": "#gpio-cells", "pwms": "#pwm-cells", "usb-phy": None, "mmc-pwrseq": None,
    "phy-handle": None, "msi-parent": None, "firmware": None, "raspberrypi,firmware": None, "nvmem-cells": None,
}
# They need no driver: the kernel makes devices of their children by itself.
BUSES = {"simple-bus", "simple-mfd", "syscon", "simple-pm-bus"}


def _named(tree, node, name, cells_name):
    """The nodes of a list of phandles, each with its numbers."""
    cells, at = node.cells(name), 0
    while at < len(cells):
        other = tree.by_phandle.get(cells[at])
        if other is None:
            if cells[at] == 0:
                at += 1
                continue
            raise ValueError(f"{node.path}: {name} names no node: {cells}")
        yield other
        at += 1 + (other.cell(cells_name, 0) if cells_name else 0)


def suppliers(tree, node):
    """What the kernel waits for before it starts this node's driver."""
    for name in node.properties:
        if name.endswith("-supply"):
            yield from _named(tree, node, name, None)
        elif re.fullmatch(r"pinctrl-\d+", name):
            yield from _named(tree, node, name, None)
        elif re.fullmatch(r".*-gpios?", name):
            yield from _named(tree, node, name, "#gpio-cells")
        elif name in LISTS:
            yield from _named(tree, node, name, LISTS[name])
    if "interrupts" in node.properties:
        holder = node
        while holder and "interrupt-parent" not in holder.properties:
            holder = holder.parent
        if holder:
            yield from _named(tree, holder, "interrupt-parent", None)
    if node.parent:
        yield node.parent


def needs(tree, goal):
    """Every enabled node with a driver of its own on the way to a goal, the goal included; by which way it was found."""
    found, waiting = {}, [(goal, goal.path)]
    while waiting:
        node, way = waiting.pop()
        if node in found or not node.is_enabled:
            continue
        found[node] = way
        for other in suppliers(tree, node):
            waiting.append((other, f"{way} > {other.path}"))
    # The root's compatible names the board; groups of pins and subnodes without one belong to their parent.
    return {
        node: way for node, way in found.items()
        if node.parent and node.strings("compatible") and not BUSES & set(node.strings("compatible"))
    }


def _enabled(tree, test):
    return [node for node in tree.root.walk() if node.is_enabled and test(node)]


def _is_mmc(node):
    return node.name.startswith(("mmc@", "mmcnr@"))


def _has_wifi(node):
    return any("brcm,bcm4329-fmac" in child.strings("compatible") for child in node.children)


def card_slots(tree):
    return _enabled(tree, lambda node: _is_mmc(node) and not _has_wifi(node))


def wifi(tree):
    return _enabled(tree, lambda node: "brcm,bcm4329-fmac" in node.strings("compatible"))


def usb(tree):
    return _enabled(tree, lambda node: re.match(r"usb@", node.name) and not re.search("usb", node.parent.name))


def ethernet(tree):
    return _enabled(tree, lambda node: re.match(r"(ethernet|mdio|ethernet-phy)@", node.name))
