"""Paths, messages, ports and deadlines, for all parts of the test."""

import os
import pathlib
import socket
import subprocess
import time

TOP = pathlib.Path(__file__).resolve().parents[3]
CACHE = pathlib.Path(
    os.environ.get("COMPTOIR_CACHE")
    or pathlib.Path(os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache") / "comptoir"
)
BEGAN = time.monotonic()


class Failed(Exception):
    pass


def say(*words):
    print(f"[{time.monotonic() - BEGAN:6.1f} s]", *words, flush=True)


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def within(what, seconds, attempt):
    """Repeats the attempt until it returns a true value. The error contains the last exception."""
    end, last = time.monotonic() + seconds, None
    while time.monotonic() < end:
        try:
            result = attempt()
            if result:
                return result
        except (OSError, ValueError, KeyError, subprocess.SubprocessError) as error:
            last = error
        time.sleep(0.2)
    raise Failed(f"{what}: not within {seconds} s (last error: {last})")
