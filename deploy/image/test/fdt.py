"""Reads a flattened device tree (a .dtb file)."""

import struct

BEGIN_NODE, END_NODE, PROPERTY, NOP, END = 1, 2, 3, 4, 9


class Node:
    def __init__(self, name, parent):
        self.name, self.parent = name, parent
        self.properties, self.children = {}, []

    @property
    def path(self):
        return "/" if self.parent is None else f"{self.parent.path.rstrip('/')}/{self.name}"

    def strings(self, name):
        return [text.decode() for text in self.properties.get(name, b"").split(b"\0") if text]

    def cells(self, name):
        raw = self.properties.get(name, b"")
        return list(struct.unpack(f">{len(raw) // 4}I", raw[: len(raw) // 4 * 4]))

    def cell(self, name, default=None):
        return next(iter(self.cells(name)), default)

    @property
    def is_enabled(self):
        node = self
        while node:
            if node.strings("status")[:1] not in ([], ["okay"], ["ok"]):
                return False
            node = node.parent
        return True

    def walk(self):
        yield self
        for child in self.children:
            yield from child.walk()


class Tree:
    def __init__(self, data):
        magic, _, struct_at, strings_at = struct.unpack_from(">4I", data)
        if magic != 0xD00DFEED:
            raise ValueError("not a flattened device tree")
        self.root = self._read(data, struct_at, strings_at)
        self.by_phandle = {node.cell("phandle"): node for node in self.root.walk() if "phandle" in node.properties}

    @staticmethod
    def _read(data, at, strings_at):
        root = node = None
        while True:
            (token,) = struct.unpack_from(">I", data, at)
            at += 4
            if token == BEGIN_NODE:
                end = data.index(b"\0", at)
                child = Node(data[at:end].decode(), node)
                if node:
                    node.children.append(child)
                else:
                    root = child
                node = child
                at = (end + 4) & ~3
            elif token == END_NODE:
                node = node.parent
            elif token == PROPERTY:
                length, name_at = struct.unpack_from(">2I", data, at)
                start = strings_at + name_at
                name = data[start : data.index(b"\0", start)].decode()
                node.properties[name] = data[at + 8 : at + 8 + length]
                at = (at + 8 + length + 3) & ~3
            elif token == END:
                return root
            elif token != NOP:
                raise ValueError(f"unknown token {token} at {at - 4}")
