"""The devices for which a kernel has drivers: built in, in the initramfs, or in the root."""

import fnmatch
import gzip
import re


def module_name(path):
    return re.sub(r"\.ko(\.\w+)?$", "", path.rsplit("/", 1)[-1]).replace("-", "_")


def read_cpio(data):
    """Names and contents of the files in a "newc" archive, the format of initramfs-tools."""
    if data[:2] == b"\x1f\x8b":
        data = gzip.decompress(data)
    at, files = 0, {}
    while data[at : at + 6] == b"070701":
        fields = [int(data[at + 6 + 8 * i : at + 14 + 8 * i], 16) for i in range(13)]
        size, name_size = fields[6], fields[11]
        name = data[at + 110 : at + 110 + name_size - 1].decode()
        start = (at + 110 + name_size + 3) & ~3
        if name == "TRAILER!!!":
            return files
        files[name] = data[start : start + size]
        at = (start + size + 3) & ~3
    raise ValueError(f"the initramfs is not a cpio archive at byte {at}")


class Kernel:
    def __init__(self, image, alias, dep, builtin_modinfo, initramfs):
        self.image = image
        self.dependencies = {
            module_name(line.split(":")[0]): [module_name(path) for path in line.split(":")[1].split()]
            for line in dep.splitlines()
        }
        # The patterns with which udev and modprobe match devices. Built-in drivers have no module name.
        patterns = [line.split()[1:3] for line in alias.splitlines() if line.startswith("alias ")]
        patterns += [
            (entry.split(".alias=", 1)[1], "")
            for entry in builtin_modinfo.decode(errors="replace").split("\0")
            if ".alias=" in entry
        ]
        self.by_compatible, self.by_bus = {}, {}
        for pattern, module in patterns:
            module = module.replace("-", "_")
            compatible = re.fullmatch(r"of:N\*T\*C([^*]+?)(C\*)?", pattern)
            if compatible:
                self.by_compatible.setdefault(compatible.group(1), set()).add(module)
            else:
                self.by_bus.setdefault(pattern.split(":")[0], []).append((pattern, module))
        self.in_initramfs = {module_name(name) for name in read_cpio(initramfs) if ".ko" in name}

    def has_table_entry(self, compatible):
        """Whether the kernel's image contains a struct of_device_id (name[32], type[32], compatible[128]) for it. Some
        built-in drivers have no alias, but all have such an entry."""
        name, at = compatible.encode() + b"\0", -1
        while (at := self.image.find(name, at + 1)) >= 0:
            if self.image[at - 64 : at] == bytes(64) and not any(self.image[at + len(name) : at + 128]):
                return True
        return False

    def drivers(self, modalias):
        """The modules that match a device; "" means a built-in driver."""
        patterns = self.by_bus.get(modalias.split(":")[0], [])
        return {module for pattern, module in patterns if fnmatch.fnmatchcase(modalias, pattern)}

    def drivers_of(self, compatible):
        if compatible not in self.by_compatible:
            self.by_compatible[compatible] = {""} if self.has_table_entry(compatible) else set()
        return self.by_compatible[compatible]

    def is_in_initramfs(self, module):
        wanted = [module, *self.dependencies.get(module, ["absent"])]
        return module == "" or all(name in self.in_initramfs for name in wanted)

    def is_in_root(self, module):
        return module == "" or module in self.dependencies
