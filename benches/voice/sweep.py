#!/usr/bin/env python3
"""Is anything lost before the engine? Clips of English speech under what happens to recordings, transcribed by the worker and by
whisper.cpp without any voice detector, with the same weights.

  sweep.py --manifest M.json [--kinds speech] [--only "music, as loud",…] [--draws 3] [--clips N] [--model tiny.en]

Prints per condition the share of words that are lost (and the word error rate) of both. Ends with 1 where the worker loses
over a point more. Needs the packages of requirements.txt, ffmpeg, and the worker built.
"""
import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

import conditions

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "benches/peers"))
from peers import errors  # noqa: E402

# percentage points of lost words that the worker may have more
TOLERATED = 1.0


def clips(args):
    """(name, samples, text) of the manifest's English clips."""
    entries = json.loads(Path(args.manifest).read_text())["files"]
    chosen = [e for e in entries if e.get("text") and e.get("language", "en") == "en" and e.get("kind") in args.kinds.split(",")]
    directory = Path(args.manifest).parent
    return [(Path(e["file"]).stem, conditions.read(directory / e["file"]), e["text"]) for e in chosen[: args.clips]]


def make(name, clips, directory):
    """The clips under a condition as files with a manifest, in `directory`."""
    change, rate, codec = conditions.CONDITIONS[name]
    entries = []
    for number, (stem, samples, text) in enumerate(clips):
        if change is None:
            _, second, more = clips[(number + 1) % len(clips)]
            samples, text = conditions.pair(samples, second), f"{text} {more}"
        else:
            samples = change(samples)
        conditions.write(directory / f"{stem}.wav", samples, rate, codec)
        entries.append({"file": f"{stem}.wav", "text": text})
    (directory / "manifest.json").write_text(json.dumps({"files": entries}))
    return entries


def ours(directory, args):
    out = directory / "out"
    out.mkdir()
    command = [str(ROOT / "target/release/transcription-worker"), "bench", "--json", "--manifest", str(directory / "manifest.json"),
               "--model", args.model, "--models-dir", args.models_dir, "--output-dir", str(out), "--language", "en"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"{' '.join(command)}\n{done.stderr[-2000:]}")
    documents = [json.loads(path.read_text()) for path in out.glob("*.json")]
    return {document["job"]["job_id"]: document["text"] for document in documents}


def whisper_cpp(args):
    from pywhispercpp.model import Model
    model = Model(str(Path(args.models_dir) / f"ggml-{args.model}.bin"), n_threads=args.cores, print_progress=False,
                  print_realtime=False, params_sampling_strategy=0, redirect_whispercpp_logs_to=None,
                  context_params={"flash_attn": False})  # twice as fast on a CPU without
    return lambda path: " ".join(s.text for s in model.transcribe(conditions.read(path).astype("float32"), language="en"))


def heard(name, found, peer, args):
    """A clip's reference, the worker's text and whisper.cpp's, of all clips under a condition, over each bed that is drawn."""
    for conditions.draw in range(args.draws if name in conditions.DRAWN else 1):
        with tempfile.TemporaryDirectory() as place:
            directory = Path(place)
            entries = make(name, found, directory)
            texts = ours(directory, args)
            yield from ((e["text"], texts.get(e["file"], ""), peer(directory / e["file"])) for e in entries)


def score(pairs):
    """Of references and texts: percent of words lost, and percent of errors."""
    from whisper_normalizer.english import EnglishTextNormalizer
    normalise = EnglishTextNormalizer()
    words, total = 0, [0, 0, 0]
    for reference, text in pairs:
        reference = normalise(reference).split()
        words += len(reference)
        found = errors(reference, normalise(text).split())
        total = [a + b for a, b in zip(total, found)]
    return 100 * total[1] / max(1, words), 100 * sum(total) / max(1, words)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--manifest", required=True)
    parser.add_argument("--kinds", default="speech")
    parser.add_argument("--only", default="", help="conditions, separated by semicolons")
    parser.add_argument("--draws", type=int, default=3, help="beds of music and of noise that each clip is heard over")
    parser.add_argument("--clips", type=int, default=10_000)
    parser.add_argument("--model", default="tiny.en")
    parser.add_argument("--models-dir", default=str(ROOT / "models"))
    parser.add_argument("--cores", type=int, default=2)
    args = parser.parse_args()
    names = args.only.split(";") if args.only else list(conditions.CONDITIONS)
    found, peer = clips(args), whisper_cpp(args)
    words = sum(len(text.split()) for _, _, text in found)
    print(f"{args.model}, {len(found)} clips, {words} words; whisper.cpp hears each clip whole, without a voice detector")
    print(f"{'':24}{'words lost %':>28}{'':10}{'word error rate %':>24}")
    print(f"{'condition':24}{'worker':>14}{'whisper.cpp':>14}{'':10}{'worker':>12}{'whisper.cpp':>12}", flush=True)
    worse = []
    for name in names:
        texts = list(heard(name, found, peer, args))
        lost, wrong = score((reference, own) for reference, own, _ in texts)
        peer_lost, peer_wrong = score((reference, other) for reference, _, other in texts)
        verdict = "" if lost <= peer_lost + TOLERATED else "MORE LOST"
        worse += [name] if verdict else []
        print(f"{name:24}{lost:14.2f}{peer_lost:14.2f}{verdict:>10}{wrong:12.2f}{peer_wrong:12.2f}", flush=True)
    if worse:
        sys.exit(f"the worker loses over {TOLERATED:.0f} point more: {'; '.join(worse)}")


if __name__ == "__main__":
    main()
