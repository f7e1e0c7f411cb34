"""Conversations made of clips of single speakers, with who speaks when in them.

Everything is drawn by a generator with a seed, so that a table can be had again.
"""
import sys
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "voice"))
import conditions  # noqa: E402
from conditions import RATE  # noqa: E402

# name: (what becomes of a conversation, sample rate and codec of the file)
CONDITIONS = {
    "clean": (conditions.plain, RATE, "pcm_s16le"),
    "noise, 15 dB under": (lambda c: conditions.under(c, conditions.pink(c), 15), RATE, "pcm_s16le"),
    "telephone": (conditions.telephone, 8_000, "pcm_mulaw"),
}
FRAME = RATE // 50
# dB under the clip's loudness: a frame below the first is silence, where clips may be cut; one above the second is speech, which
# counts (between them lie breath, echo and the noise of the recording)
SILENCE_DB, SPEECH_DB = 30, 20
# shorter pauses are a part of what is said
PAUSE_FRAMES = 15
# seconds of a turn
SHORTEST, LONGEST = 1.0, 12.0
# of the turns so many begin before the last one's end
OVERLAPPING = 0.2


def heard(clip, db):
    """The stretches (start, end in samples) of a clip that are no more than `db` under its loudness."""
    frames = clip[: len(clip) // FRAME * FRAME].reshape(-1, FRAME)
    power = 10 * np.log10((frames**2).mean(axis=1) + 1e-12)
    loud = power > 20 * np.log10(conditions.loudness(clip) + 1e-9) - db
    runs, start = [], None
    for at, is_loud in enumerate([*loud, False]):
        if is_loud and start is None:
            start = at
        elif not is_loud and start is not None:
            if runs and start - runs[-1][1] < PAUSE_FRAMES:
                runs[-1][1] = at
            else:
                runs.append([start, at])
            start = None
    return [(a * FRAME, b * FRAME) for a, b in runs if b - a > 2]


def passages(clip, random):
    """Pieces of a clip, cut at pauses, none longer than a turn of a random length."""
    runs, out = heard(clip, SILENCE_DB), []
    while runs:
        most = random.uniform(SHORTEST, LONGEST) * RATE
        count = 1
        while count < len(runs) and runs[count][1] - runs[0][0] <= most:
            count += 1
        piece, runs = runs[:count], runs[count:]
        begin = piece[0][0]
        samples = clip[begin : piece[-1][1]]
        if len(samples) >= SHORTEST * RATE:
            out.append((samples, heard(samples, SPEECH_DB)))
    return out


def conversation(clips, seconds, random):
    """Samples and turns [(speaker, start, end in seconds)] of a conversation between the speakers of `clips` (name: samples)."""
    left = {}
    for name, samples in clips.items():
        pieces = [piece for clip in samples for piece in passages(clip, random)]
        level = 10 ** (random.uniform(-6, 0) / 20) / max(conditions.loudness(np.concatenate(samples)), 1e-6)
        left[name] = [(0.08 * level * piece, runs) for piece, runs in pieces]
    out, turns, end, last = np.zeros(int(seconds * RATE * 2)), [], 0, None
    said = dict.fromkeys(left, 0.0)
    while end < seconds * RATE and any(left.values()):
        # who has said less speaks sooner
        names = [name for name, pieces in left.items() if pieces and name != last] or [name for name in left if left[name]]
        weights = np.array([1 / (5 + said[who]) for who in names])
        name = names[random.choice(len(names), p=weights / weights.sum())]
        samples, runs = left[name].pop(0)
        if last not in (None, name) and random.random() < OVERLAPPING:
            begin = max(0, end - int(random.uniform(0.2, 1.5) * RATE))
        else:
            begin = end + int(random.uniform(0.1, 1.2) * RATE)
        if begin + len(samples) > len(out):
            break
        out[begin : begin + len(samples)] += samples
        said[name] += len(samples) / RATE
        turns += [(name, (begin + a) / RATE, (begin + b) / RATE) for a, b in runs]
        end, last = max(end, begin + len(samples)), name
    out = out[: end + RATE // 2]
    return out / max(1.0, np.abs(out).max() * 1.02), turns


def write(path, samples, condition):
    change, rate, codec = CONDITIONS[condition]
    conditions.write(path, change(samples), rate, codec)
