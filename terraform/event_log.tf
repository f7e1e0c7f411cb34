# Every event of the hub, readable in CloudWatch: the flow of one job is a query for its file id.

resource "aws_cloudwatch_log_group" "events" {
  #checkov:skip=CKV_AWS_338:a year of events is the archive's work and the operator's choice (log_days)
  #checkov:skip=CKV_AWS_158:a log group is encrypted without a key of ours; with create_kms_key or kms_key_arn it is ours
  count = var.event_log ? 1 : 0

  # EventBridge may only write to names below this
  name              = "/aws/events/${var.name}"
  retention_in_days = var.log_days
  kms_key_id        = local.kms_key_arn
  tags              = local.tags
}

resource "aws_cloudwatch_log_resource_policy" "events" {
  count = var.event_log ? 1 : 0

  policy_name = "${var.name}-events"
  policy_document = jsonencode({
    Version = "2012-10-17"
    # no condition on the rule: EventBridge checks this policy without one
    Statement = [{
      Sid       = "EventsWrite"
      Effect    = "Allow"
      Principal = { Service = ["events.amazonaws.com", "delivery.logs.amazonaws.com"] }
      Action    = ["logs:CreateLogStream", "logs:PutLogEvents"]
      Resource  = "${aws_cloudwatch_log_group.events[0].arn}:*"
    }]
  })
}

resource "aws_cloudwatch_event_rule" "log" {
  count = var.event_log ? 1 : 0

  name           = "${var.name}-log"
  description    = "Every event of the known sources into the log"
  event_bus_name = local.bus_name
  event_pattern  = jsonencode({ source = distinct(concat(var.audio_uploaded.sources, [local.worker_source])) })
  tags           = local.tags
}

resource "aws_cloudwatch_event_target" "log" {
  count = var.event_log ? 1 : 0

  rule           = aws_cloudwatch_event_rule.log[0].name
  event_bus_name = local.bus_name
  target_id      = "log"
  arn            = aws_cloudwatch_log_group.events[0].arn

  depends_on = [aws_cloudwatch_log_resource_policy.events]
}
