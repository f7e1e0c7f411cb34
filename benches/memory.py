#!/usr/bin/env python3
"""Peak memory of daemon and engine for a short and a very long file: what the length of the audio costs.

  memory.py [--engine scripted|real] [--minutes 10,600] [--limit-mib 50] [--model tiny.en]

Each file goes through a daemon of its own (`run --folder … --until-empty`): download, decoding, windows, engine,
checkpoints, every rendition with word times, event. `scripted` answers each window at once with 80 words, as many as
people say in it; `real` is Whisper. Both read the whole audio. Needs ffmpeg and the worker built; fails when the
daemon's peak for the long file is more than the limit above that for the short one.
"""
import argparse, os, subprocess, sys, tempfile, time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
RELEASE = ROOT / "target/release"
CLIP = ROOT / "tests/audio/jfk.flac"
PIECE_MINUTES = 10
POLL_SECS = 0.02


def ffmpeg(*args):
    subprocess.run(["ffmpeg", "-nostdin", "-v", "error", "-y", *map(str, args)], check=True)


def make_audio(folder, minutes):
    """MP3 of so many minutes of speech: encoded once, then repeated without decoding it again."""
    piece, path = folder / "piece.mp3", folder / f"{minutes}min.mp3"
    if not piece.exists():
        ffmpeg("-stream_loop", -1, "-i", CLIP, "-t", PIECE_MINUTES * 60, "-ar", 16000, "-ac", 1, "-b:a", "32k", piece)
    if not path.exists():
        rounds = -(-minutes // PIECE_MINUTES) - 1
        ffmpeg("-stream_loop", rounds, "-i", piece, "-t", minutes * 60, "-c", "copy", path)
    return path


def status(pid):
    """Peak resident size in MiB; None once the process is gone."""
    try:
        fields = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())
        return int(fields["VmHWM"].split()[0]) / 1024
    except (OSError, KeyError, ValueError):
        return None


def children(pid):
    try:
        return {child for task in os.listdir(f"/proc/{pid}/task")
                for child in Path(f"/proc/{pid}/task/{task}/children").read_text().split()}
    except OSError:
        return set()


def run(audio, args):
    """Daemon's and engine's peak in MiB, words and windows, seconds."""
    with tempfile.TemporaryDirectory(dir=audio.parent) as folder:
        (Path(folder) / "inbox").mkdir()
        os.link(audio, Path(folder) / "inbox" / audio.name)
        environment = dict(os.environ, SCRIPTED_ENGINE="talkative", RUST_LOG="info", TRANSCRIPTION_SCRATCH_DIR=folder)
        if args.engine == "scripted":
            environment["TRANSCRIPTION_ENGINE_COMMAND"] = str(RELEASE / "examples/scripted_engine")
        command = [RELEASE / "transcription-worker", "run", "--folder", folder, "--until-empty", "--model", args.model,
                   "--models-dir", ROOT / "models", "--word-timestamps", "--formats", "json,txt,srt,vtt,amazon"]
        started, peaks = time.monotonic(), {"daemon": 0.0, "engine": 0.0}
        with open(Path(folder) / "log", "w+") as log:
            daemon = subprocess.Popen(list(map(str, command)), env=environment, stdout=log, stderr=log)
            while daemon.poll() is None:
                for name, pids in [("daemon", [daemon.pid]), ("engine", children(daemon.pid))]:
                    peaks[name] = max([peaks[name], *(status(pid) or 0 for pid in pids)])
                time.sleep(POLL_SECS)
            log.seek(0)
            text = log.read()
        transcripts = list((Path(folder) / "outbox").rglob("*.txt"))
        if daemon.returncode or not transcripts:
            sys.exit(f"the daemon failed:\n{text[-4000:]}")
        return {**peaks, "words": len(transcripts[0].read_text().split()), "secs": time.monotonic() - started}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--engine", choices=["scripted", "real"], default="scripted")
    parser.add_argument("--minutes", default="10,600")
    parser.add_argument("--limit-mib", type=float, default=50)
    parser.add_argument("--model", default="tiny.en")
    args = parser.parse_args()
    folder = ROOT / "target/tmp/memory"
    folder.mkdir(parents=True, exist_ok=True)
    print(f"{args.engine} engine\n{'minutes':>8} {'words':>8} {'wall s':>7} {'daemon MiB':>11} {'engine MiB':>11}")
    found = []
    for minutes in map(int, args.minutes.split(",")):
        peak = run(make_audio(folder, minutes), args)
        found.append(peak)
        print(f"{minutes:>8} {peak['words']:>8} {peak['secs']:>7.1f} {peak['daemon']:>11.1f} {peak['engine']:>11.1f}", flush=True)
    more = {name: found[-1][name] - found[0][name] for name in ("daemon", "engine")}
    print(f"more for the long file: daemon {more['daemon']:.1f} MiB, engine {more['engine']:.1f} MiB")
    if more["daemon"] > args.limit_mib:
        sys.exit(f"the daemon needs more than {args.limit_mib:.0f} MiB more")


main()
