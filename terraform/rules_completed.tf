# The end of a job goes to those who asked for it, by status.

locals {
  completed_functions = { for name, target in var.completed_targets : name => target if target.kind == "function" }
}

resource "aws_cloudwatch_event_rule" "completed" {
  for_each = var.completed_targets

  name           = "${var.name}-completed-${each.key}"
  description    = "Transcription Completed (${join(", ", each.value.statuses)}) to ${each.key}"
  event_bus_name = local.bus_name
  event_pattern = jsonencode({
    source        = [local.worker_source]
    "detail-type" = ["Transcription Completed"]
    detail        = { status = each.value.statuses }
  })
  tags = local.tags
}

resource "aws_cloudwatch_event_target" "completed" {
  for_each = var.completed_targets

  rule           = aws_cloudwatch_event_rule.completed[each.key].name
  event_bus_name = local.bus_name
  target_id      = each.key
  arn            = each.value.arn
  role_arn       = each.value.role_arn

  dead_letter_config {
    arn = aws_sqs_queue.undelivered.arn
  }
  retry_policy {
    maximum_event_age_in_seconds = var.delivery.max_age_seconds
    maximum_retry_attempts       = var.delivery.max_attempts
  }

  depends_on = [aws_sqs_queue_policy.undelivered]
}

resource "aws_lambda_permission" "completed" {
  for_each = local.completed_functions

  statement_id  = "${var.name}-completed-${each.key}"
  action        = "lambda:InvokeFunction"
  function_name = each.value.arn
  principal     = "events.amazonaws.com"
  source_arn    = aws_cloudwatch_event_rule.completed[each.key].arn
}
