#!/usr/bin/env python3
"""What a job's own words do: a vocabulary to names, and to everything else; redaction to what is private.

  bench.py [--manifest M.json] [--model tiny.en]

Sentences of said.json, spoken by espeak-ng in three accents, go through `transcribe` without a vocabulary, with the names of
the sentence, and with ten names among which they are. Prints how often a name was written as it is spelled. With a manifest,
the word error rate of its speech without a vocabulary and with ten names that nobody says there.
Numbers and addresses, spoken likewise, are transcribed with everything redacted, into every format: no output may hold one, and what
was dropped no digit at all. Prints how many were heard rightly without redaction, for one that was misheard proves nothing. Ends with 1 where an output holds one.
Needs espeak-ng and the worker built.
"""
import argparse
import json
import re
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
WORKER = HERE.parents[1] / "target/release/transcription-worker"
FORMATS = "json,txt,srt,vtt,amazon,html,md,ndjson,podcast"
KINDS = "card_number,email,phone,iban,national_id"
TERMS = 10


def speak(said, kind, directory):
    """Sentences of a kind with the paths of their recordings, one per voice."""
    spoken = []
    for at, sentence in enumerate(said[kind]):
        for voice in said["voices"]:
            path = directory / f"{kind}-{at:02}-{voice}.wav"
            subprocess.run(["espeak-ng", "-v", voice, "-s", "140", "-g", "3", "-w", path, sentence["text"]], check=True)
            spoken.append((sentence, path))
    return spoken


def transcribe(args, paths, directory, *options):
    command = [WORKER, "transcribe", *paths, "--model", args.model, "--models-dir", args.models_dir, "--output-dir", directory, *options]
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(done.stderr[-2000:])


def written(directory, path):
    return (directory / f"{path.stem}.txt").read_text()


def plain(text):
    return re.sub(r"[^\w@]", "", text.casefold())


def strings(value):
    """All texts of a JSON document, words by themselves too."""
    if isinstance(value, dict):
        return [text for part in value.values() for text in strings(part)]
    if isinstance(value, list):
        return [text for part in value for text in strings(part)]
    return [value] if isinstance(value, str) else []


def said_in(output):
    """What an output says, without its times and its markup."""
    text = output.read_text()
    match output.suffix:
        case ".json" | ".ndjson":
            return " ".join(text for line in text.splitlines() for text in strings(json.loads(line)))
        case ".html":
            return re.sub(r"<[^>]*>", "", text)
        case ".srt" | ".vtt":
            return "\n".join(line for line in text.splitlines() if "-->" not in line)
    return text


def names(args, said, directory):
    """How many names are right with each vocabulary."""
    spoken, terms = speak(said, "names", directory), said["nobody_says"]
    whole = sum(len(sentence["names"]) for sentence, _ in spoken)
    vocabularies = {
        "no vocabulary": lambda own: [],
        "the sentence's names": lambda own: own,
        f"{TERMS} names, those among them": lambda own: terms[: TERMS // 2] + own + terms[TERMS // 2 : TERMS - len(own)],
    }
    for title, vocabulary in vocabularies.items():
        right = 0
        for at, sentence in enumerate(said["names"]):
            paths = [path for of, path in spoken if of is sentence]
            out = directory / f"{title}-{at}"
            terms_now = vocabulary(sentence["names"])
            options = ["--vocabulary", ",".join(terms_now)] if terms_now else []
            transcribe(args, paths, out, "--formats", "txt", *options)
            right += sum(name in written(out, path) for path in paths for name in sentence["names"])
        print(f"names, {title}: {right} of {whole} right", flush=True)


def elsewhere(args, said):
    """Word error rates of a manifest's speech."""
    for title, options in [("no vocabulary", []), (f"{TERMS} names that nobody says", ["--vocabulary", ",".join(said["nobody_says"])])]:
        command = [WORKER, "bench", "--manifest", args.manifest, "--model", args.model, "--models-dir", args.models_dir, "--json", *options]
        done = subprocess.run(list(map(str, command)), capture_output=True, text=True, check=False)
        if done.returncode:
            sys.exit(done.stderr[-2000:])
        rate = json.loads(done.stdout)["runs"][0]["word_error_rate"]
        print(f"elsewhere, {title}: word error rate {100 * rate:.2f} %", flush=True)


def private(args, said, directory):
    """What is private and left in some output."""
    spoken = speak(said, "private", directory)
    paths = [path for _, path in spoken]
    heard, redacted = directory / "heard", directory / "redacted"
    transcribe(args, paths, heard, "--formats", "txt")
    transcribe(args, paths, redacted, "--formats", FORMATS, "--redact", KINDS)
    rightly, left, digits = 0, [], 0
    for sentence, path in spoken:
        value = plain(sentence["value"])
        rightly += value in plain(written(heard, path))
        for output in redacted.glob(f"{path.stem}.*"):
            if value in plain(said_in(output)):
                left.append(output.name)
        dropped = json.loads((redacted / f"{path.stem}.json").read_text())["quality"]["dropped"]
        if any(character.isdigit() for part in dropped for character in part["text"]):
            left.append(f"{path.stem}.json (dropped)")
        digits += sum(character.isdigit() for character in written(redacted, path))
    print(f"private: {rightly} of {len(spoken)} heard rightly; outputs that hold one: {len(left)} of {len(spoken) * len(FORMATS.split(','))}; "
          f"digits left in all texts, of what was misheard: {digits}")
    return left


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--manifest")
    parser.add_argument("--model", default="tiny.en")
    parser.add_argument("--models-dir", default=HERE.parents[1] / "models")
    args = parser.parse_args()
    said = json.loads((HERE / "said.json").read_text())
    with tempfile.TemporaryDirectory() as directory:
        names(args, said, Path(directory))
        if args.manifest:
            elsewhere(args, said)
        left = private(args, said, Path(directory))
    if left:
        sys.exit("left: " + ", ".join(left))


main()
