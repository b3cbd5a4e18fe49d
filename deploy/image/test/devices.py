"""Finds, in a board's device tree, all devices between its processor and a goal (card, USB disk, network)."""

import re

# Properties that refer to other devices, and the property of the other device with the number of cells that follow.
LISTS = {
    "clocks": "#clock-cells", "assigned-clocks": "#clock-cells", "assigned-clock-parents": "#clock-cells",
    "resets": "#reset-cells", "power-domains": "#power-domain-cells", "phys": "#phy-cells", "dmas": "#dma-cells",
    "iommus": "#iommu-cells", "mboxes": "#mbox-cells", "interrupts-extended": "#interrupt-cells",
    "gpio": "#gpio-cells", "gpios": "#gpio-cells", "pwms": "#pwm-cells", "usb-phy": None, "mmc-pwrseq": None,
    "phy-handle": None, "msi-parent": None, "firmware": None, "raspberrypi,firmware": None, "nvmem-cells": None,
}
# These need no driver: the kernel itself creates devices for their children.
BUSES = {"simple-bus", "simple-mfd", "syscon", "simple-pm-bus"}


def _named(tree, node, name, cells_name):
    """The nodes in a list of phandles, each of which is followed by its cells."""
    cells, at = node.cells(name), 0
    while at < len(cells):
        other = tree.by_phandle.get(cells[at])
        if other is None:
            if cells[at] == 0:
                at += 1
                continue
            raise ValueError(f"{node.path}: {name} refers to no node: {cells}")
        yield other
        at += 1 + (other.cell(cells_name, 0) if cells_name else 0)


def suppliers(tree, node):
    """The nodes whose drivers the kernel starts before this node's."""
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
    """Every enabled node with its own driver on the path to a goal, including the goal, with the path to it."""
    found, waiting = {}, [(goal, goal.path)]
    while waiting:
        node, way = waiting.pop()
        if node in found or not node.is_enabled:
            continue
        found[node] = way
        for other in suppliers(tree, node):
            waiting.append((other, f"{way} > {other.path}"))
    # The root's compatible names the board. Pin groups and subnodes without compatible belong to their parent.
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
