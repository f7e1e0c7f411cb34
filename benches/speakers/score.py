"""Diarization error rate: of all speech, the share that was missed, invented or given to another."""
import numpy as np

STEP = 0.01


def grid(turns, frames):
    """A row per speaker, a column per hundredth of a second."""
    names = sorted({name for name, _, _ in turns})
    rows = np.zeros((len(names), frames), bool)
    for name, start, end in turns:
        rows[names.index(name), round(start / STEP) : round(end / STEP)] = True
    return names, rows


def matched(shared):
    """Which hypothesis each reference speaker is, none twice, so that they share most: (reference, hypothesis) pairs."""
    best = {0: (0, [])}
    for hypothesis in range(shared.shape[1]):
        after = dict(best)
        for used, (sum_, pairs) in best.items():
            for reference in range(shared.shape[0]):
                now = used | 1 << reference
                value = sum_ + shared[reference, hypothesis]
                if not used & 1 << reference and value > after.get(now, (-1, None))[0]:
                    after[now] = (value, [*pairs, (reference, hypothesis)])
        best = after
    return max(best.values(), key=lambda found: found[0])[1]


def errors(reference, hypothesis, collar):
    """Seconds of (speech, missed, invented, confused), what lies within `collar` seconds of a reference's border left out."""
    frames = round(max([end for _, _, end in [*reference, *hypothesis]], default=0) / STEP) + 1
    _, truth = grid(reference, frames)
    _, found = grid(hypothesis, frames)
    counted = np.ones(frames, bool)
    for _, start, end in reference if collar else []:
        for border in (start, end):
            counted[max(0, round((border - collar) / STEP)) : round((border + collar) / STEP)] = False
    truth, found = truth[:, counted], found[:, counted]
    shared = truth.astype(int) @ found.T.astype(int)
    right = np.zeros(truth.shape[1], int)
    for a, b in matched(shared):
        right += truth[a] & found[b]
    spoken, heard = truth.sum(axis=0), found.sum(axis=0)
    missed, invented = np.maximum(spoken - heard, 0), np.maximum(heard - spoken, 0)
    confused = np.minimum(spoken, heard) - right
    return [float(STEP * part.sum()) for part in (spoken, missed, invented, confused)]
