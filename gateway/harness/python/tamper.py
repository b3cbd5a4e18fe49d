"""Flips bits of an archive, and expects the independent verifier to find each one.

    python tamper.py VERIFIER ARCHIVE FLIPS

Prints the number of flips that were found.
"""

import importlib.util
import io
import contextlib
import pathlib
import random
import sys
import tempfile

verifier, archive, flips = sys.argv[1], pathlib.Path(sys.argv[2]), int(sys.argv[3])
spec = importlib.util.spec_from_file_location("verify_archive", verifier)
verify_archive = importlib.util.module_from_spec(spec)
spec.loader.exec_module(verify_archive)

content = archive.read_bytes()
found = 0
with tempfile.NamedTemporaryFile() as changed:
    # Every part of the file, and another bit each time.
    for flip in range(flips):
        at = (flip * len(content)) // flips
        bit = random.randrange(8)
        copy = bytearray(content)
        copy[at] ^= 1 << bit
        pathlib.Path(changed.name).write_bytes(copy)
        output = io.StringIO()
        with contextlib.redirect_stdout(output), contextlib.redirect_stderr(output):
            code = verify_archive.main([verifier, changed.name])
        if code == 0:
            sys.exit(f"byte {at}, bit {bit} was changed, and the verifier did not find it")
        found += 1
print(found)
