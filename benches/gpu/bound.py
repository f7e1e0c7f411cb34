#!/usr/bin/env python3
"""What a card could do at best, and which share of it was done: memory read and arithmetic alone, by the makers' data sheets.

Run by itself it prints a model: how many times faster than real time each card would be with eight windows at a time, if half of
its arithmetic and six tenths of its bandwidth were had, 100 tokens were said in 30 s and nothing else took time.
"""
import struct

# GB/s of memory, TFLOP/s of half-float matrix products without sparsity
CARDS = {"T4": (320, 65), "A10G": (600, 70), "L40S": (864, 362), "L4": (300, 121), "A100": (1555, 312), "H200": (4800, 989),
         "H100": (3350, 989)}
# bytes of a number
SIZE = {"f16": 2, "bf16": 2, "q8_0": 34 / 32, "f32": 4}
# positions that a GPU attends to: text and audio are padded to 256
TEXT, AUDIO = 256, 1536


def card(name):
    return next((figures for known, figures in CARDS.items() if known in name.replace("-", " ").split()), None)


def shape(path):
    """Width, layers of encoder and decoder, vocabulary."""
    with open(path, "rb") as file:
        numbers = struct.unpack("<12I", file.read(48))
    return numbers[3], numbers[5], numbers[9], numbers[1]


def encoder_flops(width, hearing):
    return 2 * 1500 * 12 * width**2 * hearing + 4 * 1500**2 * width * hearing


def step_bytes(width, writing, vocabulary, weights, rows):
    numbers = 14 * width**2 * writing + vocabulary * width
    return numbers * SIZE[weights] + rows * writing * (TEXT + AUDIO) * 2 * width * 2


def shares(path, weights, pace, name):
    width, hearing, writing, vocabulary = shape(path)
    flops = encoder_flops(width, hearing)
    result = {"encoder_gflop": round(flops / 1e9)}
    figures = card(name)
    if figures:
        result["encoder_share"] = round(flops / figures[1] / 1e12 / pace["encode_secs"], 3)
    for batch in pace["batches"]:
        bytes_ = step_bytes(width, writing, vocabulary, weights.split(",")[-1], batch["rows"])
        batch["step_mb"] = round(bytes_ / 1e6, 1)
        batch["gb_per_sec"] = round(bytes_ / batch["step_ms"] / 1e6, 1)
        if figures:
            batch["share"] = round(batch["gb_per_sec"] / figures[0], 3)
    return result


def model():
    shapes = {"small": (768, 12, 12, 51865), "large-v3-turbo": (1280, 32, 4, 51866), "large-v3": (1280, 32, 32, 51866)}
    rows, tokens = 8, 100
    print("| card | " + " | ".join(shapes) + " |\n|---" + "|---" * len(shapes) + "|")
    for name, (bandwidth, arithmetic) in CARDS.items():
        cells = []
        for width, hearing, writing, vocabulary in shapes.values():
            encode = encoder_flops(width, hearing) / (0.5e12 * arithmetic)
            step = step_bytes(width, writing, vocabulary, "f16", rows) / (0.6e9 * bandwidth)
            cells.append(f"{30 / (encode + tokens * step / rows):.0f}")
        print(f"| {name} | " + " | ".join(cells) + " |")


if __name__ == "__main__":
    model()
