# What goes wrong around the worker, seen in AWS's own metrics: these work without a line from the worker.

locals {
  # one metric each; quiet is good
  hub_alarms = merge(
    {
      dead-jobs = {
        says      = "Jobs could not be done: `transcription-worker dlq list` tells why"
        namespace = "AWS/SQS", metric = local.queue_metric.visible, dimensions = { QueueName = aws_sqs_queue.dead.name }
        statistic = "Maximum", above = 0, minutes = 5
      }
      undelivered-events = {
        says      = "Events reached no target: the messages' attributes name rule, target and error"
        namespace = "AWS/SQS", metric = local.queue_metric.visible, dimensions = { QueueName = aws_sqs_queue.undelivered.name }
        statistic = "Maximum", above = 0, minutes = 5
      }
      oldest-job = {
        says      = "A job has been in the queue for longer than ${var.thresholds.oldest_job_minutes} minutes"
        namespace = "AWS/SQS", metric = local.queue_metric.oldest, dimensions = { QueueName = aws_sqs_queue.jobs.name }
        statistic = "Maximum", above = var.thresholds.oldest_job_minutes * 60, minutes = 5
      }
    },
    # an event that could not even become a dead letter is gone
    { for name, rule in merge(aws_cloudwatch_event_rule.upload, { for target, rule in aws_cloudwatch_event_rule.completed : "completed-${target}" => rule }) :
      "lost-${name}" => {
        says      = "Events of rule ${rule.name} reached neither their target nor the queue of undelivered events"
        namespace = "AWS/Events", metric = "InvocationsFailedToBeSentToDlq"
        # rules of the default bus are counted without their bus
        dimensions = merge({ RuleName = rule.name }, rule.event_bus_name == "default" ? {} : { EventBusName = rule.event_bus_name })
        statistic  = "Sum", above = 0, minutes = 5
      }
    },
  )
}

resource "aws_cloudwatch_metric_alarm" "hub" {
  for_each = local.hub_alarms

  alarm_name          = "${var.name}-${each.key}"
  alarm_description   = each.value.says
  namespace           = each.value.namespace
  metric_name         = each.value.metric
  dimensions          = each.value.dimensions
  statistic           = each.value.statistic
  period              = each.value.minutes * 60
  evaluation_periods  = 1
  comparison_operator = "GreaterThanThreshold"
  threshold           = each.value.above
  treat_missing_data  = "notBreaching"
  alarm_actions       = [local.alarm_topic_arn]
  ok_actions          = [local.alarm_topic_arn]
  tags                = local.tags
}

# spot has nothing to give, the image does not start, the limit of the account is reached: jobs wait and nobody comes
resource "aws_cloudwatch_metric_alarm" "no_capacity" {
  count = var.fleet == null ? 0 : 1

  alarm_name          = "${var.name}-no-capacity"
  alarm_description   = "Jobs wait and no instance has been in service for ${var.thresholds.no_capacity_minutes} minutes"
  comparison_operator = "GreaterThanThreshold"
  threshold           = 0
  evaluation_periods  = ceil(var.thresholds.no_capacity_minutes / 5)
  datapoints_to_alarm = ceil(var.thresholds.no_capacity_minutes / 5)
  treat_missing_data  = "notBreaching"
  alarm_actions       = [local.alarm_topic_arn]
  ok_actions          = [local.alarm_topic_arn]
  tags                = local.tags

  metric_query {
    id          = "stuck"
    expression  = "IF(FILL(instances, 0) < 1, visible, 0)"
    label       = "Jobs without an instance"
    return_data = true
  }
  metric_query {
    id = "visible"
    metric {
      namespace   = "AWS/SQS"
      metric_name = local.queue_metric.visible
      dimensions  = { QueueName = aws_sqs_queue.jobs.name }
      stat        = "Maximum"
      period      = 300
    }
  }
  metric_query {
    id = "instances"
    metric {
      namespace   = "AWS/AutoScaling"
      metric_name = "GroupInServiceInstances"
      dimensions  = { AutoScalingGroupName = local.group_name }
      stat        = "Maximum"
      period      = 300
    }
  }
}
