"""The registry's schemas are draft 4, and say of a document what the project's own schemas say of it."""
import copy
import json
import sys

import jsonschema


def load(path):
    with open(path, encoding="utf-8") as file:
        return json.load(file)


def variants(document):
    """The document; without each of its members; with each of them of another type."""
    yield document
    for holder in [document, *(value for value in document.values() if isinstance(value, dict))]:
        for key in list(holder):
            kept = holder[key]
            for wrong in (None, 7, "", [], {}):
                holder[key] = wrong
                yield copy.deepcopy(document)
            del holder[key]
            yield copy.deepcopy(document)
            holder[key] = kept


def agree(ours, registry, samples, wrap):
    theirs = load(registry)
    jsonschema.Draft4Validator.check_schema(theirs)
    ours, theirs = jsonschema.Draft202012Validator(load(ours)), jsonschema.Draft4Validator(theirs)
    valid = invalid = 0
    for sample in samples:
        assert ours.is_valid(sample), f"a sample is not valid: {next(ours.iter_errors(sample)).message}"
        for document in variants(sample):
            verdict = ours.is_valid(document)
            if verdict != theirs.is_valid(wrap(document)):
                sys.exit(f"{registry} does not say {verdict} of {json.dumps(document)}")
            valid, invalid = valid + verdict, invalid + (not verdict)
    assert valid and invalid, "the samples show nothing"
    print(f"{registry}: agrees on {valid} valid and {invalid} invalid documents")


LOCATION = {"bucket": "t", "textKey": "a.txt", "jsonKey": "a.json", "vttKey": "a.vtt"}
METADATA = {"language": "en", "duration": 11.0, "wordCount": 22, "model": "tiny.en", "confidence": 0.9, "processingTime": 0.5, "timestamps": True}
COMMON = {
    "version": "1.0", "userId": "u", "fileId": "f", "jobId": "j", "sourceAudio": {"bucket": "b", "key": "k"}, "completedAt": "2026-01-05T12:00:00.123Z",
}
COMPLETED = {**COMMON, "status": "completed", "transcriptLocation": LOCATION, "transcriptMetadata": METADATA}
FAILED = {**COMMON, "status": "failed", "error": {"code": "CORRUPT_AUDIO", "message": "no"}}
PARTIAL = {**COMPLETED, "status": "partial", "error": {"code": "TRUNCATED_AUDIO", "message": "ends early"}}
UPLOADED = {
    "detail-type": "Audio Uploaded",
    "detail": {"userId": "u", "fileId": 7, "s3Location": {"bucket": "b", "key": "k"}, "metadata": {"format": "flac"}},
}

agree(
    "schemas/event-transcription-completed.json", "terraform/schemas/custom.transcription-service@TranscriptionCompleted.json",
    [COMPLETED, FAILED, PARTIAL],
    lambda detail: {"source": "custom.transcription-service", "detail-type": "Transcription Completed", "detail": detail},
)
STARTED = {
    **{name: COMMON[name] for name in ("version", "userId", "fileId", "jobId", "sourceAudio")},
    "model": "tiny.en", "attempt": 1, "startedAt": "2026-01-05T12:00:00.123Z", "metadata": {"course": 7}, "tags": ["a"],
}
PROGRESS = {
    **{name: COMMON[name] for name in ("version", "userId", "fileId", "jobId", "sourceAudio")},
    "percent": 40, "processed": 240.0, "duration": 600.0, "attempt": 1, "updatedAt": "2026-01-05T12:00:00.123Z",
}
for name, sample in (("Started", STARTED), ("Progress", PROGRESS)):
    agree(
        f"schemas/event-transcription-{name.lower()}.json", f"terraform/schemas/custom.transcription-service@Transcription{name}.json", [sample],
        lambda detail, name=name: {"source": "custom.transcription-service", "detail-type": f"Transcription {name}", "detail": detail},
    )
agree("schemas/message-audio-uploaded.json", "terraform/schemas/custom.frontend@AudioUploaded.json", [UPLOADED], lambda event: event)
