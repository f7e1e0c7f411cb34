"""AWS and the instance's metadata on loopback: a stand-in server, and a service that speaks IMDSv2."""
import http.server
import json
import os
import socket
import subprocess
import threading
import urllib.parse
import urllib.request

import botocore.session

from machine import wait

ACCOUNT, REGION = "111122223333", "us-east-1"
AUDIO, TRANSCRIPTS, BUS = "audio", "transcripts", "transcription"


def free_port():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


class Cloud:
    """Queue, dead letters, buckets and a bus whose events arrive at a queue."""

    def __init__(self, ministack, log):
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        environment = {**os.environ, "BIND_HOST": "127.0.0.1", "MINISTACK_HOST": "127.0.0.1", "GATEWAY_PORT": str(self.port)}
        with open(log, "wb") as output:
            self.server = subprocess.Popen([ministack], env=environment, stdout=output, stderr=output)
        wait("the stand-in for AWS", self.is_there)
        session = botocore.session.get_session()
        session.set_credentials(ACCOUNT, "none")
        client = lambda name: session.create_client(name, endpoint_url=self.url, region_name=REGION)  # noqa: E731
        self.sqs, self.s3, self.events = client("sqs"), client("s3"), client("events")
        self.dead = self.queue("dead")
        redrive = {"deadLetterTargetArn": self.arn("dead"), "maxReceiveCount": "8"}
        self.jobs = self.queue("jobs", RedrivePolicy=json.dumps(redrive))
        self.heard = self.queue("heard")
        for bucket in (AUDIO, TRANSCRIPTS):
            self.s3.create_bucket(Bucket=bucket)
        self.events.create_event_bus(Name=BUS)
        pattern = json.dumps({"source": ["custom.transcription-service"], "detail-type": ["Transcription Completed"]})
        self.events.put_rule(Name="heard", EventBusName=BUS, EventPattern=pattern)
        self.events.put_targets(Rule="heard", EventBusName=BUS, Targets=[{"Id": "heard", "Arn": self.arn("heard")}])

    def is_there(self):
        try:
            with urllib.request.urlopen(f"{self.url}/_ministack/health", timeout=1):
                return True
        except OSError:
            assert self.server.poll() is None, "the stand-in for AWS ended"
            return False

    def queue(self, name, **attributes):
        return self.sqs.create_queue(QueueName=name, Attributes=attributes)["QueueUrl"]

    @staticmethod
    def arn(name):
        return f"arn:aws:sqs:{REGION}:{ACCOUNT}:{name}"

    def job(self, name, audio):
        """Uploads audio and sends a job for it."""
        with open(audio, "rb") as body:
            self.s3.put_object(Bucket=AUDIO, Key=name, Body=body.read())
        self.send(name)

    def send(self, name):
        body = {"job_id": name, "user_id": "u", "file_id": name, "s3_input_path": f"s3://{AUDIO}/{name}"}
        self.sqs.send_message(QueueUrl=self.jobs, MessageBody=json.dumps(body))

    def event(self, name, seconds=180):
        """The detail of the event about a job; others are passed over."""
        found = []

        def look():
            for message in self.sqs.receive_message(QueueUrl=self.heard, WaitTimeSeconds=1, MaxNumberOfMessages=10).get("Messages", []):
                self.sqs.delete_message(QueueUrl=self.heard, ReceiptHandle=message["ReceiptHandle"])
                detail = json.loads(message["Body"])["detail"]
                found.extend([detail] if detail["jobId"] == name else [])
            return found

        wait(f"the event about {name}", look, seconds)
        return found[0]

    def keys(self, part):
        """Transcripts' keys that contain this."""
        listed = self.s3.list_objects_v2(Bucket=TRANSCRIPTS).get("Contents", [])
        return [item["Key"] for item in listed if part in item["Key"]]

    def depth(self, url):
        """Messages that are visible, and that are not."""
        names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
        found = self.sqs.get_queue_attributes(QueueUrl=url, AttributeNames=names)["Attributes"]
        return tuple(int(found[name]) for name in names)

    def off(self):
        self.server.kill()
        self.server.wait()


class Service:
    """A service on loopback that answers as a handler does."""

    def __init__(self, handler):
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
        # a worker that is killed answers nobody
        self.server.handle_error = lambda *_: None
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def off(self):
        self.server.shutdown()


class Handler(http.server.BaseHTTPRequestHandler):
    """What handlers share: whole answers, and no log."""

    protocol_version = "HTTP/1.1"

    def say(self, status, text, **headers):
        self.send_response(status)
        self.send_header("Content-Length", str(len(text)))
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(text.encode())

    def log_message(self, *_):  # pylint: disable=arguments-differ
        pass


class Metadata(Service):
    """The instance's metadata: a role's credentials, and what is armed."""

    def __init__(self):
        credentials = {"Code": "Success", "Type": "AWS-HMAC", "AccessKeyId": ACCOUNT, "SecretAccessKey": "none", "Token": "none",
                       "LastUpdated": "2020-01-01T00:00:00Z", "Expiration": "2099-01-01T00:00:00Z"}
        self.bodies = {
            "/latest/meta-data/instance-id": "i-0123456789abcdef0",
            "/latest/meta-data/placement/region": REGION,
            "/latest/meta-data/iam/security-credentials/": "worker",
            "/latest/meta-data/iam/security-credentials/worker": json.dumps(credentials),
            "/latest/meta-data/autoscaling/target-lifecycle-state": "InService",
        }
        bodies = self.bodies

        class Answer(Handler):
            def token(self, status, text):
                self.say(status, text, X_aws_ec2_metadata_token_ttl_seconds="21600")

            def do_PUT(self):  # pylint: disable=invalid-name
                self.token(200, "token")

            def do_GET(self):  # pylint: disable=invalid-name
                if self.headers.get("X-aws-ec2-metadata-token") != "token":
                    self.token(401, "")
                elif self.path in bodies:
                    self.token(200, bodies[self.path])
                else:
                    self.token(404, "")

        super().__init__(Answer)


class Group(Service):
    """The Auto Scaling API as far as a worker calls it: it remembers what it was asked."""

    def __init__(self):
        self.asked = asked = []

        class Answer(Handler):
            def do_POST(self):  # pylint: disable=invalid-name
                body = self.rfile.read(int(self.headers["Content-Length"])).decode()
                asked.append({name: values[0] for name, values in urllib.parse.parse_qs(body).items()})
                action = asked[-1]["Action"]
                text = f"<{action}Response><{action}Result/><ResponseMetadata><RequestId>1</RequestId></ResponseMetadata></{action}Response>"
                self.say(200, text, Content_Type="text/xml")

        super().__init__(Answer)

    def actions(self):
        return [request["Action"] for request in self.asked]
