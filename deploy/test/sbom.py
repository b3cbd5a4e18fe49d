#!/usr/bin/env python3
"""Tests deploy/sbom.py: on this workspace, and on a small root with Debian packages.

Needs cargo and the crates of Cargo.lock.
"""

import json
import os
import pathlib
import re
import subprocess
import sys
import tempfile
import tomllib

TOP = pathlib.Path(__file__).resolve().parent.parent.parent
TRIPLE = "aarch64-unknown-linux-gnu"
# C libraries that are compiled into the binaries: most vulnerabilities are found in these.
C_LIBRARIES = {"librdkafka", "openssl", "sqlite", "zlib", "zstd"}

STATUS = """Package: libc6
Status: install ok installed
Architecture: arm64
Version: 2.41-1

Package: raspi-firmware
Status: hold ok installed
Architecture: arm64
Version: 1:1.2026+ds-1

Package: gone
Status: deinstall ok config-files
Architecture: arm64
Version: 1

Package: comptoir-gateway
Status: install ok installed
Architecture: arm64
Version: 0.1.0-1
"""


def run(*arguments, epoch=None):
    environment = {**os.environ, **({"SOURCE_DATE_EPOCH": epoch} if epoch else {})}
    return subprocess.run([TOP / "deploy/sbom.py", *arguments], check=True, capture_output=True, env=environment).stdout


def check(right, message):
    if not right:
        sys.exit(f"sbom: {message}")


def check_document(materials):
    check((materials["bomFormat"], materials["specVersion"]) == ("CycloneDX", "1.6"), "not CycloneDX 1.6")
    check(re.fullmatch(r"urn:uuid:[0-9a-f-]{36}", materials["serialNumber"]), materials["serialNumber"])
    references = [part["bom-ref"] for part in materials["components"]]
    check(len(references) == len(set(references)), "a component is listed twice")
    known = {*references, materials["metadata"]["component"]["bom-ref"]}
    check({entry["ref"] for entry in materials["dependencies"]} == known, "not every component has its dependencies")
    for entry in materials["dependencies"]:
        check(set(entry["dependsOn"]) <= known, f"{entry['ref']} depends on something that is not listed")


def package():
    text = run("package", TRIPLE, epoch="86400")
    check(text == run("package", TRIPLE, epoch="86400"), "the same input gives different bytes")
    materials = json.loads(text)
    check_document(materials)
    check(materials["metadata"]["timestamp"] == "1970-01-02T00:00:00Z", materials["metadata"])
    names = {part["name"] for part in materials["components"]}
    check(C_LIBRARIES <= names, f"lacks {C_LIBRARIES - names}")
    check({"tokio", "rdkafka", "rustls", "svelte", "chart.js", "comptoir-journal"} <= names, "lacks a direct dependency")
    # For tests and procedural macros only.
    check(not {"proptest", "syn", "comptoir-harness", "vitest"} & names, "lists what is not in the binaries")
    lock = tomllib.loads((TOP / "Cargo.lock").read_text())["package"]
    checksums = {(entry["name"], entry["version"]): entry.get("checksum") for entry in lock}
    for part in materials["components"]:
        if part["purl"].startswith("pkg:cargo/") and checksums[part["name"], part["version"]]:
            check(part["hashes"][0]["content"] == checksums[part["name"], part["version"]], f"{part['name']}: its hash")
            check(part["licenses"], f"{part['name']}: no licence")
    print(f"sbom: {len(materials['components'])} components of the package")


def image():
    with tempfile.TemporaryDirectory() as root:
        for name, text in [("etc/os-release", 'ID=debian\nVERSION_ID="13"\n'), ("var/lib/dpkg/status", STATUS)]:
            file = pathlib.Path(root, name)
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text)
        materials = json.loads(run("image", root))
    check_document(materials)
    check([part["purl"] for part in materials["components"]] == [
        "pkg:deb/debian/comptoir-gateway@0.1.0-1?arch=arm64&distro=debian-13",
        "pkg:deb/debian/libc6@2.41-1?arch=arm64&distro=debian-13",
        "pkg:deb/debian/raspi-firmware@1%3A1.2026%2Bds-1?arch=arm64&distro=debian-13"], materials["components"])


package()
image()
