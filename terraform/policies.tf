# For others, to attach to roles of theirs: who announces uploads, and who looks after the hub.

resource "aws_iam_policy" "producer" {
  name        = "${var.name}-producer-${local.region}"
  description = "Announce uploads, in the name of a known source"
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Sid      = "AudioUploaded"
      Effect   = "Allow"
      Action   = "events:PutEvents"
      Resource = local.bus_arn
      # nobody but the worker says that a transcription is completed
      Condition = {
        StringEquals = { "events:source" = var.audio_uploaded.sources, "events:detail-type" = "Audio Uploaded" }
      }
    }]
  })
  tags = local.tags
}

locals {
  # where `dlq process` keeps what is not sent again
  dead_letter_folder = "dead-letters/"
}

resource "aws_iam_policy" "operator" {
  name        = "${var.name}-operator-${local.region}"
  description = "Look at the queues, deal with dead jobs, replay uploads, set the size of the fleet"
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = concat(
      [
        {
          # `dlq list` and `dlq redrive`, or SQS's own redrive
          Sid    = "Queues"
          Effect = "Allow"
          Action = [
            "sqs:GetQueueAttributes", "sqs:GetQueueUrl", "sqs:ReceiveMessage", "sqs:ChangeMessageVisibility", "sqs:DeleteMessage",
            "sqs:SendMessage", "sqs:StartMessageMoveTask", "sqs:ListMessageMoveTasks", "sqs:CancelMessageMoveTask",
          ]
          Resource = [aws_sqs_queue.jobs.arn, aws_sqs_queue.dead.arn, aws_sqs_queue.undelivered.arn]
        },
      ],
      [
        {
          # `dlq process`: what is kept of dead letters, who is told of them, and events that are published again
          Sid      = "DeadLetterArchive"
          Effect   = "Allow"
          Action   = ["s3:GetObject", "s3:PutObject"]
          Resource = "${local.transcript_bucket_arn}/${local.dead_letter_folder}*"
        },
        {
          Sid      = "DeadLetterAlerts"
          Effect   = "Allow"
          Action   = "sns:Publish"
          Resource = local.alarm_topic_arn
        },
        {
          Sid       = "EventsAgain"
          Effect    = "Allow"
          Action    = "events:PutEvents"
          Resource  = local.bus_arn
          Condition = { StringEquals = { "events:source" = distinct(concat(var.audio_uploaded.sources, [local.worker_source])) } }
        },
        {
          # without it a letter that was never sent again looks like a forbidden object
          Sid       = "DeadLetterMissing"
          Effect    = "Allow"
          Action    = "s3:ListBucket"
          Resource  = local.transcript_bucket_arn
          Condition = { StringLike = { "s3:prefix" = "${local.dead_letter_folder}*" } }
        },
      ],
      length(aws_cloudwatch_event_archive.uploads) == 0 ? [] : [
        {
          Sid    = "Replays"
          Effect = "Allow"
          Action = ["events:StartReplay", "events:DescribeReplay", "events:CancelReplay", "events:DescribeArchive"]
          # a replay is checked against the bus that it goes to, too
          Resource = concat(
            [for archive in aws_cloudwatch_event_archive.uploads : archive.arn],
            [for rule in local.upload_rules : rule.bus_arn],
            ["arn:${local.partition}:events:${local.region}:${local.account}:replay/*"],
          )
        },
      ],
      length(local.worker_key_arns) == 0 ? [] : [
        {
          Sid      = "QueueKey"
          Effect   = "Allow"
          Action   = ["kms:Decrypt", "kms:GenerateDataKey"]
          Resource = local.worker_key_arns
        },
      ],
      var.fleet == null ? [] : [
        {
          Sid      = "Fleet"
          Effect   = "Allow"
          Action   = ["autoscaling:SetDesiredCapacity", "autoscaling:StartInstanceRefresh", "autoscaling:CancelInstanceRefresh"]
          Resource = ["arn:${local.partition}:autoscaling:${local.region}:${local.account}:autoScalingGroup:*:autoScalingGroupName/${local.group_name}"]
        },
      ],
    )
  })
  tags = local.tags
}
