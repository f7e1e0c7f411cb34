# As many instances as there are jobs, waiting or at work. Jobs at work count, because the waiting alone are none while
# every worker is busy, and a group that looks only at them takes away an instance in the middle of its work.
#
# grow:  jobs for each wanted instance are kept at jobs_per_instance. Wanted, not running: an instance that boots is not
#        ordered again each minute.
# wake:  from none to one, where there is nothing to divide by.
# sleep: to min_size, when no job has been waiting or at work for idle_minutes.

locals {
  load_metrics = {
    visible     = { namespace = "AWS/SQS", name = local.queue_metric.visible, dimensions = { QueueName = aws_sqs_queue.jobs.name } }
    not_visible = { namespace = "AWS/SQS", name = local.queue_metric.not_visible, dimensions = { QueueName = aws_sqs_queue.jobs.name } }
    wanted      = { namespace = "AWS/AutoScaling", name = "GroupDesiredCapacity", dimensions = { AutoScalingGroupName = local.group_name } }
  }
}

resource "aws_autoscaling_policy" "grow" {
  count = var.fleet == null ? 0 : 1

  name                   = "grow"
  autoscaling_group_name = aws_autoscaling_group.worker[0].name
  policy_type            = "TargetTrackingScaling"

  target_tracking_configuration {
    target_value     = var.fleet.jobs_per_instance
    disable_scale_in = var.fleet.scale_in == "when-empty"

    customized_metric_specification {
      metrics {
        id          = "load"
        expression  = "(visible + not_visible) / IF(FILL(wanted, 0) > 0, wanted, 1)"
        label       = "Jobs for each instance"
        return_data = true
      }
      dynamic "metrics" {
        for_each = local.load_metrics
        content {
          id          = metrics.key
          return_data = false
          metric_stat {
            stat = "Maximum"
            metric {
              namespace   = metrics.value.namespace
              metric_name = metrics.value.name
              dynamic "dimensions" {
                for_each = metrics.value.dimensions
                content {
                  name  = dimensions.key
                  value = dimensions.value
                }
              }
            }
          }
        }
      }
    }
  }
}

resource "aws_autoscaling_policy" "wake" {
  count = var.fleet == null ? 0 : 1

  name                   = "wake"
  autoscaling_group_name = aws_autoscaling_group.worker[0].name
  policy_type            = "StepScaling"
  adjustment_type        = "ExactCapacity"
  step_adjustment {
    metric_interval_lower_bound = 0
    scaling_adjustment          = 1
  }
}

resource "aws_cloudwatch_metric_alarm" "wake" {
  count = var.fleet == null ? 0 : 1

  alarm_name          = "${var.name}-wake"
  alarm_description   = "Jobs and no instance: starts one. No cause for concern"
  comparison_operator = "GreaterThanThreshold"
  threshold           = 0
  evaluation_periods  = 1
  # SQS says nothing of a queue that nobody has used for six hours
  treat_missing_data = "notBreaching"
  alarm_actions      = [aws_autoscaling_policy.wake[0].arn]
  tags               = local.tags

  metric_query {
    id          = "asleep"
    expression  = "IF(FILL(wanted, 0) < 1, visible + not_visible, 0)"
    label       = "Jobs without an instance"
    return_data = true
  }
  dynamic "metric_query" {
    for_each = local.load_metrics
    content {
      id = metric_query.key
      metric {
        namespace   = metric_query.value.namespace
        metric_name = metric_query.value.name
        dimensions  = metric_query.value.dimensions
        stat        = "Maximum"
        period      = 60
      }
    }
  }
}

resource "aws_autoscaling_policy" "sleep" {
  count = var.fleet == null ? 0 : 1

  name                   = "sleep"
  autoscaling_group_name = aws_autoscaling_group.worker[0].name
  policy_type            = "StepScaling"
  adjustment_type        = "ExactCapacity"
  step_adjustment {
    metric_interval_lower_bound = 0
    scaling_adjustment          = var.fleet.min_size
  }
}

resource "aws_cloudwatch_metric_alarm" "sleep" {
  count = var.fleet == null ? 0 : 1

  alarm_name          = "${var.name}-sleep"
  alarm_description   = "Instances and no job: ends them. No cause for concern"
  comparison_operator = "GreaterThanThreshold"
  threshold           = 0
  evaluation_periods  = var.fleet.idle_minutes
  datapoints_to_alarm = var.fleet.idle_minutes
  # workers poll, so SQS counts while there are any: no data is no reason to end them
  treat_missing_data = "ignore"
  alarm_actions      = [aws_autoscaling_policy.sleep[0].arn]
  tags               = local.tags

  metric_query {
    id          = "idle"
    expression  = "IF(visible + not_visible < 1, IF(wanted > ${var.fleet.min_size}, wanted, 0), 0)"
    label       = "Instances without a job"
    return_data = true
  }
  dynamic "metric_query" {
    for_each = local.load_metrics
    content {
      id = metric_query.key
      metric {
        namespace   = metric_query.value.namespace
        metric_name = metric_query.value.name
        dimensions  = metric_query.value.dimensions
        stat        = "Maximum"
        period      = 60
      }
    }
  }
}
