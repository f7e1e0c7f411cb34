# An upload becomes a job: the event goes into the job queue as it is, the worker reads it as it is.

locals {
  upload_rules = merge(
    var.audio_uploaded.enabled ? {
      audio-uploaded = {
        bus         = local.bus_name
        bus_arn     = local.bus_arn
        description = "Audio Uploaded becomes a job"
        pattern     = { source = var.audio_uploaded.sources, "detail-type" = ["Audio Uploaded"] }
      }
    } : {},
    var.object_created.enabled ? {
      object-created = {
        # S3 knows no other bus
        bus         = "default"
        bus_arn     = "arn:${local.partition}:events:${local.region}:${local.account}:event-bus/default"
        description = "A new object becomes a job"
        pattern = {
          source        = ["aws.s3"]
          "detail-type" = ["Object Created"]
          detail = merge(
            { bucket = { name = local.upload_buckets } },
            length(var.object_created.prefixes) == 0 ? {} : {
              object = { key = [for prefix in var.object_created.prefixes : { prefix = prefix }] }
            },
          )
        }
      }
    } : {},
  )
}

resource "aws_cloudwatch_event_rule" "upload" {
  for_each = local.upload_rules

  name           = "${var.name}-${each.key}"
  description    = each.value.description
  event_bus_name = each.value.bus
  event_pattern  = jsonencode(each.value.pattern)
  tags           = local.tags
}

resource "aws_cloudwatch_event_target" "upload" {
  for_each = local.upload_rules

  rule           = aws_cloudwatch_event_rule.upload[each.key].name
  event_bus_name = each.value.bus
  target_id      = "jobs"
  arn            = aws_sqs_queue.jobs.arn

  dead_letter_config {
    arn = aws_sqs_queue.undelivered.arn
  }
  retry_policy {
    maximum_event_age_in_seconds = var.delivery.max_age_seconds
    maximum_retry_attempts       = var.delivery.max_attempts
  }

  # an event that comes before the queue lets it in would be dead at once
  depends_on = [aws_sqs_queue_policy.jobs, aws_sqs_queue_policy.undelivered]
}

check "one_announcement" {
  assert {
    condition     = length(local.upload_rules) > 0
    error_message = "Neither audio_uploaded nor object_created is enabled: nothing becomes a job but what is sent to the queue."
  }
  assert {
    condition     = length(local.upload_rules) < 2
    error_message = "audio_uploaded and object_created are both enabled: an upload that both announce is transcribed twice."
  }
}
