#!/usr/bin/env python3
"""Transcripts in a search index: loads `ndjson` renditions into SQLite's full-text index and finds sentences with their times.

search.py INDEX load FILE.ndjson...     adds transcripts; one that is there already is replaced
search.py INDEX find WORDS...           prints what was said, the best first: file id, start and end in seconds, text
"""
import json
import sqlite3
import sys

FIELDS = ("id", "job_id", "user_id", "file_id", "start", "end", "speaker", "language", "confidence", "text")


def opened(path):
    index = sqlite3.connect(path)
    # only the text is searched; the rest comes back with it
    columns = ", ".join(name if name == "text" else f'"{name}" UNINDEXED' for name in FIELDS)
    index.execute(f"CREATE VIRTUAL TABLE IF NOT EXISTS sentences USING fts5({columns})")
    return index


def load(index, path):
    with open(path, encoding="utf-8") as lines:
        sentences = [json.loads(line) for line in lines]
    with index:
        index.executemany("DELETE FROM sentences WHERE job_id = ?", {(sentence["job_id"],) for sentence in sentences})
        rows = [[sentence.get(name) for name in FIELDS] for sentence in sentences]
        index.executemany(f"INSERT INTO sentences VALUES ({', '.join('?' * len(FIELDS))})", rows)
    return len(sentences)


def find(index, words):
    # each word by itself, quoted: what people type is no query language
    query = " ".join('"' + word.replace('"', '""') + '"' for word in words)
    return index.execute('SELECT file_id, start, "end", text FROM sentences WHERE sentences MATCH ? ORDER BY rank', [query]).fetchall()


def main():
    if len(sys.argv) < 4 or sys.argv[2] not in ("load", "find"):
        sys.exit(__doc__)
    index = opened(sys.argv[1])
    if sys.argv[2] == "load":
        for path in sys.argv[3:]:
            print(f"{path}: {load(index, path)} sentences")
        return
    for file_id, start, end, text in find(index, sys.argv[3:]):
        print(f"{file_id}\t{start:.3f}\t{end:.3f}\t{text}")


if __name__ == "__main__":
    main()
