"""Tests a Raspberry Pi image, as far as that is possible without a Raspberry Pi.

    deploy/image/test [--only PART,PART] [--package FILE.deb] [--image FILE.img] [--pos-sim FILE] [--seconds N] [--keep]

Parts, in this order:

    contents  the boot partition and the root contain what the Pi's firmware and Debian require
    drivers   each supported board has a driver for every device on the path to card, USB and network
    boards    the image's kernel, device tree, command line and card start on QEMU's Raspberry Pi 3 and 4
    shop      on QEMU's "virt", which has a network: a first start with power cuts, sales through a Kafka on this machine,
              a power cut, an update and a downgrade of the package, a kernel upgrade, settings with errors

The disk is a copy of the image, extended to the size of a card. QEMU cannot emulate the Pi's boot firmware and network.
"""

import argparse
import os
import pathlib
import shutil
import signal
import sys
import tempfile

import boards
import contents
import drivers
import first_start
import kernel_upgrade
import shop
import updates
from card import Card
from common import TOP, Failed, say
from kafka import Kafka
from pi import Pi
from selling import SELLING

PARTS = ["contents", "drivers", "boards", "shop"]
TOOLS = ["qemu-system-aarch64", "mcopy", "mdir", "mtype", "sfdisk", "debugfs", "fdtoverlay", "fdtput", "xz"]
SHOP_TOOLS = ["kcat", "ssh", "scp", "ssh-keygen", "java", "dpkg-deb", "mke2fs"]


def test_shop(options, work):
    pi = Pi(boards.copy_card(options.image, work / "card.img", first_start.CARD_BYTES), work)
    kafka = Kafka(work)
    try:
        good = shop.good_settings(pi, kafka)
        pi.settings(good)
        first_start.test(pi, work)
        shop.is_set_up(pi)
        say("selling")
        ledger = shop.sells(pi, kafka, options, work)
        say("updating while tills sell, and downgrading")
        updates.update(pi, kafka, options, work, ledger)
        updates.backoff(pi)
        say("upgrading the kernel")
        kernel_upgrade.test(pi, work)
        say("bad settings")
        shop.refuses_bad_settings(pi, good)
    finally:
        for process in SELLING:
            if process.poll() is None:
                process.kill()
        if pi.machine:
            pi.machine.end()
        kafka.stop()


def test(options, work):
    card = Card(options.image)
    if "contents" in options.only:
        contents.test(card)
    if "drivers" in options.only:
        drivers.test(card)
    if "boards" in options.only:
        boards.test(options.image, work)
    if "shop" in options.only:
        test_shop(options, work)
    say("passed:", *options.only)


def main():
    parser = argparse.ArgumentParser(prog="deploy/image/test", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    folder = pathlib.Path(os.environ.get("COMPTOIR_IMAGE_FOLDER") or TOP / "target/image")
    target = pathlib.Path(os.environ.get("CARGO_TARGET_DIR") or TOP / "target")
    sims = [target / profile / "pos-sim" for profile in ("dist", "release", "debug")]
    parser.add_argument("--only", type=lambda text: text.split(","), default=PARTS, help="default: all parts")
    parser.add_argument("--package", type=pathlib.Path, help="the package in the image, for the part shop")
    parser.add_argument("--image", type=pathlib.Path, default=folder / "comptoir-arm64.img")
    parser.add_argument("--pos-sim", type=pathlib.Path, default=next((sim for sim in sims if sim.exists()), sims[1]))
    parser.add_argument("--seconds", type=int, default=40, help="duration of each measurement")
    parser.add_argument("--keep", action="store_true", help="keep the folder with the card, the consoles and the ledgers")
    options = parser.parse_args()
    if not set(options.only) <= set(PARTS):
        sys.exit(f"--only accepts {', '.join(PARTS)}, separated by commas")
    if "shop" in options.only and not options.package:
        sys.exit("the part shop needs --package FILE.deb; to omit it: --only contents,drivers,boards")
    for file in [options.image, *([options.pos_sim, options.package] if "shop" in options.only else [])]:
        if not file.exists():
            sys.exit(f"{file} is missing; run make image and cargo build --release")
    # sfdisk, debugfs and mke2fs are on root's PATH only.
    os.environ["PATH"] += ":/usr/sbin:/sbin"
    for tool in TOOLS + (SHOP_TOOLS if "shop" in options.only else []):
        if not shutil.which(tool):
            sys.exit(f"{tool} is missing; run deploy/install-dependencies.sh image, and the same with test")
    # SIGTERM must not leave QEMU and Kafka behind.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    work = pathlib.Path(tempfile.mkdtemp(prefix="comptoir-image-"))
    try:
        test(options, work)
    except Failed as failed:
        options.keep = True
        for console in sorted(work.glob("console-*.log"), key=os.path.getmtime)[-1:]:
            print(console.read_text(errors="replace")[-3000:], file=sys.stderr)
        sys.exit(f"FAILED: {failed}\nkept: {work}")
    finally:
        if not options.keep:
            shutil.rmtree(work, ignore_errors=True)


if __name__ == "__main__":
    main()
