# The worker's settings and its role.

mock_provider "aws" {
  source = "./tests/mocks"
}

override_resource {
  target = aws_sqs_queue.jobs
  values = { arn = "arn:aws:sqs:eu-central-1:123456789012:transcription-jobs", url = "https://sqs.eu-central-1.amazonaws.com/123456789012/transcription-jobs" }
}
override_resource {
  target = aws_sqs_queue.dead
  values = { arn = "arn:aws:sqs:eu-central-1:123456789012:transcription-jobs-dead" }
}
override_resource {
  target = aws_cloudwatch_event_bus.hub
  values = { arn = "arn:aws:events:eu-central-1:123456789012:event-bus/transcription" }
}
override_resource {
  target = aws_cloudwatch_log_group.worker
  values = { arn = "arn:aws:logs:eu-central-1:123456789012:log-group:/transcription-worker/transcription" }
}

run "outputs_are_worker_env" {
  variables {
    transcript_prefix = "transcripts/"
    worker_settings   = { TRANSCRIPTION_MODEL = "large-v3-turbo" }
  }
  assert {
    condition     = output.worker_env_file == <<-ENV
      AWS_REGION=eu-central-1
      TRANSCRIPTION_ALLOW_INPUT_BUCKETS=transcription-uploads-123456789012-eu-central-1
      TRANSCRIPTION_ALLOW_OUTPUT_PREFIXES=s3://transcription-transcripts-123456789012-eu-central-1/transcripts/
      TRANSCRIPTION_DRAIN_SECS=90
      TRANSCRIPTION_EMF=stdout
      TRANSCRIPTION_EVENT_BUS=transcription
      TRANSCRIPTION_FLEET=transcription
      TRANSCRIPTION_MODEL=large-v3-turbo
      TRANSCRIPTION_OUTPUT_BUCKET=transcription-transcripts-123456789012-eu-central-1
      TRANSCRIPTION_OUTPUT_PREFIX=transcripts/
      TRANSCRIPTION_QUEUE_URL=https://sqs.eu-central-1.amazonaws.com/123456789012/transcription-jobs
    ENV
    error_message = "the whole file: ${output.worker_env_file}"
  }
}

run "a_setting_of_two_lines_is_refused" {
  command = plan
  variables {
    worker_settings = { TRANSCRIPTION_PROMPT = "one\nTRANSCRIPTION_QUEUE_URL=elsewhere" }
  }
  expect_failures = [var.worker_settings]
}

run "the_role_is_what_the_worker_needs" {
  variables {
    transcript_prefix = "transcripts/"
  }
  assert {
    condition = { for statement in jsondecode(aws_iam_role_policy.worker.policy).Statement : statement.Sid => { actions = statement.Action, resource = statement.Resource } } == {
      Jobs = {
        actions  = ["sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:ChangeMessageVisibility", "sqs:GetQueueAttributes", "sqs:GetQueueUrl"]
        resource = "arn:aws:sqs:eu-central-1:123456789012:transcription-jobs"
      }
      DeadLetters = { actions = ["sqs:GetQueueUrl", "sqs:SendMessage"], resource = "arn:aws:sqs:eu-central-1:123456789012:transcription-jobs-dead" }
      Audio       = { actions = "s3:GetObject", resource = ["arn:aws:s3:::transcription-uploads-123456789012-eu-central-1/*"] }
      Transcripts = {
        actions  = ["s3:GetObject", "s3:PutObject", "s3:DeleteObject"]
        resource = "arn:aws:s3:::transcription-transcripts-123456789012-eu-central-1/transcripts/*"
      }
      TemporaryObjects = { actions = "s3:PutObjectTagging", resource = "arn:aws:s3:::transcription-transcripts-123456789012-eu-central-1/transcripts/*" }
      MissingIsNotForbidden = {
        actions  = "s3:ListBucket"
        resource = ["arn:aws:s3:::transcription-uploads-123456789012-eu-central-1", "arn:aws:s3:::transcription-transcripts-123456789012-eu-central-1"]
      }
      Events = { actions = "events:PutEvents", resource = "arn:aws:events:eu-central-1:123456789012:event-bus/transcription" }
      Bus    = { actions = "events:DescribeEventBus", resource = "arn:aws:events:eu-central-1:123456789012:event-bus/transcription" }
      Logs = {
        actions  = ["logs:CreateLogStream", "logs:PutLogEvents", "logs:DescribeLogStreams"]
        resource = "arn:aws:logs:eu-central-1:123456789012:log-group:/transcription-worker/transcription:*"
      }
      AgentMetrics = { actions = "cloudwatch:PutMetricData", resource = "*" }
    }
    error_message = "every action and resource, and no other"
  }
  assert {
    condition     = one([for statement in jsondecode(aws_iam_role_policy.worker.policy).Statement : statement.Condition.StringEquals["events:source"] if statement.Sid == "Events"]) == "custom.transcription-service"
    error_message = "in its own name"
  }
  assert {
    condition     = jsondecode(aws_iam_role.worker.assume_role_policy).Statement[0].Principal.Service == "ec2.amazonaws.com"
    error_message = "for instances alone"
  }
}

run "producers_speak_for_known_sources_only" {
  assert {
    condition     = jsondecode(aws_iam_policy.producer.policy).Statement[0].Condition.StringEquals["events:source"] == ["custom.frontend", "custom.audio-service", "custom.upload-service"]
    error_message = "nobody but the worker says that a transcription is completed"
  }
}
