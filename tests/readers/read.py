"""Reads amazon renditions with tscribe: read.py NAME=FILE…, where NAME says what the audio holds."""
import contextlib
import io
import json
import os
import re
import sys
import tempfile

import tscribe

SAID = "fellow"
CUE = re.compile(r"(\d+):(\d+):(\d+\.\d+) --> (\d+):(\d+):(\d+\.\d+)")


def seconds(parts):
    hours, minutes, rest = parts
    return int(hours) * 3600 + int(minutes) * 60 + float(rest)


def read(name, path):
    with open(path, encoding="utf-8") as file:
        results = json.load(file)["results"]
    with tempfile.TemporaryDirectory() as folder:
        for kind in ("docx", "csv", "vtt", "sqlite"):
            with contextlib.redirect_stdout(io.StringIO()):
                tscribe.write(path, format=kind, save_as=os.path.join(folder, "out." + kind))
        with open(os.path.join(folder, "out.csv"), encoding="utf-8") as file:
            table = file.read()
        with open(os.path.join(folder, "out.vtt"), encoding="utf-8") as file:
            cues = CUE.findall(file.read())
    assert cues and all(seconds(cue[:3]) <= seconds(cue[3:]) for cue in cues), f"{name}: {cues}"
    is_silent, is_separate = "silence" in name, "channels" in name
    assert (SAID in table.lower()) != is_silent, f"{name}: {table}"
    labels = results.get("channel_labels")
    assert (labels is not None) == is_separate, name
    if is_separate:
        names = [channel["channel_label"] for channel in labels["channels"]]
        assert names == ["ch_0", "ch_1"] and labels["number_of_channels"] == 2, names
    if name == "two channels":
        assert "ch_0" in table and "ch_1" in table, table
    if name == "two speakers":
        labels = results["speaker_labels"]
        assert labels["speakers"] == 2, labels
        said = {who: " ".join(line for line in table.lower().splitlines() if who in line) for who in ("spk_0", "spk_1")}
        assert "fellow" in said["spk_0"] and "wait no longer" in said["spk_1"], table
    print(f"tscribe: {name}: {len(results['items'])} items, {len(cues)} cues")


for argument in sys.argv[1:]:
    read(*argument.split("=", 1))
