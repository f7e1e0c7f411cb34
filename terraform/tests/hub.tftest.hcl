# The hub without fleet: what becomes a job, who hears of its end, who may do what. No server, no network.

mock_provider "aws" {
  source = "./tests/mocks"
}

override_resource {
  target = aws_sqs_queue.jobs
  values = { arn = "arn:aws:sqs:eu-central-1:123456789012:transcription-jobs", url = "https://sqs.eu-central-1.amazonaws.com/123456789012/transcription-jobs" }
}
override_resource {
  target = aws_sqs_queue.dead
  values = { arn = "arn:aws:sqs:eu-central-1:123456789012:transcription-jobs-dead", url = "https://sqs.eu-central-1.amazonaws.com/123456789012/transcription-jobs-dead" }
}

run "an_upload_of_a_known_source_becomes_a_job" {
  assert {
    condition = jsondecode(aws_cloudwatch_event_rule.upload["audio-uploaded"].event_pattern) == {
      source        = ["custom.frontend", "custom.audio-service", "custom.upload-service"]
      "detail-type" = ["Audio Uploaded"]
    }
    error_message = "the rule must match the detail-type of the three sources"
  }
  assert {
    condition     = aws_cloudwatch_event_target.upload["audio-uploaded"].arn == aws_sqs_queue.jobs.arn
    error_message = "the rule's target is the job queue itself"
  }
  assert {
    condition     = aws_cloudwatch_event_target.upload["audio-uploaded"].dead_letter_config[0].arn == aws_sqs_queue.undelivered.arn
    error_message = "what cannot be delivered goes to the queue of undelivered events"
  }
  assert {
    condition     = aws_cloudwatch_event_target.upload["audio-uploaded"].retry_policy[0].maximum_event_age_in_seconds == 86400
    error_message = "a day of retries"
  }
  assert {
    condition     = length(aws_cloudwatch_event_rule.upload) == 1
    error_message = "an upload is announced once"
  }
}

run "jobs_survive_interruptions_and_keep_their_dead" {
  assert {
    condition     = jsondecode(aws_sqs_queue.jobs.redrive_policy) == { deadLetterTargetArn = aws_sqs_queue.dead.arn, maxReceiveCount = 8 }
    error_message = "the job queue has dead letters after 8 receives"
  }
  assert {
    condition     = jsondecode(aws_sqs_queue_redrive_allow_policy.dead.redrive_allow_policy).redrivePermission == "byQueue"
    error_message = "no other queue dies into ours"
  }
  assert {
    condition     = alltrue([for queue in [aws_sqs_queue.jobs, aws_sqs_queue.dead, aws_sqs_queue.undelivered] : queue.sqs_managed_sse_enabled && queue.message_retention_seconds == 1209600])
    error_message = "queues are encrypted and keep what they have for 14 days"
  }
  assert {
    condition     = [for statement in jsondecode(aws_sqs_queue_policy.jobs.policy).Statement : statement.Principal.Service if statement.Effect == "Allow"] == ["events.amazonaws.com"]
    error_message = "only EventBridge may send"
  }
  assert {
    condition     = length([for statement in jsondecode(aws_sqs_queue_policy.jobs.policy).Statement : statement if statement.Effect == "Allow" && !can(statement.Condition.ArnEquals["aws:SourceArn"])]) == 0
    error_message = "and only for rules that are named"
  }
}

run "too_few_receives_are_refused" {
  command = plan
  variables {
    max_receive_count = 4
  }
  expect_failures = [var.max_receive_count]
}

run "a_name_too_long_for_buckets_is_refused" {
  command = plan
  variables {
    name = "transcription-staging"
  }
  expect_failures = [var.name]
}

run "both_announcements_are_warned_of" {
  command = plan
  variables {
    object_created = { enabled = true }
  }
  expect_failures = [check.one_announcement]
}

run "s3_can_announce_uploads" {
  variables {
    audio_uploaded = { enabled = false }
    object_created = { enabled = true, prefixes = ["uploads/", "audio/"] }
    upload_buckets = ["voices"]
  }
  assert {
    condition = jsondecode(aws_cloudwatch_event_rule.upload["object-created"].event_pattern) == {
      source        = ["aws.s3"]
      "detail-type" = ["Object Created"]
      detail        = { bucket = { name = ["voices"] }, object = { key = [{ prefix = "uploads/" }, { prefix = "audio/" }] } }
    }
    error_message = "objects of that bucket with those prefixes"
  }
  assert {
    condition     = aws_cloudwatch_event_rule.upload["object-created"].event_bus_name == "default"
    error_message = "S3 announces on the default bus alone"
  }
  assert {
    condition     = aws_cloudwatch_event_archive.uploads["object-created"].event_source_arn == "arn:aws:events:eu-central-1:123456789012:event-bus/default"
    error_message = "and is archived there"
  }
  assert {
    condition     = keys(aws_s3_bucket.made) == ["transcripts"]
    error_message = "a bucket that is there is not made"
  }
}

run "targets_hear_the_statuses_they_asked_for" {
  variables {
    completed_targets = {
      index  = { arn = "arn:aws:sqs:eu-central-1:123456789012:index", statuses = ["completed", "partial"] }
      mailer = { arn = "arn:aws:lambda:eu-central-1:123456789012:function:mailer", kind = "function" }
    }
  }
  assert {
    condition = jsondecode(aws_cloudwatch_event_rule.completed["index"].event_pattern) == {
      source        = ["custom.transcription-service"]
      "detail-type" = ["Transcription Completed"]
      detail        = { status = ["completed", "partial"] }
    }
    error_message = "the index hears of transcripts"
  }
  assert {
    condition     = jsondecode(aws_cloudwatch_event_rule.completed["mailer"].event_pattern).detail.status == ["completed", "partial", "failed"]
    error_message = "who names no status hears all"
  }
  assert {
    condition     = keys(aws_lambda_permission.completed) == ["mailer"]
    error_message = "functions get their permission"
  }
  assert {
    condition     = alltrue([for target in aws_cloudwatch_event_target.completed : target.dead_letter_config[0].arn == aws_sqs_queue.undelivered.arn])
    error_message = "what cannot be delivered is kept"
  }
}

run "a_status_that_is_none_is_refused" {
  command = plan
  variables {
    completed_targets = { index = { arn = "arn:aws:sqs:eu-central-1:123456789012:index", statuses = ["done"] } }
  }
  expect_failures = [var.completed_targets]
}

run "only_uploads_are_replayed_to_the_upload_rule_alone" {
  assert {
    condition     = aws_cloudwatch_event_archive.uploads["audio-uploaded"].event_pattern == aws_cloudwatch_event_rule.upload["audio-uploaded"].event_pattern
    error_message = "the archive keeps what the rule matches"
  }
  assert {
    condition     = strcontains(output.replay_commands["audio-uploaded"], "\"FilterArns\":[\"${aws_cloudwatch_event_rule.upload["audio-uploaded"].arn}\"]")
    error_message = "the replay goes to that rule"
  }
  assert {
    condition = one([for statement in jsondecode(aws_iam_policy.operator.policy).Statement : statement.Resource if statement.Sid == "Replays"]) == [
      "arn:aws:events:eu-central-1:123456789012:archive/archive", "arn:aws:events:eu-central-1:123456789012:event-bus/transcription", "arn:aws:events:eu-central-1:123456789012:replay/*",
    ]
    error_message = "an operator may start it: archive, bus and replay"
  }
}

run "nothing_is_archived_for_no_days" {
  variables {
    archive_days = 0
  }
  assert {
    condition     = length(aws_cloudwatch_event_archive.uploads) == 0 && length(output.replay_commands) == 0
    error_message = "no archive"
  }
}

run "an_existing_bus_is_used" {
  variables {
    event_bus_name = "default"
  }
  assert {
    condition     = length(aws_cloudwatch_event_bus.hub) == 0 && output.event_bus.arn == "arn:aws:events:eu-central-1:123456789012:event-bus/default"
    error_message = "no bus is made"
  }
  assert {
    condition     = local.hub_alarms["lost-audio-uploaded"].dimensions == { RuleName = "transcription-audio-uploaded" }
    error_message = "rules of the default bus are counted without their bus"
  }
}

run "there_is_no_fleet_without_an_image" {
  assert {
    condition     = length(aws_launch_template.worker) + length(aws_autoscaling_group.worker) + length(aws_security_group.worker) == 0
    error_message = "no instances"
  }
}
