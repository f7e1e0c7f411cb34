# Jobs, the jobs that could not be done, and the events that reached no target. What is dead is kept as long as SQS can.

locals {
  fourteen_days = 1209600
  # EventBridge sends for these rules and no others
  upload_rule_arns = [for rule in aws_cloudwatch_event_rule.upload : rule.arn]
  target_rule_arns = concat(local.upload_rule_arns, [for rule in aws_cloudwatch_event_rule.completed : rule.arn])
}

resource "aws_sqs_queue" "jobs" {
  name = "${var.name}-jobs"
  # the worker asks for its own with each receive; this is for whoever looks in by hand
  visibility_timeout_seconds = 120
  receive_wait_time_seconds  = 20
  # a fleet may find no capacity for days
  message_retention_seconds = local.fourteen_days
  redrive_policy            = jsonencode({ deadLetterTargetArn = aws_sqs_queue.dead.arn, maxReceiveCount = var.max_receive_count })
  # a key of ours, or SQS's own
  sqs_managed_sse_enabled           = local.kms_key_arn == null ? true : null
  kms_master_key_id                 = local.kms_key_arn
  kms_data_key_reuse_period_seconds = local.kms_key_arn == null ? null : 3600
  tags                              = local.tags
}

resource "aws_sqs_queue" "dead" {
  name                              = "${var.name}-jobs-dead"
  message_retention_seconds         = local.fourteen_days
  sqs_managed_sse_enabled           = local.kms_key_arn == null ? true : null
  kms_master_key_id                 = local.kms_key_arn
  kms_data_key_reuse_period_seconds = local.kms_key_arn == null ? null : 3600
  tags                              = local.tags
}

resource "aws_sqs_queue_redrive_allow_policy" "dead" {
  queue_url            = aws_sqs_queue.dead.url
  redrive_allow_policy = jsonencode({ redrivePermission = "byQueue", sourceQueueArns = [aws_sqs_queue.jobs.arn] })
}

resource "aws_sqs_queue" "undelivered" {
  name                              = "${var.name}-undelivered"
  message_retention_seconds         = local.fourteen_days
  sqs_managed_sse_enabled           = local.kms_key_arn == null ? true : null
  kms_master_key_id                 = local.kms_key_arn
  kms_data_key_reuse_period_seconds = local.kms_key_arn == null ? null : 3600
  tags                              = local.tags
}

resource "aws_sqs_queue_policy" "jobs" {
  queue_url = aws_sqs_queue.jobs.url
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = concat(
      [merge(local.transport, { Action = "sqs:*", Resource = aws_sqs_queue.jobs.arn })],
      # a list of no rules would be a condition that nothing meets, and SQS refuses it
      length(local.upload_rules) == 0 ? [] : [{
        Sid       = "UploadRules"
        Effect    = "Allow"
        Principal = { Service = "events.amazonaws.com" }
        Action    = "sqs:SendMessage"
        Resource  = aws_sqs_queue.jobs.arn
        Condition = { ArnEquals = { "aws:SourceArn" = local.upload_rule_arns } }
      }],
    )
  })
}

resource "aws_sqs_queue_policy" "dead" {
  queue_url = aws_sqs_queue.dead.url
  policy = jsonencode({
    Version   = "2012-10-17"
    Statement = [merge(local.transport, { Action = "sqs:*", Resource = aws_sqs_queue.dead.arn })]
  })
}

resource "aws_sqs_queue_policy" "undelivered" {
  queue_url = aws_sqs_queue.undelivered.url
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = concat(
      [merge(local.transport, { Action = "sqs:*", Resource = aws_sqs_queue.undelivered.arn })],
      length(local.upload_rules) + length(var.completed_targets) == 0 ? [] : [{
        Sid       = "RulesOfTheHub"
        Effect    = "Allow"
        Principal = { Service = "events.amazonaws.com" }
        Action    = "sqs:SendMessage"
        Resource  = aws_sqs_queue.undelivered.arn
        Condition = { ArnEquals = { "aws:SourceArn" = local.target_rule_arns } }
      }],
    )
  })
}
