"""What happens to speech on its way to a file: each condition takes a clip and gives samples, sample rate and format.

Clips are float arrays at 16 kHz. Everything is drawn by generators with a fixed seed, so that a table can be had again.
"""
import subprocess

import numpy as np

RATE = 16_000


def read(path):
    """Any file as mono float samples at 16 kHz."""
    command = ["ffmpeg", "-v", "error", "-i", str(path), "-ac", "1", "-ar", str(RATE), "-f", "f32le", "-"]
    return np.frombuffer(subprocess.run(command, capture_output=True, check=True).stdout, np.float32).astype(float)


def write(path, samples, rate=RATE, codec="pcm_s16le"):
    """Samples as a WAV file; nothing is clipped unless it is beyond full scale."""
    source = ["-f", "f32le", "-ar", str(RATE), "-ac", "1", "-i", "-"]
    command = ["ffmpeg", "-v", "error", "-y", *source, "-ar", str(rate), "-c:a", codec, str(path)]
    subprocess.run(command, input=samples.astype(np.float32).tobytes(), check=True)


def filtered(samples, chain):
    """Samples through a chain of ffmpeg's filters."""
    command = ["ffmpeg", "-v", "error", "-f", "f32le", "-ar", str(RATE), "-ac", "1", "-i", "-", "-af", chain, "-ar", str(RATE), "-f", "f32le", "-"]
    done = subprocess.run(command, input=samples.astype(np.float32).tobytes(), capture_output=True, check=True)
    return np.frombuffer(done.stdout, np.float32).astype(float)


def loudness(samples):
    """RMS of the loud half of the 20 ms frames: of the voice, not of the pauses."""
    frames = samples[: len(samples) // 320 * 320].reshape(-1, 320)
    power = np.sort((frames**2).mean(axis=1))
    return float(np.sqrt(power[len(power) // 2 :].mean())) if len(power) else 0.0


def shaped(noise, response):
    """Noise with a spectrum: `response` takes frequencies in Hz."""
    spectrum = np.fft.rfft(noise)
    return np.fft.irfft(spectrum * response(np.fft.rfftfreq(len(noise), 1 / RATE)), len(noise))


def under(clip, bed, db):
    """The clip with a bed, `db` above it where positive; brought down as a whole where it would clip."""
    mixed = clip + bed[: len(clip)] * loudness(clip) / max(loudness(bed[: len(clip)]), 1e-9) * 10 ** (-db / 20)
    return mixed / max(1.0, np.abs(mixed).max() * 1.02)


# which of the many beds of one kind
draw = 0


def generator(clip):
    return np.random.default_rng((len(clip), draw))


def hum(clip):
    t = np.arange(len(clip)) / RATE
    return sum(np.sin(2 * np.pi * 50 * n * t + n) / n for n in range(1, 12))


def rumble(clip):
    noise = generator(clip).standard_normal(len(clip))
    return shaped(noise, lambda hz: (hz > 2) / (1 + (hz / 25) ** 3))


def pink(clip):
    noise = generator(clip).standard_normal(len(clip))
    return shaped(noise, lambda hz: 1 / np.sqrt(np.maximum(hz, 40)))


def music(clip):
    """Chords that change every two seconds, a bass, a melody and drums."""
    random, n = generator(clip), len(clip)
    out, t = np.zeros(n), np.arange(n) / RATE
    chords = [(0, 4, 7), (9, 12, 16), (5, 9, 12), (7, 11, 14)]

    def note(start, secs, semitones, level, harmonics):
        at = slice(int(start * RATE), min(n, int((start + secs) * RATE)))
        time = t[at] - start
        pitch = 220 * 2 ** (semitones / 12)
        tone = sum(np.sin(2 * np.pi * pitch * h * time) / h**1.3 for h in range(1, harmonics + 1))
        out[at] += level * tone * np.exp(-1.5 * time) * np.minimum(1, time / 0.01)

    for bar, start in enumerate(np.arange(0, n / RATE, 2.0)):
        chord = chords[bar % 4]
        for semitones in chord:
            note(start, 2.0, semitones, 0.3, 8)
        for beat in range(4):
            note(start + beat / 2, 0.5, chord[0] - 24, 0.5, 6)
            note(start + beat / 2, 0.5, 12 + int(random.choice(chord)), 0.35, 5)
            at = int((start + beat / 2) * RATE)
            struck = np.exp(-np.arange(max(0, min(2_400, n - at))) / (200 if beat % 2 else 700))
            out[at : at + len(struck)] += 0.6 * struck * (random.standard_normal(len(struck)) if beat % 2 else np.sin(2 * np.pi * 60 * np.arange(len(struck)) / RATE))
    return out


def room(clip, secs):
    """The clip in a room whose echo falls by 60 dB in so many seconds."""
    n = int(secs * RATE)
    echo = generator(clip).standard_normal(n) * 10 ** (-3 * np.arange(n) / n)
    echo[: int(0.01 * RATE)] = 0
    echo *= 1.0 / np.sqrt((echo**2).sum())
    size = len(clip) + n
    wet = np.fft.irfft(np.fft.rfft(clip, size) * np.fft.rfft(echo, size), size)
    both = np.concatenate([clip, np.zeros(n)]) + wet
    return both / max(1.0, np.abs(both).max() * 1.02)


def offset(clip, by):
    return clip * min(1.0, (0.98 - by) / max(np.abs(clip).max(), 1e-9)) + by


def pitched(clip, by):
    return filtered(clip, f"asetrate={int(RATE * by)},aresample={RATE},atempo={1 / by:.6f}")


def telephone(clip):
    return filtered(clip, "highpass=f=300,highpass=f=300,lowpass=f=3400,lowpass=f=3400")


def plain(clip):
    return clip


# name: (what becomes of a clip, sample rate and codec of the file)
CONDITIONS = {
    "clean": (plain, RATE, "pcm_s16le"),
    "hum, 6 dB under": (lambda c: under(c, hum(c), 6), RATE, "pcm_s16le"),
    "hum, as loud": (lambda c: under(c, hum(c), 0), RATE, "pcm_s16le"),
    "hum, 10 dB over": (lambda c: under(c, hum(c), -10), RATE, "pcm_s16le"),
    "rumble, as loud": (lambda c: under(c, rumble(c), 0), RATE, "pcm_s16le"),
    "rumble, 15 dB over": (lambda c: under(c, rumble(c), -15), RATE, "pcm_s16le"),
    "offset 0.1": (lambda c: offset(c, 0.1), RATE, "pcm_s16le"),
    "offset 0.5": (lambda c: offset(c, 0.5), RATE, "pcm_s16le"),
    "quiet on an offset": (lambda c: offset(0.03 * c, 0.3), RATE, "pcm_s16le"),
    "-45 dB": (lambda c: c * 10 ** (-45 / 20), RATE, "pcm_s16le"),
    "telephone": (telephone, 8_000, "pcm_mulaw"),
    "pitch x1.35": (lambda c: pitched(c, 1.35), RATE, "pcm_s16le"),
    "pitch x0.8": (lambda c: pitched(c, 0.8), RATE, "pcm_s16le"),
    "music, 6 dB under": (lambda c: under(c, music(c), 6), RATE, "pcm_s16le"),
    "music, as loud": (lambda c: under(c, music(c), 0), RATE, "pcm_s16le"),
    "music, 6 dB over": (lambda c: under(c, music(c), -6), RATE, "pcm_s16le"),
    "noise, 10 dB under": (lambda c: under(c, pink(c), 10), RATE, "pcm_s16le"),
    "noise, 5 dB under": (lambda c: under(c, pink(c), 5), RATE, "pcm_s16le"),
    "noise, as loud": (lambda c: under(c, pink(c), 0), RATE, "pcm_s16le"),
    "a room, 0.6 s": (lambda c: room(c, 0.6), RATE, "pcm_s16le"),
    "a hall, 1.5 s": (lambda c: room(c, 1.5), RATE, "pcm_s16le"),
    # of pairs: the second clip so much under the first, a second later
    "the second 30 dB under": (None, RATE, "pcm_s16le"),
}


# beds that chance made: over another one of the kind some words come and some go
DRAWN = [name for name in CONDITIONS if name.startswith(("music", "noise"))]


def pair(loud, quiet):
    return np.concatenate([loud, np.zeros(RATE), quiet * 10 ** (-30 / 20)])
