#!/usr/bin/env python3
"""What a GPU does with the worker: one command, without a network, in nine minutes, from what `make bench-gpu-carry` packed.

  bench.py [--out DIR] [--secs 520] [--device cuda|cpu] [--shapes large-v3-turbo,large-v3,base] [--batches 1,2,4,8,16,32]

In the order of what matters most: whether the worker finds everything (`check`), whether GPU and processor hear the same,
how fast long files are transcribed, how fast each shape decodes by windows at a time, with half-float and eight-bit
decoder weights, with CUDA graphs and without. tiny.en was carried in five bits a weight, or four, and is unpacked here; the other shapes get
weights that mean nothing. Each result is written as soon as it is there, to bench-gpu.json and bench-gpu.md: what the time
did not suffice for is named. `--device cpu` tries the whole of it where there is no GPU.
"""
import argparse, json, lzma, os, platform, shutil, stat, subprocess, sys, tempfile, threading, time
from pathlib import Path

import bound
import table

HERE = Path(__file__).resolve().parent
# so many copies of the long file are transcribed: an hour
COPIES = 6


class Late(Exception):
    """No time is left."""


class Bench:
    def __init__(self, args, work):
        self.args, self.work = args, work
        self.deadline = time.monotonic() + args.secs
        self.worker = work / "transcription-worker"
        self.out = {"device": args.device, "steps": {}, "left_out": []}

    def save(self):
        self.args.out.mkdir(parents=True, exist_ok=True)
        (self.args.out / "bench-gpu.json").write_text(json.dumps(self.out, indent=1))
        (self.args.out / "bench-gpu.md").write_text(table.page(self.out))

    def step(self, name, do):
        """Does one step within the time that is left; what goes wrong is a result too."""
        started = time.monotonic()
        if started > self.deadline:
            self.out["left_out"].append(name)
            return self.save()
        usage = Usage() if self.args.device == "cuda" else None
        try:
            result = do()
        except Late:
            self.out["left_out"].append(name)
            result = None
        except (RuntimeError, OSError, ValueError, KeyError) as error:
            result = {"error": str(error)}
        if result is not None:
            result["took_secs"] = round(time.monotonic() - started, 1)
            if usage:
                result["gpu"] = usage.end()
            self.out["steps"][name] = result
            print(f"{name}: {table.line(result)}", flush=True)
        return self.save()

    def run(self, program, *words, **environment):
        """What a program prints on stdout."""
        left = self.deadline - time.monotonic()
        command = [str(program), *map(str, words)]
        try:
            done = subprocess.run(command, env=dict(os.environ, RUST_LOG="warn", **environment), timeout=max(left, 1),
                                  stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        except subprocess.TimeoutExpired:
            raise Late from None
        if done.returncode:
            raise RuntimeError(f"{' '.join(command)}: status {done.returncode}: {done.stderr.strip()[-600:]}")
        return done.stdout

    # --- the steps

    def unpack(self):
        """The programs, and tiny.en as half floats."""
        for packed in HERE.glob("*.xz"):
            path = self.work / packed.stem
            with lzma.open(packed) as source, path.open("wb") as target:
                shutil.copyfileobj(source, target, 1 << 20)
            path.chmod(path.stat().st_mode | stat.S_IXUSR)
        model = self.work / "ggml-tiny.en.bin"
        self.run(self.work / "repack_model", self.work / "tiny.en.packed", "f16", model)
        for copy in range(COPIES):
            (self.work / f"long-{copy}.opus").symlink_to(HERE / "long.opus")
        return {"bytes": sum(path.stat().st_size for path in self.work.iterdir())}

    def check(self):
        folder = self.work / "folder"
        (folder / "inbox").mkdir(parents=True, exist_ok=True)
        return {"says": self.run(self.worker, "check", "--folder", folder, *self.on(self.args.device)).splitlines()}

    def equality(self):
        """Texts of the clips, by the GPU and by the processor."""
        clips = sorted((HERE / "clips").iterdir())
        texts = {}
        for device in dict.fromkeys([self.args.device, "cpu"]):
            out = self.work / f"texts-{device}"
            self.run(self.worker, "transcribe", *clips, "--output-dir", out, "--formats", "json", *self.on(device))
            texts[device] = {path.name: json.loads(path.read_text())["text"] for path in sorted(out.glob("*.json"))}
        ours, theirs = texts[self.args.device], texts["cpu"]
        differ = [{"clip": clip, self.args.device: ours.get(clip), "cpu": text}
                  for clip, text in theirs.items() if ours.get(clip) != text]
        return {"clips": len(theirs), "equal": len(theirs) - len(differ), "differ": differ}

    def long_files(self, *words):
        printed = self.run(self.worker, "bench", *sorted(self.work.glob("long-*.opus")), "--json", "--jobs", COPIES,
                           *self.on(self.args.device), *words)
        return json.loads(printed)["runs"][0]

    def random(self, shape):
        path = self.work / f"ggml-{shape}.bin"
        self.run(self.work / "random_model", shape, path)
        return {"bytes": path.stat().st_size}

    def sweep(self, shape, weights, **environment):
        path = self.work / f"ggml-{shape}.bin"
        printed = self.run(self.worker, "bench", "--batch", self.args.batches, "--json", "--weights", weights,
                           *self.on(self.args.device, path), **environment)
        pace = json.loads(printed)["decoding"]
        return {**pace, **bound.shares(path, weights, pace, self.out.get("card", ""))}

    def on(self, device, model=None):
        return ["--device", device, "--model", model or self.work / "ggml-tiny.en.bin"]

    def all(self):
        self.step("unpack", self.unpack)
        self.step("check", self.check)
        self.step("equality", self.equality)
        self.step("long files", self.long_files)
        self.sweeps("tiny.en")
        for shape in self.args.shapes.split(","):
            self.step(f"{shape} written", lambda: self.random(shape))
            self.sweeps(shape)
            (self.work / f"ggml-{shape}.bin").unlink(missing_ok=True)
        if self.args.device == "cuda":
            self.step("long files, 16 lanes", lambda: self.long_files("--lanes", 16))
            self.step("long files, two engines", lambda: self.long_files("--gpus", "0,0"))

    def sweeps(self, shape):
        ways = [("f16", {}), ("f16,q8_0", {})]
        if self.args.device == "cuda":
            ways.append(("f16", {"GGML_CUDA_DISABLE_GRAPHS": "1"}))
        for weights, environment in ways:
            name = f"{shape}, {weights}{', no CUDA graphs' if environment else ''}"
            self.step(name, lambda: self.sweep(shape, weights, **environment))


class Usage:
    """What nvidia-smi says of the first GPU while a step runs."""
    QUERY = ["nvidia-smi", "--id=0", "--query-gpu=utilization.gpu,memory.used,power.draw", "--format=csv,noheader,nounits"]

    def __init__(self):
        self.seen, self.over = [], threading.Event()
        self.thread = threading.Thread(target=self.look, daemon=True)
        self.thread.start()

    def look(self):
        while not self.over.wait(0.5):
            try:
                self.seen.append([float(part) for part in subprocess.check_output(self.QUERY, text=True).split(",")])
            except (OSError, ValueError, subprocess.CalledProcessError):
                return

    def end(self):
        self.over.set()
        self.thread.join()
        if not self.seen:
            return None
        busy, memory, power = zip(*self.seen)
        return {"busy_percent": round(sum(busy) / len(busy)), "memory_mib": max(memory), "watts": round(max(power))}


def machine():
    def said(*command):
        try:
            return subprocess.check_output(command, text=True, stderr=subprocess.DEVNULL).strip()
        except (OSError, subprocess.CalledProcessError):
            return ""
    cards = said("nvidia-smi", "--query-gpu=name,driver_version,memory.total,compute_cap", "--format=csv,noheader")
    cpu = [line.split(":")[1].strip() for line in Path("/proc/cpuinfo").read_text().splitlines() if "model name" in line]
    return {"card": cards.split(",")[0], "cards": cards.splitlines(), "processor": f"{len(cpu)} x {cpu[0] if cpu else platform.machine()}"}


def libraries():
    """Folders where cuBLAS lies on machines without a toolkit in its place: beside Python's packages."""
    roots = {Path(path) for path in sys.path if path} | {Path("/opt"), Path("/usr/local/lib")}
    found = {path.parent for root in roots if root.is_dir() for depth in ("", "*/*/*/*/", "*/*/*/*/*/*/*/")
             for path in root.glob(f"{depth}nvidia/*/lib/libcublas.so.1?")}
    return [str(path) for path in found]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("bench-gpu"))
    parser.add_argument("--secs", type=float, default=520)
    parser.add_argument("--device", choices=["cuda", "cpu"], default="cuda")
    parser.add_argument("--shapes", default="large-v3-turbo,large-v3,base")
    parser.add_argument("--batches", default="1,2,4,8,16,32")
    args = parser.parse_args()
    if args.device == "cuda":
        os.environ["LD_LIBRARY_PATH"] = ":".join(filter(None, [os.environ.get("LD_LIBRARY_PATH"), *libraries()]))
    with tempfile.TemporaryDirectory() as work:
        bench = Bench(args, Path(work))
        bench.out.update(machine())
        bench.all()
    print((args.out / "bench-gpu.md").read_text())
    failed = [name for name, step in bench.out["steps"].items() if "error" in step]
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
