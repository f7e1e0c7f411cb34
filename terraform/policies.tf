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

resource "aws_iam_policy" "operator" {
  name        = "${var.name}-operator-${local.region}"
  description = "Look at the queues, send dead jobs again, replay uploads, set the size of the fleet"
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
