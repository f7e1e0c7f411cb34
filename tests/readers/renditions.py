"""Reads renditions as others do: renditions.py DIRECTORY, which holds `talk.vtt`, `talk.srt`, `talk.podcast.json`, `talk.ndjson` and `talk.json`."""
import json
import pathlib
import subprocess
import sys
import tempfile

import jsonschema
import webvtt

here = pathlib.Path(__file__).resolve().parent
folder = pathlib.Path(sys.argv[1])
transcript = json.loads((folder / "talk.json").read_text())

vtt, srt = webvtt.read(str(folder / "talk.vtt")), webvtt.from_srt(str(folder / "talk.srt"))
assert [(cue.start, cue.end, cue.text) for cue in vtt] == [(cue.start, cue.end, cue.text) for cue in srt] and len(vtt) > 0
print(f"webvtt-py: {len(vtt)} cues, the same in srt and vtt")

podcast = json.loads((folder / "talk.podcast.json").read_text())
jsonschema.validate(podcast, json.loads((here / "podcast-transcript.schema.json").read_text()))
print(f"podcast: {len(podcast['segments'])} segments as its schema has them")

search = [sys.executable, str(here.parent.parent / "examples" / "search.py")]
with tempfile.TemporaryDirectory() as scratch:
    index = str(pathlib.Path(scratch) / "index.sqlite")
    for _ in range(2):
        subprocess.run([*search, index, "load", str(folder / "talk.ndjson")], check=True, stdout=subprocess.DEVNULL)
    found = subprocess.run([*search, index, "find", "fellow", "americans"], check=True, capture_output=True, text=True).stdout
lines = found.splitlines()
assert len(lines) == 1, f"loaded twice it is there once: {found}"
file_id, start, end, text = lines[0].split("\t")
said = [segment for segment in transcript["segments"] if "fellow" in segment["text"]]
assert abs(float(start) - said[0]["start"]) < 0.001 and float(start) < float(end), (found, said)
print(f"SQLite: {text!r} at {start} s")
