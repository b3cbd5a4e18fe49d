"""Checks the image's files against the requirements of the Pi's firmware and of Debian."""

import json
import re
import subprocess
import tempfile
import pathlib

import fdt
from common import Failed, say
from drivers import BOARDS, kernel_version

# Debian 13's own start4.elf dates from April 2024. There is no published list of the boards that refuse it.
OLDEST_FIRMWARE = 2025
FEATURES_OFF = {"SAE_EXT", "DUMP_OBSS", "SAE", "FWSUP"}
MONTHS = "Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec".split()


def check(right, message):
    if not right:
        raise Failed(message)


def test(card):
    command_line(card)
    firmware(card)
    boot_folder(card)
    second_stepping(card)
    package_sources(card)
    wifi(card)
    lifecycle(card)


def command_line(card):
    words = card.read_boot(card.started("cmdline.txt")).decode().split()
    check("root=LABEL=comptoir-root" in words, f"cmdline.txt names no root: {words}")
    # With raspi-firmware's default of 64 MiB, a Pi 4 does not start.
    check(not any(word.startswith("cma=") for word in words), f"cmdline.txt sets cma=: {words}")
    say("command line:", *words)


def firmware(card):
    names = set(card.boot_files())
    wanted = {"bootcode.bin", "start.elf", "fixup.dat", "start4.elf", "fixup4.dat", "comptoir.txt", "config.txt"}
    check(wanted <= names, f"the boot partition lacks {wanted - names}")
    found = re.search(rb"VC_BUILD_ID_TIME: (\w{3}) +(\d+) (\d{4})", card.read_boot("start4.elf"))
    check(found and found.group(1).decode() in MONTHS, "start4.elf contains no build date")
    check(int(found.group(3)) >= OLDEST_FIRMWARE, f"start4.elf has {found.group(0)}; newer Pi 4s refuse it")
    held = card.read_root("/var/lib/apt/extended_states") or b""
    status = card.read_root("/var/lib/dpkg/status").decode()
    entry = re.search(r"^Package: raspi-firmware\n(.+?)\n\n", status, re.S | re.M).group(1)
    check("Status: hold ok installed" in entry, f"raspi-firmware is not held: {entry[:80]} {held[:80]}")
    say("boot firmware:", b" ".join(found.groups()).decode())


def boot_folder(card):
    """All files that the firmware loads are in the folder that config.txt selects, and equal those of the root."""
    prefix, version = card.config()["os_prefix"], kernel_version(card)
    trees = [f"{board}.dtb" for board in BOARDS]
    # Without README the firmware looks for overlays outside the folder.
    wanted = [card.started("kernel"), card.started("initramfs"), prefix + "cmdline.txt", prefix + "overlays/README"]
    wanted += [prefix + tree for tree in trees]
    there = card.boot_files()
    check(set(wanted) <= set(there), f"{prefix} lacks {set(wanted) - set(there)}")
    for name, source in [(card.started("kernel"), f"/boot/vmlinuz-{version}"),
                         (card.started("initramfs"), f"/boot/initrd.img-{version}"),
                         *((prefix + tree, f"/usr/lib/linux-image-{version}/broadcom/{tree}") for tree in trees)]:
        check(card.read_boot(name) == card.read_root(source), f"{name} differs from {source} in the root")
    # The firmware cannot load a compressed kernel, or one in an EFI wrapper.
    check(card.read_boot(card.started("kernel"))[56:60] == b"ARMd", "the kernel is not an uncompressed arm64 image")
    for hook in ["kernel/postinst.d", "kernel/postrm.d", "initramfs/post-update.d"]:
        text = (card.read_root(f"/etc/{hook}/z50-raspi-firmware") or b"").decode()
        check("boot-files" in text, f"/etc/{hook}/z50-raspi-firmware is still the one of raspi-firmware: {text[:80]}")
    say(f"boot folder: {prefix} holds Linux {version} with {len(trees)} device trees")


def second_stepping(card):
    """The overlay turns the device tree of the Pi 5's first stepping into the kernel's own tree of the second."""
    prefix = card.config()["os_prefix"]
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        for name in ["bcm2712-rpi-5-b.dtb", "bcm2712-d-rpi-5-b.dtb", "overlays/bcm2712d0.dtbo"]:
            data = card.read_boot(prefix + name)
            check(data, f"{prefix}{name} is missing")
            (folder / pathlib.Path(name).name).write_bytes(data)
        subprocess.run(["fdtoverlay", "-i", folder / "bcm2712-rpi-5-b.dtb", "-o", folder / "made.dtb",
                        folder / "bcm2712d0.dtbo"], check=True)
        made, own = (fdt.Tree((folder / name).read_bytes()) for name in ["made.dtb", "bcm2712-d-rpi-5-b.dtb"])

    def flat(tree):
        # Names of GPIO lines have no function.
        return {(node.path, name): value for node in tree.root.walk() for name, value in node.properties.items()
                if name != "gpio-line-names"}
    made, own = flat(made), flat(own)
    different = {key for key in made.keys() | own.keys() if made.get(key) != own.get(key)}
    check(not different, f"bcm2712d0.dtbo: the tree differs from the kernel's own in {sorted(different)}")
    say("Pi 5 with stepping D0: with the overlay, the device tree equals the kernel's own")


def package_sources(card):
    """The package sources are Debian's public servers, and nothing names the build machine's."""
    sources = card.list_root("/etc/apt/sources.list.d")
    check(sources == ["debian.sources"], f"sources.list.d holds {sources}")
    check(not card.read_root("/etc/apt/sources.list"), "there is a sources.list")
    texts = [card.read_root("/etc/apt/sources.list.d/debian.sources").decode()]
    for folder in ["apt.conf.d", "preferences.d", "auth.conf.d"]:
        texts += [(card.read_root(f"/etc/apt/{folder}/{name}") or b"").decode() for name in card.list_root(f"/etc/apt/{folder}")]
    # Comments are ignored: they name the documentation of other projects.
    lines = [line for text in texts for line in text.splitlines() if not re.match(r"\s*(//|#)", line)]
    hosts = set(re.findall(r"\w+://([^/\s;\"]+)", "\n".join(lines)))
    check(hosts == {"deb.debian.org"}, f"apt's settings name {hosts}")
    proxies = [line for line in lines if re.match(r"\s*Acquire.*proxy", line, re.I)]
    check(not proxies, f"apt's settings name a proxy: {proxies}")
    for folder in ["/var/lib/apt/lists", "/var/log/apt"]:
        check(not card.list_root(folder), f"{folder} is not empty: {card.list_root(folder)}")
    say("package sources:", *sorted(hosts))


def wifi(card):
    """feature_disable disables the intended features. The driver's own list gives the number of each bit."""
    text = card.read_root("/etc/modprobe.d/comptoir-wifi.conf").decode()
    mask = int(re.search(r"^options brcmfmac .*feature_disable=(0x[0-9a-f]+)", text, re.M).group(1), 16)
    folder = f"/usr/lib/modules/{kernel_version(card)}/kernel/drivers/net/wireless/broadcom/brcm80211/brcmfmac"
    module = subprocess.run(["xz", "-dc"], input=card.read_root(f"{folder}/brcmfmac.ko.xz"), check=True,
                            capture_output=True).stdout
    names = re.search(rb"brcmf_feat_id\0((?:BRCMF_FEAT_\w+\0)+?)BRCMF_FEAT_LAST\0", module)
    check(names, "brcmfmac contains no list of its features")
    features = [name.decode()[len("BRCMF_FEAT_"):] for name in names.group(1).split(b"\0") if name]
    off = {name for bit, name in enumerate(features) if mask >> bit & 1}
    check(off == FEATURES_OFF, f"feature_disable={mask:#x} disables {sorted(off)}")
    say("Wi-Fi: features disabled in the driver:", *sorted(off))


ENABLED = {
    "multi-user.target.wants": ["comptoir-firewall.service", "comptoir-setup-code.path", "comptoir-setup-code.service"],
    "timers.target.wants": ["comptoir-certificate.timer", "comptoir-forget-passwords.timer"],
}


def lifecycle(card):
    """Security updates, the bill of materials, and the units that keep secrets."""
    for folder, units in ENABLED.items():
        there = card.list_root(f"/etc/systemd/system/{folder}")
        check(set(units) <= set(there), f"{folder} lacks {set(units) - set(there)}")
    for timer in ["apt-daily.timer", "apt-daily-upgrade.timer"]:
        check(card.read_root(f"/usr/lib/systemd/system/{timer}"), f"there is no {timer}")
    settings = card.read_root("/etc/apt/apt.conf.d/60comptoir").decode()
    check('APT::Periodic::Unattended-Upgrade "1"' in settings, "security updates are off")
    for secret in ["/etc/comptoir/secrets.env", "/etc/mosquitto/comptoir.passwords", "/etc/mosquitto/comptoir-tls",
                   "/etc/ssh/ssh_host_ed25519_key", "/etc/comptoir/set-up"]:
        check(card.read_root(secret) is None, f"every card would have the same {secret}")
    materials = json.loads(card.read_root("/usr/share/doc/comptoir-gateway/image.cdx.json"))
    listed = {(part["name"], part["version"]) for part in materials["components"]}
    status = card.read_root("/var/lib/dpkg/status").decode()
    packages = [dict(re.findall(r"^([A-Z][\w-]*): (.*)$", part, re.M)) for part in status.split("\n\n")]
    installed = {(package["Package"], package["Version"]) for package in packages
                 if package.get("Status", "").endswith(" ok installed")}
    check(installed and installed == listed, f"the bill of materials differs: {sorted(installed ^ listed)[:5]}")
    say("bill of materials:", len(listed), "packages")
