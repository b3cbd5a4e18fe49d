#!/usr/bin/env python3
"""Verifies an archive of `gateway archive`, independently of the gateway.

    python3 verify_archive.py FILE [KEY]

KEY is the shop's public key, from the Kafka topics `closings` or `gateways`. Needs Python 3.9 and the package `cryptography`.
Exit code 0: nothing was changed, removed or inserted. 1: something was, or the file cannot be read. The format is in docs/interfaces/archive.md.
"""

import base64
import hashlib
import json
import re
import sys
import tarfile

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

MEMBERS = ["README.txt", "archive.json", "closings.jsonl", "entries.jsonl", "entries.csv", "signature"]
CLOSING = r'(.*),"hash":"([0-9a-f]{64})"(?:,"signature":"([0-9a-f]{128})")?}'


class Changed(Exception):
    """The archive is not as the gateway made it."""


def require(condition, message):
    if not condition:
        raise Changed(message)


def field(value):
    """A field of a hash or a signature: its length and its bytes."""
    if value is None:
        return b"\xff\xff\xff\xff"
    value = value if isinstance(value, bytes) else str(value).encode()
    return len(value).to_bytes(4, "big") + value


def sha256(*fields):
    return hashlib.sha256(b"".join(map(field, fields))).digest()


def verify_signature(key, label, digest, signature, message):
    try:
        Ed25519PublicKey.from_public_bytes(bytes.fromhex(key)).verify(signature, field(label) + field(digest))
    except (InvalidSignature, ValueError) as error:
        raise Changed(message) from error


def verify_file(path, key):
    """The signature covers every byte before it; zeros fill the rest."""
    with open(path, "rb") as file:
        content = file.read()
    signed, end = content[: -1536], content[-1536 :]
    require(len(content) % 512 == 0 and not any(end[64:]), "the end of the file was changed")
    message = "the signature does not fit: the file was changed after it was signed"
    verify_signature(key, "comptoir archive v1", hashlib.sha256(signed).digest(), end[:64], message)


def verify_closings(lines):
    """The closings follow each other and are signed. Returns the hashes that they give for entries, and the keys."""
    heads, previous, keys = {}, None, []
    for line in lines:
        require(match := re.fullmatch(CLOSING, line), "a closing cannot be read")
        closing, (hashed, digest, signature) = json.loads(line), match.groups()
        name = f"closing {closing['number']}"
        require(hashlib.sha256((hashed + "}").encode()).hexdigest() == digest, f"{name} was changed")
        if previous:
            follows = (closing["previous"], closing["number"]) == (previous["hash"], previous["number"] + 1)
            require(follows, f"{name} does not follow the one before")
        if signature:
            digests = bytes.fromhex(digest), bytes.fromhex(signature)
            verify_signature(closing["key"], "comptoir closing v1", *digests, f"the signature of {name} does not fit")
            keys.append(closing["key"])
        require(signature or not (keys or "key" in closing), f"{name} is not signed")
        if closing.get("chain"):
            heads[closing["upto"]] = closing["chain"]
        previous = closing
    return heads, keys


def verify_entries(lines, manifest, heads, closings):
    """Each entry's hash covers its fields, its content, and the hash of the entry before it."""
    head, chained, erased, closings = manifest["previous"], 0, 0, set(closings)
    first = json.loads(lines[0])["offset"] if lines else 0
    for line in lines:
        entry = json.loads(line)
        name = f"entry {entry['offset']!r}"
        is_counted = heads.pop(entry["offset"], entry.get("hash")) == entry.get("hash")
        require(is_counted, f"{name} is not the one that a closing counted")
        require(entry["kind"] != "closing" or entry["value"] in closings, f"{name} is a closing that is not in the list")
        closings.discard(entry.get("value"))
        if "hash" not in entry:
            require(chained == 0 and entry["offset"] <= head["offset"], f"{name} has no hash")
            continue
        is_whole = entry["offset"] > head["offset"] and ("salt" in entry) != ("content" in entry)
        require(is_whole, f"{name} is out of order, or has no salt")
        if "salt" in entry:
            value = entry["value"] if "value" in entry else base64.b64decode(entry["value_base64"], validate=True)
            content = sha256("comptoir journal content v1", bytes.fromhex(entry["salt"]), value, entry.get("reason"))
        else:
            require(entry["kind"] in ("order", "delivery", "dead-letter"), f"{name} has no salt")
            content, erased = bytes.fromhex(entry["content"]), erased + 1
        fields = [entry[key] for key in ("offset", "kind", "name", "time", "key")]
        digest = sha256("comptoir journal entry v1", bytes.fromhex(head["hash"]), *fields, content).hex()
        require(digest == entry["hash"], f"{name} does not fit: it was changed, or entries before it were")
        head, chained = {"offset": entry["offset"], "hash": digest}, chained + 1
    require(head == manifest["head"] and len(lines) == manifest["entries"], "entries are missing at the end")
    require(erased == manifest["erased"] and len(lines) - chained == manifest["unchained"], "archive.json does not fit")
    require(not closings and max(heads, default=0) < first, "an entry that a closing names is missing")
    return chained, erased


def verify(path, expected):
    with tarfile.open(path, "r:") as archive:
        require(archive.getnames() == MEMBERS, "it does not have the members of an archive")
        text = {name: archive.extractfile(name).read().decode() for name in MEMBERS[:-1]}
    manifest = json.loads(text["archive.json"])
    require(manifest["format"] == "comptoir-archive" and manifest["version"] == 1, "the format is unknown")
    # Not splitlines(): a text may have line separators that JSON does not escape.
    closings, entries = (text[name].split("\n") for name in ("closings.jsonl", "entries.jsonl"))
    require(closings.pop() == "" and entries.pop() == "", "the last line does not end")
    heads, keys = verify_closings(closings)
    require(len(closings) == manifest["closings"], "closings are missing")
    chained, erased = verify_entries(entries, manifest, heads, closings)
    verify_file(path, manifest["key"])
    for key in {*keys, manifest["key"]}:
        require(expected in (None, key), f"it is signed by another key, {key!r}")
    print(f"{chained} entries and {len(closings)} closings fit, {len(entries) - chained} entries are older than the chain")
    print(f"personal data was erased from {erased} entries; signed by the key {manifest['key']}")


def main(arguments):
    if len(arguments) not in (2, 3):
        print(__doc__)
        return 2
    try:
        verify(arguments[1], arguments[2] if len(arguments) == 3 else None)
        return 0
    # A changed byte can make any part of the file unreadable.
    except (Changed, OSError, ValueError, LookupError, TypeError, AttributeError, RecursionError, tarfile.TarError) as problem:
        print(f"{arguments[1]}: {problem!s:.500}".encode("unicode_escape").decode(), file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv))
