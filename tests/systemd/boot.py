"""The package on a booted machine: installed, checked, started, killed, stopped, taken away, removed.

boot.py ROOT DEB MODEL MINISTACK: ROOT is the machine's directory, everything else is put there. Each step says what held.
STEPS=installed,checked runs these alone.
"""
import os
import re
import shutil
import subprocess
import sys
import time
import urllib.error
import urllib.request

import queries
from cloud import BUS, REGION, TRANSCRIPTS, Cloud, Group, Metadata, free_port
from machine import UNIT, Machine, wait

ROOT, DEB, MODEL, MINISTACK = (os.path.abspath(path) for path in sys.argv[1:5])
LETTERS = "transcription-worker-dlq.service"
JFK = "tests/audio/jfk.flac"
LONG = f"{ROOT}.long.flac"
LONG_LOOPS = 40
BEGUN = time.monotonic()


def step(what):
    print(f"systemd: {time.monotonic() - BEGUN:5.1f} s  {what}", flush=True)


class Test:
    def __init__(self):
        self.cloud = Cloud(MINISTACK, f"{ROOT}.cloud.log")
        self.metadata, self.group = Metadata(), Group()
        self.machine = Machine(ROOT)
        self.http = f"127.0.0.1:{free_port()}"

    def off(self):
        self.machine.off()
        self.metadata.off()
        self.group.off()
        self.cloud.off()

    def settings(self, **more):
        """Writes worker.env; times are short, so that the test is."""
        settings = {
            "AWS_ENDPOINT_URL": self.cloud.url,
            "AWS_EC2_METADATA_SERVICE_ENDPOINT": self.metadata.url,
            "AWS_REGION": REGION,
            "TRANSCRIPTION_QUEUE_URL": self.cloud.jobs,
            "TRANSCRIPTION_OUTPUT_BUCKET": TRANSCRIPTS,
            "TRANSCRIPTION_EVENT_BUS": BUS,
            "TRANSCRIPTION_MODEL": "tiny.en",
            "TRANSCRIPTION_LANES": "1",
            "TRANSCRIPTION_HTTP": self.http,
            "TRANSCRIPTION_VISIBILITY_SECS": "30",
            "TRANSCRIPTION_POLL_SECS": "2",
            "TRANSCRIPTION_CHECKPOINT_SECS": "1",
            "TRANSCRIPTION_DRAIN_SECS": "30",
            "TRANSCRIPTION_DRAIN_MARGIN_SECS": "27",
            "TRANSCRIPTION_SPOT_POLL_SECS": "0.2",
            "TRANSCRIPTION_ENGINE_TIMEOUT_BASE_SECS": "15",
            "TRANSCRIPTION_ENGINE_TIMEOUT_FACTOR": "0",
            **more,
        }
        self.machine.write("/etc/transcription-worker/worker.env", "".join(f"{name}={value}\n" for name, value in settings.items()))

    def readiness(self):
        """The status of /readyz; None where nothing answers."""
        try:
            with urllib.request.urlopen(f"http://{self.http}/readyz", timeout=5) as answer:
                return answer.status
        except urllib.error.HTTPError as refused:
            return refused.code
        except OSError:
            return None

    def long_job(self, name):
        """Sends a job of minutes and waits until it has a checkpoint."""
        self.cloud.job(name, LONG)
        wait(f"a checkpoint of {name}", lambda: self.cloud.keys(f".checkpoint/{name}"))

    def resumed(self, name):
        """Waits until the job is done, from its checkpoint on."""
        assert self.cloud.event(name)["status"] == "completed"
        line = self.machine.says("job done", job_id=name)
        assert 0 < line["windows_inferred"] < line["windows"], line
        return f"{line['windows_inferred']} of {line['windows']} windows inferred again"

    # -- the steps, in order; each leaves the machine as the next expects it

    def installed(self):
        shutil.copy(DEB, f"{ROOT}/var/cache/worker.deb")
        self.machine.run("apt-get", "install", "--yes", "--no-install-recommends", "/var/cache/worker.deb")
        assert self.machine.run("id", "-un", "transcription-worker").stdout.strip() == "transcription-worker"
        assert os.path.exists(f"{ROOT}/etc/transcription-worker/worker.env")
        assert "transcription-worker" in self.machine.run("transcription-worker", "--version").stdout
        shutil.copy(MODEL, f"{ROOT}/var/lib/transcription-worker/models/")
        step(f"installed by apt: {self.machine.run('dpkg-query', '-W', 'transcription-worker').stdout.strip()}")

    def sound_and_confined(self):
        for unit in (UNIT, "transcription-worker-gpu.service", LETTERS, LETTERS.replace(".service", ".timer")):
            said = self.machine.run("systemd-analyze", "verify", f"/usr/lib/systemd/system/{unit}")
            assert not said.stdout + said.stderr, said
        exposures = []
        drop_ins = f"{ROOT}/etc/systemd/system/{UNIT}.d"
        for what in ("GPU", "CPU", "dead letters"):
            if what == "CPU":
                os.makedirs(drop_ins, exist_ok=True)
                shutil.copy(f"{ROOT}/usr/share/transcription-worker/cpu.conf", drop_ins)
                self.machine.run("systemctl", "daemon-reload")
            said = self.machine.run("systemd-analyze", "security", "--no-pager", LETTERS if what == "dead letters" else UNIT).stdout
            exposure = float(re.search(r"exposure level for \S+: ([0-9.]+)", said)[1])
            assert exposure < 2.0, said
            exposures.append(f"{exposure} {what}")
        version = self.machine.run("systemctl", "--version").stdout.split()[1]
        if int(version) >= 254:
            assert "RestartSteps=6" in self.machine.run("systemctl", "show", UNIT).stdout
        step(f"systemd {version}: verify is silent, exposure {', '.join(exposures)}")

    def wrong_queue(self):
        self.settings(TRANSCRIPTION_QUEUE_URL=f"{self.cloud.jobs}-that-is-not-there", TRANSCRIPTION_REFUSAL_SECS="1")
        checked = self.machine.run("transcription-worker-check", check=False)
        assert checked.returncode == 78 and "FAIL  queue" in checked.stdout, checked
        self.machine.run("systemctl", "start", UNIT, check=False)
        self.machine.wait_for("SubState", "failed")
        assert (self.machine.show("ExecMainStatus"), self.machine.show("NRestarts")) == ("78", "0")
        assert any("NonExistentQueue" in line for line in self.machine.errors()), self.machine.errors()
        self.machine.run("systemctl", "reset-failed", UNIT)
        step("a wrong queue: 78, not restarted, named by `journalctl -p err` and by transcription-worker-check")

    def checked(self):
        self.settings()
        checked = self.machine.run("transcription-worker-check", check=False)
        assert checked.returncode == 0 and "FAIL" not in checked.stdout, checked
        lines = {line.split()[1]: line for line in checked.stdout.splitlines()}
        wanted = {"settings", "processor", "gpu", "models", "model", "engine", "ffmpeg", "scratch", "region", "role", "clock", "instance",
                  "queue", "bus", "output", "kms"}
        assert wanted <= set(lines), set(lines)
        assert "i-0123456789abcdef0" in lines["instance"] and "as AWS's" in lines["clock"], lines
        step(f"transcription-worker-check is content, {len(lines)} lines")

    def started(self):
        errors = len(self.machine.errors())
        begun = time.monotonic()
        # returns when the unit is READY
        self.machine.run("systemctl", "enable", "--now", UNIT)
        took = time.monotonic() - begun
        assert self.machine.show("ActiveState") == "active"
        wait("readiness", lambda: self.readiness() == 200, 5)
        self.machine.wait_for("StatusText", "0 at work, 0 done, 0 failed", 5)
        self.cloud.job("short", JFK)
        assert self.cloud.event("short")["status"] == "completed"
        line = self.machine.says("job done", job_id="short")
        assert line["status"] == "completed" and line["audio_secs"] == 11.0, line
        assert len(self.cloud.keys("short/")) == 4, self.cloud.keys("short/")
        self.machine.wait_for("StatusText", "0 at work, 1 done, 0 failed", 5)
        assert len(self.machine.errors()) == errors, self.machine.errors()
        step(f"READY after {took:.1f} s; a job becomes an event and 4 renditions; STATUS tells it, the journal has no error")

    def broken_audio(self):
        path = f"{ROOT}.broken"
        with open(path, "w", encoding="ascii") as file:
            file.write("this is no audio")
        self.cloud.job("broken", path)
        event = self.cloud.event("broken")
        line = self.machine.says("failed for good", job_id="broken")
        assert (event["status"], line["code"]) == ("failed", event["error"]["code"]), (event, line)
        assert any("failed for good" in line for line in self.machine.errors())
        self.machine.wait_for("StatusText", "0 at work, 1 done, 1 failed", 5)
        step(f"broken audio: {line['code']} in the event, and by `journalctl -p err`")

    def dead_letters(self):
        assert self.cloud.depth(self.cloud.dead) == (1, 0)
        self.machine.run("systemctl", "start", LETTERS)
        # where no archive is set there is nothing to be done
        assert self.cloud.depth(self.cloud.dead) == (1, 0)
        self.settings(TRANSCRIPTION_DLQ_ARCHIVE=f"s3://{TRANSCRIPTS}/dead-letters/")
        self.machine.run("systemctl", "start", LETTERS)
        assert self.cloud.depth(self.cloud.dead) == (0, 0)
        kept = self.cloud.keys("dead-letters/failed-events/")
        assert len(kept) == 1, kept
        self.settings()
        self.machine.run("systemctl", "enable", "--now", LETTERS.replace(".service", ".timer"))
        step("the timer's unit keeps a dead letter in the archive, and does nothing where none is set")

    def engine_killed(self):
        engine = self.machine.engine()
        self.long_job("engine-killed")
        assert self.machine.show("StatusText").startswith("1 at work")
        self.machine.signal("KILL", engine)
        died = self.machine.says("engine died")
        assert self.cloud.event("engine-killed")["status"] == "completed"
        assert any("engine died" in line for line in self.machine.errors())
        assert (self.machine.show("NRestarts"), self.machine.engine() != engine) == ("0", True)
        step(f"kill -9 of the engine in mid-job: {died['message']!r}, the job completes, the daemon stays")

    def engine_frozen(self):
        self.long_job("engine-frozen")
        self.machine.signal("STOP", self.machine.engine())
        self.machine.says("not answered in time")
        assert self.cloud.event("engine-frozen")["status"] == "completed"
        assert self.machine.show("NRestarts") == "0"
        step("SIGSTOP of the engine: it is replaced, the job completes, the daemon stays")

    def daemon_killed(self):
        self.long_job("daemon-killed")
        self.machine.signal("KILL", self.machine.show("MainPID"))
        self.machine.wait_for("NRestarts", "1")
        self.machine.wait_for("ActiveState", "active")
        step(f"kill -9 of the daemon: restarted, and when its visibility ends the job goes on: {self.resumed('daemon-killed')}")

    def daemon_frozen(self):
        self.long_job("daemon-frozen")
        main = self.machine.show("MainPID")
        self.machine.signal("STOP", main)
        self.machine.wait_for("NRestarts", "2")
        self.machine.wait_for("ActiveState", "active")
        assert self.machine.show("MainPID") != main
        step(f"SIGSTOP of the daemon: the watchdog restarts it, the job goes on: {self.resumed('daemon-frozen')}")

    def stopped(self):
        self.long_job("stopped")
        begun = time.monotonic()
        self.machine.run("systemctl", "stop", UNIT)
        took = time.monotonic() - begun
        assert (self.machine.show("Result"), self.machine.show("ExecMainStatus")) == ("success", "0")
        assert self.cloud.depth(self.cloud.jobs) == (1, 0), self.cloud.depth(self.cloud.jobs)
        assert self.cloud.keys(".checkpoint/stopped")
        self.machine.run("systemctl", "start", UNIT)
        step(f"stop with a long job: ended after {took:.1f} s, message visible, checkpoint there; then {self.resumed('stopped')}")

    def spot_notice(self):
        self.long_job("spot")
        self.metadata.bodies["/latest/meta-data/spot/instance-action"] = self.notice()
        wait("the word `stopping`", lambda: self.machine.show("StatusText").startswith("stopping (") or self.machine.show("ActiveState") == "inactive")
        # in the drain, or gone already
        assert self.readiness() in (503, None)
        self.machine.wait_for("ActiveState", "inactive")
        del self.metadata.bodies["/latest/meta-data/spot/instance-action"]
        assert (self.machine.show("Result"), self.machine.show("NRestarts")) == ("success", "0")
        assert self.cloud.depth(self.cloud.jobs) == (1, 0)
        self.machine.run("systemctl", "start", UNIT)
        step(f"a spot notice: drained, status 0, not started again; the next one: {self.resumed('spot')}")

    @staticmethod
    def notice():
        # what EC2 gives is two minutes; the drain's margin is to come soon here
        at = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + 30))
        return f'{{"action": "terminate", "time": "{at}"}}'

    def scale_in(self):
        self.settings(**self.of_group(), TRANSCRIPTION_SCALE_IN_PROTECTION="on")
        self.machine.run("systemctl", "restart", UNIT)
        self.long_job("scale-in")
        wait("the protection of a busy instance", lambda: "SetInstanceProtection" in self.group.actions())
        state = "/latest/meta-data/autoscaling/target-lifecycle-state"
        self.metadata.bodies[state] = "Terminated"
        self.machine.wait_for("ActiveState", "inactive")
        self.metadata.bodies[state] = "InService"
        assert (self.machine.show("Result"), self.cloud.depth(self.cloud.jobs)) == ("success", (1, 0))
        last = self.group.asked[-1]
        assert (last["Action"], last["LifecycleHookName"], last["LifecycleActionResult"]) == ("CompleteLifecycleAction", "drain", "CONTINUE"), last
        assert last["InstanceId"] == "i-0123456789abcdef0", last
        self.settings()
        self.machine.run("systemctl", "start", UNIT)
        step(f"scale-in of a busy instance: drained, its hook completed, status 0; the next one: {self.resumed('scale-in')}")

    def of_group(self):
        return {
            "AWS_ENDPOINT_URL_AUTO_SCALING": self.group.url,
            "TRANSCRIPTION_SCALING_GROUP": "workers",
            "TRANSCRIPTION_LIFECYCLE_HOOK": "drain",
        }

    def idle(self):
        self.settings(**self.of_group(), TRANSCRIPTION_IDLE_MINUTES="0.05", TRANSCRIPTION_IDLE_TERMINATES="on")
        self.machine.run("systemctl", "restart", UNIT)
        self.machine.wait_for("ActiveState", "inactive")
        assert (self.machine.show("Result"), self.machine.show("NRestarts")) == ("success", "0")
        ended = [request for request in self.group.asked if request["Action"] == "TerminateInstanceInAutoScalingGroup"]
        assert ended and ended[0]["ShouldDecrementDesiredCapacity"] == "true", self.group.actions()
        self.settings()
        step("idle: its instance ended with one less wanted, status 0, not started again")

    def upgraded(self):
        self.machine.run("systemctl", "start", UNIT)
        before = self.machine.show("MainPID")
        self.long_job("upgraded")
        self.machine.run("apt-get", "install", "--yes", "--reinstall", "--no-install-recommends", "/var/cache/worker.deb")
        assert self.machine.show("ActiveState") == "active" and self.machine.show("MainPID") != before
        step(f"an upgrade in mid-job: drained, restarted, {self.resumed('upgraded')}")

    def queried(self):
        count = queries.check("docs/OPERATIONS.md", self.machine.log())
        step(f"{count} queries of docs/OPERATIONS.md ask for fields and messages that these lines have")

    def removed(self):
        self.machine.run("apt-get", "purge", "--yes", "transcription-worker")
        left = [path for path in ("usr/bin/transcription-worker", f"usr/lib/systemd/system/{UNIT}", "etc/transcription-worker",
                                  "var/cache/transcription-worker", f"etc/systemd/system/multi-user.target.wants/{UNIT}")
                if os.path.lexists(f"{ROOT}/{path}")]
        assert not left, left
        assert os.path.exists(f"{ROOT}/var/lib/transcription-worker/models/{os.path.basename(MODEL)}")
        for queue in (self.cloud.jobs, self.cloud.heard):
            assert self.cloud.depth(queue) == (0, 0), queue
        assert not self.cloud.keys(".checkpoint/") and not self.cloud.keys(".started/"), self.cloud.keys(".")
        step("purged: nothing is left but the model; no message, checkpoint or marker either")


def main():
    loops = ["-stream_loop", str(LONG_LOOPS - 1), "-i", JFK]
    subprocess.run(["ffmpeg", "-v", "error", "-y", *loops, "-c:a", "flac", "-compression_level", "0", LONG], check=True)
    test = Test()
    try:
        # what takes minutes by the unit takes seconds here
        test.machine.write(f"/etc/systemd/system/{UNIT}.d/test.conf", "[Service]\nWatchdogSec=15\nTimeoutAbortSec=5\nRestartSec=1\n")
        steps = [test.installed, test.sound_and_confined, test.wrong_queue, test.checked, test.started, test.broken_audio,
                 test.dead_letters, test.engine_killed, test.engine_frozen, test.daemon_killed, test.daemon_frozen, test.stopped, test.spot_notice, test.scale_in, test.idle,
                 test.upgraded, test.queried, test.removed]
        chosen = os.environ.get("STEPS", "").split(",")
        for each in steps:
            if chosen == [""] or each.__name__ in chosen:
                each()
    except BaseException:
        sys.stdout.flush()
        shown = test.machine.run("sh", "-c", f"systemctl status --no-pager {UNIT}; journalctl --no-pager -o short-precise -n 60", check=False)
        print(shown.stdout, file=sys.stderr)
        raise
    finally:
        test.off()


main()
