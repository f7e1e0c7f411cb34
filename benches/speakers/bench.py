#!/usr/bin/env python3
"""Are speakers told apart? Conversations made of a manifest's clips, through the worker's ears, against who really spoke.

  bench.py --manifest M.json [--speakers 2,3,4,8] [--rounds 3] [--minutes 3] [--seed 1] [--verbose]

Of each file of the manifest its `speaker` counts, else what stands before the first hyphen or underscore of its name. Prints
per number of speakers and condition the diarization error rate, without and with a collar of 0.25 s, and how often the number
of speakers was right. Ends with 1 where the rate with the collar is over 8 % or fewer than 9 in 10 numbers are right. Needs
the packages of requirements.txt, ffmpeg, the nets (`model pull speakers`), and the example `turns` built.
"""
import argparse
import json
import re
import resource
import subprocess
import sys
import tempfile
from collections import defaultdict
from pathlib import Path

import numpy as np

import conversations
import score

ROOT = Path(__file__).resolve().parents[2]
COLLAR, MOST_ERRORS, LEAST_RIGHT = 0.25, 0.08, 0.9


def clips(manifest):
    """Paths by speaker."""
    found = defaultdict(list)
    for entry in json.loads(Path(manifest).read_text())["files"]:
        speaker = entry.get("speaker") or re.split("[-_]", Path(entry["file"]).stem)[0]
        found[speaker].append(Path(manifest).parent / entry["file"])
    return found


def made(args, pool, count, condition, seed, directory):
    """A conversation's file and turns."""
    random = np.random.default_rng([args.seed, count, seed])
    names = random.choice(sorted(pool), count, replace=False)
    samples = {name: [conversations.conditions.read(path) for path in random.permutation(sorted(pool[name]))] for name in names}
    # all have time to speak
    sound, turns = conversations.conversation(samples, 60 * max(args.minutes, count / 2), random)
    path = directory / f"{count}-{re.sub('[^a-z]+', '-', condition)}-{seed}.wav"
    conversations.write(path, sound, condition)
    return path, turns, len(sound) / conversations.RATE


def found(args, paths):
    """Turns by file, and seconds of a core."""
    command = [str(ROOT / "target/release/examples/turns"), str(args.models_dir), *map(str, paths)]
    before = sum(resource.getrusage(resource.RUSAGE_CHILDREN)[:2])
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"{' '.join(command[:3])} …\n{done.stderr[-2000:]}")
    turns = defaultdict(list)
    for line in done.stdout.splitlines():
        _, name, _, start, secs, _, _, speaker, *_ = line.split()
        turns[name].append((speaker, float(start), float(start) + float(secs)))
    return turns, sum(resource.getrusage(resource.RUSAGE_CHILDREN)[:2]) - before


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--manifest", required=True)
    parser.add_argument("--speakers", default="2,3,4,8")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--minutes", type=float, default=3)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--models-dir", default=ROOT / "models")
    parser.add_argument("--verbose", action="store_true")
    args = parser.parse_args()
    pool, all_made, secs = clips(args.manifest), {}, 0.0
    with tempfile.TemporaryDirectory() as directory:
        for count in map(int, args.speakers.split(",")):
            if count > len(pool):
                print(f"{count} speakers: SKIPPED, the manifest has {len(pool)}")
                continue
            for condition in conversations.CONDITIONS:
                for seed in range(args.rounds):
                    path, turns, long = made(args, pool, count, condition, seed, Path(directory))
                    all_made[path] = (count, condition, turns)
                    secs += long
        turns, cpu_secs = found(args, all_made)
    rows, total = defaultdict(list), []
    for path, (count, condition, truth) in all_made.items():
        heard = turns[path.stem]
        number = len({name for name, _, _ in heard})
        one = (score.errors(truth, heard, 0), score.errors(truth, heard, COLLAR), number == count)
        if args.verbose:
            print(path.stem, f"{sum(one[1][1:]) / one[1][0]:.1%} missed, invented, confused {one[1][1:]}, {number} speakers")
        rows[count, condition].append(one)
        total.append(one)
    print(f"{len(total)} conversations, {secs / 60:.0f} min; {cpu_secs / secs:.4f} s of a core per second, decoding included")
    print(f"{'speakers':>8}  {'condition':<20} {'DER %':>6} {'collar':>7} {'missed':>7} {'invented':>9} {'confused':>9} {'count right':>12}")
    for (count, condition), some in [*rows.items(), (("all", ""), total)]:
        raw, kept = (np.sum([one[at] for one in some], axis=0) for at in (0, 1))
        share = [100 * part / kept[0] for part in kept[1:]]
        right = sum(one[2] for one in some)
        print(f"{count:>8}  {condition:<20} {100 * raw[1:].sum() / raw[0]:>6.1f} {sum(share):>7.1f} {share[0]:>7.1f} {share[1]:>9.1f} {share[2]:>9.1f} {right:>7} of {len(some)}")
    if sum(share) > 100 * MOST_ERRORS or right < LEAST_RIGHT * len(total):
        sys.exit(1)


main()
