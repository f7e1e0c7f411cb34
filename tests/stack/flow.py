"""Audio in, transcripts out, through the applied stack and the real worker, which knows nothing but the stack's outputs.

flow.py WORKER MODELS OUTPUTS.json [s3]: the AWS SDK's variables name the stand-in and the account. With s3 the stack is one
in which S3 announces uploads itself.
"""
import contextlib
import io
import json
import os
import subprocess
import sys
import time
import wave

import boto3
import jsonschema

WORKER, MODELS = os.path.abspath(sys.argv[1]), os.path.abspath(sys.argv[2])
with open(sys.argv[3], encoding="utf-8") as file:
    OUTPUTS = {name: output["value"] for name, output in json.load(file).items()}
HUB = OUTPUTS["hub"]
UPLOADS, TRANSCRIPTS = HUB["buckets"]["uploads"][0], HUB["buckets"]["transcripts"]
TALK = ("u7/f7/talk.flac", "0b8f3c52-7f0e-4f8a-8a6e-1f2d3c4b5a69")
LONG = ("u7/f9/long.wav", "5d1c2d3e-4f50-4a61-8b72-9c83ad94be07")
BROKEN = ("u7/f8/broken.flac", "7b1c2d3e-4f50-4a61-8b72-9c83ad94be05")
PATIENCE = float(os.environ.get("PATIENCE", "120"))

s3, sqs, sns, events, cloudwatch = (boto3.client(name) for name in ("s3", "sqs", "sns", "events", "cloudwatch"))


def step(what):
    print(f"flow: {what}", flush=True)


def announce(upload, source="custom.upload-service"):
    key, file_id = upload
    detail = {"userId": "u7", "fileId": file_id, "s3Location": {"bucket": UPLOADS, "key": key}}
    entry = {"EventBusName": HUB["event_bus"]["name"], "Source": source, "DetailType": "Audio Uploaded", "Detail": json.dumps(detail)}
    assert events.put_events(Entries=[entry])["FailedEntryCount"] == 0


def receive(url, seconds=PATIENCE):
    """The next message, taken off the queue; None when none came."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        found = sqs.receive_message(QueueUrl=url, WaitTimeSeconds=1, MessageAttributeNames=["All"]).get("Messages", [])
        if found:
            sqs.delete_message(QueueUrl=url, ReceiptHandle=found[0]["ReceiptHandle"])
            return found[0]
    return None


def listen(topic, name):
    """A queue that hears a topic."""
    url = sqs.create_queue(QueueName=name)["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=arn)
    return url


def told(url):
    """The next thing that a topic told this queue."""
    message = receive(url)
    assert message, "nobody was told"
    return json.loads(json.loads(message["Body"])["Message"])


def valid(event):
    """By the project's schema, and by the registry's."""
    for path, validator, document in (
        ("schemas/event-transcription-completed.json", jsonschema.Draft202012Validator, event["detail"]),
        ("terraform/schemas/custom.transcription-service@TranscriptionCompleted.json", jsonschema.Draft4Validator, event),
    ):
        with open(path, encoding="utf-8") as file:
            validator(json.load(file)).validate(document)


def worker_environment():
    """The stack's worker.env; beside it only where the stand-in and the model are, and who we are there."""
    ours = {name: value for name, value in os.environ.items() if name.startswith("AWS_") or name in ("PATH", "HOME", "SSL_CERT_FILE")}
    settings = dict(line.split("=", 1) for line in OUTPUTS["worker_env_file"].splitlines())
    with open("README.md", encoding="utf-8") as file:
        explained = file.read()
    strange = [name for name in settings if f"`{name}`" not in explained]
    assert not strange, f"README.md knows no setting {strange}"
    # a port of its own, for other stacks may be tested beside this one
    return {**ours, **settings, "TRANSCRIPTION_MODELS_DIR": MODELS, "TRANSCRIPTION_HTTP": "127.0.0.1:0"}


def upload_to_index(index, announced=None):
    """A file is uploaded, and announced by us where S3 does not do it; the worker's event about it, and its transcripts."""
    begun = time.monotonic()
    with open("tests/audio/jfk.flac", "rb") as audio:
        s3.put_object(Bucket=UPLOADS, Key=TALK[0], Body=audio)
    if announced:
        announce(TALK)
    message = receive(index)
    assert message, "the index heard nothing"
    event = json.loads(message["Body"])
    valid(event)
    detail = event["detail"]
    assert (detail["status"], detail["userId"], detail["sourceAudio"]["key"]) == ("completed", "u7", TALK[0]), detail
    # S3 knows of no file id
    assert detail["fileId"] == TALK[1] or not announced, detail
    place = detail["transcriptLocation"]
    assert place["bucket"] == TRANSCRIPTS, place
    texts = {name: s3.get_object(Bucket=TRANSCRIPTS, Key=key) for name, key in place.items() if name.endswith("Key") and key}
    assert set(texts) == {"textKey", "jsonKey", "srtKey", "vttKey"}, set(texts)
    for name, found in texts.items():
        assert b"fellow" in found["Body"].read(), name
        assert found["ServerSideEncryption"] == "aws:kms" and found["SSEKMSKeyId"].endswith(HUB["kms_key_arn"].split("/")[-1]), name
    took = f"{time.monotonic() - begun:.1f} s, {len(texts)} renditions, encrypted with the hub's key"
    step(f"{announced or 'Object Created'} to Transcription Completed at the index queue in {took}")
    return detail


def failure_to_notifications(index, notified):
    s3.put_object(Bucket=UPLOADS, Key=BROKEN[0], Body=b"this is no audio")
    announce(BROKEN, "custom.frontend")
    # the transcript's end was told here too
    while (said := told(notified)["detail"])["status"] != "failed":
        pass
    assert receive(index, 3) is None, "the index hears of transcripts only"
    dead = receive(HUB["queues"]["dead"]["url"])
    assert dead["MessageAttributes"]["ErrorCode"]["StringValue"] == said["error"]["code"], dead
    assert json.loads(dead["Body"])["detail-type"] == "Audio Uploaded"
    step(f"a broken file: failed ({said['error']['code']}) at notifications, nothing at the index, its message among the dead")


def stranger_is_not_heard(index):
    announce(TALK, "custom.stranger")
    assert receive(index, 5) is None
    step("an unknown source becomes no job")


def replay(index, first):
    name, command = next(iter(HUB["replay_commands"].items()))
    words = command.split(" ")
    destination = json.loads(words[-1].strip("'"))
    archive = words[words.index("--event-source-arn") + 1]
    now = time.time()
    events.start_replay(ReplayName=f"again-{name}", EventSourceArn=archive, EventStartTime=now - 3600, EventEndTime=now, Destination=destination)
    message = receive(index)
    assert message, "the replay was not heard"
    again = json.loads(message["Body"])["detail"]
    assert (again["jobId"], again["status"], again["transcriptLocation"]) == (first["jobId"], "completed", first["transcriptLocation"]), again
    step("a replay by the output's command: the same job, told again")


def alarm_reaches_topic():
    heard = listen(HUB["alarm_topic_arn"], "alarms-heard")
    datum = {"MetricName": "ApproximateNumberOfMessagesVisible", "Dimensions": [{"Name": "QueueName", "Value": HUB["queues"]["dead"]["name"]}], "Value": 1}
    cloudwatch.put_metric_data(Namespace="AWS/SQS", MetricData=[datum])
    # the stand-in looks at no dimensions: other alarms about the same metric are told too
    wanted = (f"{HUB['dashboard']}-dead-jobs", "ALARM")
    while (alarm := told(heard)) and (alarm["AlarmName"], alarm["NewStateValue"]) != wanted:
        pass
    step("a dead job raises the alarm, and the topic delivers it")


def bridged(line):
    """What CloudWatch makes of a line in its metric format, which the stand-in does not look for in log groups."""
    for directive in line["_aws"]["CloudWatchMetrics"]:
        data = [
            {
                "MetricName": metric["Name"],
                "Unit": metric["Unit"],
                "Dimensions": [{"Name": name, "Value": line[name]} for name in dimensions],
                **({"Values": line[metric["Name"]]} if isinstance(line[metric["Name"]], list) else {"Value": line[metric["Name"]]}),
            }
            for dimensions in directive["Dimensions"]
            for metric in directive["Metrics"]
        ]
        cloudwatch.put_metric_data(Namespace=directive["Namespace"], MetricData=data)


def lost_lease_raises_alarm(environment):
    """A job's message is taken from under a worker: its metrics, as it writes them, make the alarm tell."""
    long = io.BytesIO()
    with wave.open("tests/audio/speech.wav", "rb") as clip, wave.open(long, "wb") as audio:
        audio.setparams(clip.getparams())
        audio.writeframes(clip.readframes(clip.getnframes()) * 200)
    s3.put_object(Bucket=UPLOADS, Key=LONG[0], Body=long.getvalue())
    heard = listen(HUB["alarm_topic_arn"], "lost-leases-heard")
    with at_work({**environment, "TRANSCRIPTION_VISIBILITY_SECS": "30", "TRANSCRIPTION_LANES": "1"}, "metrics") as log:
        announce(LONG)
        until = time.monotonic() + PATIENCE
        while time.monotonic() < until and not in_flight():
            time.sleep(0.2)
        sqs.purge_queue(QueueUrl=HUB["queues"]["jobs"]["url"])
        while time.monotonic() < until and not log_lines(log, "the lease was lost"):
            time.sleep(0.2)
    lines = [json.loads(line) for line in log_lines(log, '"_aws"')]
    assert lines, "the worker wrote no metrics"
    assert {line["Fleet"] for line in lines} == {HUB["dashboard"]}, "the fleet that alarms and dashboard look at"
    for line in lines:
        bridged(line)
    wanted = (f"{HUB['dashboard']}-lost-leases", "ALARM")
    while (alarm := told(heard)) and (alarm["AlarmName"], alarm["NewStateValue"]) != wanted:
        pass
    step("a lost lease is in the worker's metrics, raises the alarm, and the topic delivers it")


def dead_letter_is_processed(environment):
    """By the command that the stack names for a timer."""
    heard = listen(HUB["alarm_topic_arn"], "dead-letters-heard")
    reason = {name: {"DataType": "String", "StringValue": value} for name, value in (("ErrorCode", "WORKER_CRASHED"), ("ErrorMessage", "2 workers died"))}
    body = json.dumps({"job_id": "fatal", "s3_input_path": f"s3://{UPLOADS}/{TALK[0]}"})
    sqs.send_message(QueueUrl=HUB["queues"]["dead"]["url"], MessageBody=body, MessageAttributes=reason)
    command = HUB["process_commands"]["dead"].split(" ")
    done = subprocess.run([WORKER, *command[1:]], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0 and "archived fatal WORKER_CRASHED" in done.stdout, done.stdout + done.stderr
    message = receive(heard)
    assert message and "WORKER_CRASHED" in message["Body"], message
    # the replay's broken file is kept there too
    kept = [found["Key"] for found in s3.list_objects_v2(Bucket=TRANSCRIPTS, Prefix="dead-letters/failed-events/")["Contents"]]
    (key,) = (key for key in kept if "/Job/fatal-" in key)
    assert json.loads(s3.get_object(Bucket=TRANSCRIPTS, Key=key)["Body"].read())["originalEvent"] == json.loads(body)
    step("a dead letter is kept and told by the command of the outputs")


def in_flight():
    names = ["ApproximateNumberOfMessagesNotVisible"]
    return int(sqs.get_queue_attributes(QueueUrl=HUB["queues"]["jobs"]["url"], AttributeNames=names)["Attributes"][names[0]])


def log_lines(log, text):
    with open(log, encoding="utf-8") as file:
        return [line for line in file if text in line]


@contextlib.contextmanager
def at_work(environment, name="worker"):
    """The worker, until the end of the block; then it drains. Its log is the answer."""
    path = f"target/test-stack-{name}.log"
    with open(path, "w", encoding="utf-8") as log:
        worker = subprocess.Popen([WORKER, "run"], env=environment, stdout=log, stderr=subprocess.STDOUT)
        try:
            yield path
            worker.terminate()
            assert worker.wait(60) == 0, "the worker did not drain"
        finally:
            worker.kill()


def main():
    environment, index = worker_environment(), OUTPUTS["index_queue_url"]
    if sys.argv[4:] == ["s3"]:
        with at_work(environment):
            upload_to_index(index)
        return
    checked = subprocess.run([WORKER, "check"], env=environment, capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stdout + checked.stderr
    step("check is content with worker.env alone")
    notified = listen(OUTPUTS["notifications_topic_arn"], "notifications-heard")
    with at_work(environment):
        first = upload_to_index(index, "Audio Uploaded")
        failure_to_notifications(index, notified)
        stranger_is_not_heard(index)
        replay(index, first)
        alarm_reaches_topic()
    dead_letter_is_processed(environment)
    lost_lease_raises_alarm(environment)
    for name in ("jobs", "undelivered"):
        assert receive(HUB["queues"][name]["url"], 2) is None, f"something is left in {name}"
    step("nothing is left in the job queue, nothing was undelivered")


main()
