"""A machine with systemd, booted in a container that shares the loopback device: what an operator types there."""
import json
import os
import signal
import subprocess
import time

UNIT = "transcription-worker.service"
PATIENCE = float(os.environ.get("PATIENCE", "120"))


class Machine:
    def __init__(self, root):
        self.root, self.leader = root, None
        # nobody registers it: there need be no systemd around it. The words after the options are its kernel's command line:
        # newer ones want to be asked before they run on control groups of the first version
        command = ["systemd-nspawn", "--quiet", "--boot", "--directory", root, "--register=no", "--keep-unit", "--machine=worker",
                   "--console=pipe", "--resolv-conf=off", "--timezone=off", "systemd.unified_cgroup_hierarchy=0",
                   "SYSTEMD_CGROUP_ENABLE_LEGACY_FORCE=1"]
        self.console = open(f"{root}.console", "wb")  # pylint: disable=consider-using-with
        self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=self.console, stderr=self.console)
        wait("the machine's first process", self.find_leader)
        wait("the machine", lambda: self.run("systemctl", "is-system-running", check=False).stdout.strip() in ("running", "degraded"))

    def find_leader(self):
        assert self.process.poll() is None, open(f"{self.root}.console", errors="replace").read()
        with open(f"/proc/{self.process.pid}/task/{self.process.pid}/children", encoding="ascii") as children:
            self.leader = next(iter(children.read().split()), None)
        return self.leader

    def run(self, *command, check=True, seconds=PATIENCE):
        """Runs a command in the machine."""
        enter = ["nsenter", "--target", self.leader, "--mount", "--uts", "--ipc", "--pid", "--"]
        clean = ["env", "-i", "PATH=/usr/sbin:/usr/bin:/sbin:/bin", "DEBIAN_FRONTEND=noninteractive", "LC_ALL=C.UTF-8"]
        done = subprocess.run([*enter, *clean, *command], capture_output=True, text=True, timeout=seconds, check=False)
        assert done.returncode == 0 or not check, f"{command}: {done.returncode}\n{done.stdout}{done.stderr}"
        return done

    def write(self, path, text, mode=0o644):
        path = self.root + path
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
        os.chmod(path, mode)

    def show(self, name):
        """A property of the unit."""
        return self.run("systemctl", "show", UNIT, "--property", name, "--value").stdout.strip()

    def wait_for(self, name, value, seconds=PATIENCE):
        wait(f"{name}={value} (it is {self.show(name)})", lambda: self.show(name) == value, seconds)

    def engine(self):
        """The process id of the daemon's engine."""
        main = self.show("MainPID")
        # a child is listed with the thread that made it
        found = self.run("sh", "-c", f"cat /proc/{main}/task/*/children").stdout.split()
        return found[0] if found else None

    def signal(self, name, pid):
        self.run("sh", "-c", f"kill -{name} {pid}")

    def log(self, *options):
        """The worker's own lines, oldest first, as records; what is no record has only a message."""
        lines = self.run("journalctl", "--output", "cat", "--no-pager", *options, f"_SYSTEMD_UNIT={UNIT}").stdout.splitlines()
        return [json.loads(line) if line.startswith("{") else {"message": line} for line in lines]

    def says(self, text, seconds=PATIENCE, **fields):
        """Waits for a line with this text and these fields, and returns the last."""
        found = []

        def look():
            lines = (line for line in self.log() if text in line["message"])
            found[:] = [line for line in lines if all(line.get(name) == value for name, value in fields.items())]
            return found

        wait(f"the line {text!r} {fields or ''}", look, seconds)
        return found[-1]

    def errors(self):
        """What `journalctl -p err` finds."""
        return [line["message"] for line in self.log("--priority", "err")]

    def off(self):
        if self.process.poll() is None:
            # a container's shutdown
            os.kill(int(self.leader), signal.SIGRTMIN + 4)
            try:
                self.process.wait(30)
            except subprocess.TimeoutExpired:
                self.process.kill()
        self.console.close()


def wait(what, is_so, seconds=PATIENCE):
    """Looks until it is so."""
    until = time.monotonic() + seconds
    while not (answer := is_so()):
        assert time.monotonic() < until, f"waited {seconds} s in vain for {what}"
        time.sleep(0.2)
    return answer
