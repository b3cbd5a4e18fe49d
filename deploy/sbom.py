#!/usr/bin/env python3
"""Writes a software bill of materials (CycloneDX 1.6, JSON) to standard output.

    deploy/sbom.py package TRIPLE      of the gateway and pos-sim: Rust crates, the C libraries in them, the pages' packages
    deploy/sbom.py image ROOT          of the Raspberry Pi image: the Debian packages installed in that root

The same input gives the same bytes. SOURCE_DATE_EPOCH, in seconds, sets the timestamp; without it there is none.
`package` needs cargo, and the crates of Cargo.lock in Cargo's cache.
"""

import base64
import datetime
import hashlib
import json
import os
import pathlib
import re
import subprocess
import sys
import tomllib
import urllib.parse
import uuid

TOP = pathlib.Path(__file__).resolve().parent.parent
BINARIES = ["comptoir-gateway", "comptoir-sim"]
# A development dependency whose runtime is compiled into the pages.
COMPILED_IN = ["svelte"]


def purl(kind, name, version, **qualifiers):
    query = "&".join(f"{key}={urllib.parse.quote(value, safe='')}" for key, value in sorted(qualifiers.items()))
    name = "/".join(urllib.parse.quote(part, safe="") for part in name.split("/"))
    return f"pkg:{kind}/{name}@{urllib.parse.quote(version, safe='')}" + (f"?{query}" if query else "")


def component(kind, name, version, reference, licence=None, hashes=()):
    found = {"type": kind, "bom-ref": reference, "name": name, "version": version, "purl": reference}
    if hashes:
        found["hashes"] = [{"alg": algorithm, "content": content} for algorithm, content in hashes]
    if licence:
        # Older crates separate alternatives by a slash.
        found["licenses"] = [{"expression": re.sub(r"\s*/\s*", " OR ", licence)}]
    return found


# ---- the package ----

def cargo_metadata(triple):
    command = ["cargo", "metadata", "--locked", "--format-version", "1", "--filter-platform", triple]
    return json.loads(subprocess.run(command, cwd=TOP, check=True, capture_output=True, text=True).stdout)


def c_libraries(package):
    """Name and version of the C library whose source is in a crate."""
    name, version = package["name"], package["version"]
    source = pathlib.Path(package["manifest_path"]).parent
    if name in ("openssl-src", "rdkafka-sys"):
        return [("openssl" if name == "openssl-src" else "librdkafka", version.split("+")[1])]
    if name == "zstd-sys":
        return [("zstd", re.search(r"zstd\.([0-9.]+)", version).group(1))]
    if name == "libsqlite3-sys":
        header = (source / "sqlite3/sqlite3.h").read_text()
        return [("sqlite", re.search(r'^#define SQLITE_VERSION +"([0-9.]+)"', header, re.M).group(1))]
    if name == "libz-sys":
        header = (source / "src/zlib/zlib.h").read_text()
        return [("zlib", re.search(r'^#define ZLIB_VERSION "([0-9.]+)"', header, re.M).group(1))]
    return []


def crates(triple):
    """Components and dependencies of everything that is linked into the binaries."""
    metadata = cargo_metadata(triple)
    packages = {package["id"]: package for package in metadata["packages"]}
    nodes = {node["id"]: node for node in metadata["resolve"]["nodes"]}
    lock = tomllib.loads((TOP / "Cargo.lock").read_text())
    checksums = {(entry["name"], entry["version"]): entry.get("checksum") for entry in lock["package"]}

    def is_procedural_macro(package):
        return any("proc-macro" in target["kind"] for target in package["targets"])

    def linked(node):
        for dependency in node["deps"]:
            is_normal = any(kind["kind"] is None for kind in dependency["dep_kinds"])
            package = packages[dependency["pkg"]]
            # A build dependency that contains the source of a C library is linked, too.
            if (is_normal or c_libraries(package)) and not is_procedural_macro(package):
                yield dependency["pkg"]

    components, dependencies = {}, {}
    waiting = [package["id"] for package in metadata["packages"] if package["name"] in BINARIES]
    assert len(waiting) == len(BINARIES), f"the workspace lacks one of {BINARIES}"

    def reference(identity):
        package = packages[identity]
        return purl("cargo", package["name"], package["version"])
    roots = [reference(identity) for identity in waiting]
    while waiting:
        identity = waiting.pop()
        name = reference(identity)
        if name in components:
            continue
        package = packages[identity]
        checksum = checksums.get((package["name"], package["version"]))
        hashes = [("SHA-256", checksum)] if checksum else []
        components[name] = component("library", package["name"], package["version"], name, package["license"], hashes)
        needed = list(linked(nodes[identity]))
        waiting += needed
        uses = {reference(other) for other in needed}
        for library, version in c_libraries(package):
            contained = purl("generic", library, version)
            components[contained] = component("library", library, version, contained)
            dependencies.setdefault(contained, set())
            uses.add(contained)
        dependencies[name] = uses
    return roots, components, dependencies


def pages():
    """The npm packages in the pages."""
    lock = json.loads((TOP / "web/package-lock.json").read_text())["packages"]
    components = {}
    for path, entry in lock.items():
        name = path.rpartition("node_modules/")[2]
        if not path or (entry.get("dev") or entry.get("devOptional")) and name not in COMPILED_IN:
            continue
        reference = purl("npm", name, entry["version"])
        algorithm, _, digest = entry["integrity"].partition("-")
        hashes = [(algorithm.upper().replace("SHA", "SHA-"), base64.b64decode(digest).hex())]
        components[reference] = component("library", name, entry["version"], reference, entry.get("license"), hashes)
    return components


def of_package(triple):
    roots, components, dependencies = crates(triple)
    in_pages = pages()
    gateway = next(root for root in roots if "comptoir-gateway" in root)
    dependencies[gateway] |= set(in_pages)
    components.update(in_pages)
    version = components[gateway]["version"]
    about = component("application", "comptoir-gateway", version, purl("generic", "comptoir", version), "MIT OR Apache-2.0")
    dependencies[about["bom-ref"]] = set(roots)
    return about, components, dependencies


# ---- the image ----

def of_image(root):
    root = pathlib.Path(root)
    release = dict(re.findall(r'^(\w+)="?([^"\n]*)"?$', (root / "etc/os-release").read_text(), re.M))
    components, version = {}, None
    for paragraph in (root / "var/lib/dpkg/status").read_text().split("\n\n"):
        fields = dict(re.findall(r"^([A-Za-z-]+): (.*)$", paragraph, re.M))
        if not fields.get("Status", "").endswith(" installed"):
            continue
        name, installed = fields["Package"], fields["Version"]
        if name == "comptoir-gateway":
            version = installed
        reference = purl("deb", f"debian/{name}", installed, arch=fields["Architecture"], distro=f"debian-{release['VERSION_ID']}")
        components[reference] = component("library", name, installed, reference)
    assert version, "comptoir-gateway is not installed in that root"
    about = component("operating-system", "comptoir-image", version, purl("generic", "comptoir-image", version))
    return about, components, {about["bom-ref"]: set(components)}


# ---- the document ----

def document(about, components, dependencies):
    metadata = {"component": about}
    if epoch := os.environ.get("SOURCE_DATE_EPOCH"):
        metadata["timestamp"] = datetime.datetime.fromtimestamp(int(epoch), datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    found = {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": metadata,
        "components": [components[name] for name in sorted(components)],
        "dependencies": [{"ref": name, "dependsOn": sorted(dependencies.get(name, ()))}
                         for name in sorted({about["bom-ref"], *components})],
    }
    digest = hashlib.sha256(json.dumps(found, sort_keys=True).encode()).digest()
    return {**found, "serialNumber": f"urn:uuid:{uuid.UUID(bytes=digest[:16], version=5)}"}


def main():
    match sys.argv[1:]:
        case ["package", triple]:
            parts = of_package(triple)
        case ["image", root]:
            parts = of_image(root)
        case _:
            is_help = sys.argv[1:] in (["--help"], ["-h"])
            print(__doc__.strip(), file=sys.stdout if is_help else sys.stderr)
            sys.exit(0 if is_help else 2)
    json.dump(document(*parts), sys.stdout, indent=1, sort_keys=True)
    print()


main()
