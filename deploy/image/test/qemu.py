"""A QEMU process, its console and its QMP socket."""

import json
import os
import re
import signal
import socket
import subprocess

from common import Failed, within


class Machine:
    """One run of a machine. `cut` is a power cut: with cache=writethrough, the disk of a killed QEMU contains exactly
    what the guest has written."""

    def __init__(self, work, name, arguments):
        self.console, self.socket = work / f"console-{name}.log", work / f"qmp-{name}"
        command = ["qemu-system-aarch64", "-display", "none", "-monitor", "none", "-no-reboot",
                   "-qmp", f"unix:{self.socket},server,nowait", *arguments(self.console)]
        self.process = subprocess.Popen([str(word) for word in command], stdin=subprocess.DEVNULL)

    def text(self):
        return self.console.read_text(errors="replace") if self.console.exists() else ""

    def says(self, what, pattern, seconds):
        """Waits for a line on the console."""
        def attempt():
            found = re.search(pattern, self.text())
            if not found:
                self.check_runs()
            return found
        return within(what, seconds, attempt)

    def check_runs(self):
        if self.process.poll() is not None:
            raise Failed(f"QEMU has ended: {self.process.returncode}: {self.text()[-2000:]}")

    def qmp(self, *commands):
        """The answer to the last command."""
        with socket.socket(socket.AF_UNIX) as connection:
            connection.connect(str(self.socket))
            stream = connection.makefile("rw")
            stream.readline()
            for command in ["qmp_capabilities", *commands]:
                stream.write(json.dumps({"execute": command}) + "\n")
                stream.flush()
                answer = json.loads(stream.readline())
                while "return" not in answer:
                    if "error" in answer:
                        raise OSError(f"QEMU refuses {command}: {answer}")
                    answer = json.loads(stream.readline())
        return answer["return"]

    def cut(self):
        os.kill(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def end(self):
        if self.process.poll() is None:
            self.cut()
