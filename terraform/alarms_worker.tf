# What the worker itself says. `worker_metrics` says that it does.

locals {
  worker_alarms = {
    sick-worker = {
      says   = "A worker is not healthy: its log and /status say why"
      metric = local.metric.Health, statistic = "Minimum", less = true, limit = 1, periods = 3
    }
    lost-leases = {
      says   = "Workers lost jobs that they were at: the network or SQS failed for longer than --visibility-secs"
      metric = local.metric.LeasesLost, statistic = "Sum", less = false, limit = 0, periods = 1
    }
    engine-restarts = {
      says   = "Engines crash or hang: a GPU fault, or audio that kills them"
      metric = local.metric.EngineRestarts, statistic = "Sum", less = false, limit = var.thresholds.engine_restarts, periods = 3
    }
    receive-errors = {
      says   = "Workers cannot receive jobs: role, network or SQS"
      metric = local.metric.ReceiveErrors, statistic = "Sum", less = false, limit = 5, periods = 3
    }
    scratch-full = {
      says   = "A worker has less than ${var.thresholds.scratch_free_gib} GiB for downloads"
      metric = local.metric.ScratchFree, statistic = "Minimum", less = true, limit = var.thresholds.scratch_free_gib * pow(1024, 3), periods = 1
    }
  }
}

resource "aws_cloudwatch_metric_alarm" "worker" {
  for_each = var.worker_metrics ? local.worker_alarms : {}

  alarm_name          = "${var.name}-${each.key}"
  alarm_description   = each.value.says
  namespace           = local.metrics_file.namespace
  metric_name         = each.value.metric
  dimensions          = { Fleet = var.name }
  statistic           = each.value.statistic
  period              = 300
  evaluation_periods  = each.value.periods
  comparison_operator = each.value.less ? "LessThanThreshold" : "GreaterThanThreshold"
  threshold           = each.value.limit
  # a fleet of no instances says nothing, and is well
  treat_missing_data = "notBreaching"
  alarm_actions      = [local.alarm_topic_arn]
  ok_actions         = [local.alarm_topic_arn]
  tags               = local.tags
}

# one failed job is somebody's broken file; many are ours
resource "aws_cloudwatch_metric_alarm" "failing" {
  count = var.worker_metrics ? 1 : 0

  alarm_name          = "${var.name}-failing-jobs"
  alarm_description   = "More than ${var.thresholds.failed_percent} % of the jobs of an hour failed"
  comparison_operator = "GreaterThanThreshold"
  threshold           = var.thresholds.failed_percent
  evaluation_periods  = 1
  treat_missing_data  = "notBreaching"
  alarm_actions       = [local.alarm_topic_arn]
  ok_actions          = [local.alarm_topic_arn]
  tags                = local.tags

  metric_query {
    id = "percent"
    # of fewer than ten jobs a percentage says nothing
    expression  = "IF(jobs >= 10, 100 * FILL(failed, 0) / jobs, 0)"
    label       = "Failed, percent"
    return_data = true
  }
  metric_query {
    id = "jobs"
    metric {
      namespace   = local.metrics_file.namespace
      metric_name = local.metric.Jobs
      dimensions  = { Fleet = var.name }
      stat        = "Sum"
      period      = 3600
    }
  }
  metric_query {
    id = "failed"
    metric {
      namespace   = local.metrics_file.namespace
      metric_name = local.metric.Jobs
      dimensions  = { Fleet = var.name, (local.metrics_file.per_job.Jobs.by) = "failed" }
      stat        = "Sum"
      period      = 3600
    }
  }
}

# instances that are paid for and say nothing: the image is broken, or the worker does not start
resource "aws_cloudwatch_metric_alarm" "silent" {
  count = var.worker_metrics && var.fleet != null ? 1 : 0

  alarm_name          = "${var.name}-silent-instances"
  alarm_description   = "Instances are in service on which no worker runs"
  comparison_operator = "GreaterThanThreshold"
  # a minute that falls into the next period is no silence
  threshold           = 0.5
  evaluation_periods  = 4
  datapoints_to_alarm = 4
  treat_missing_data  = "notBreaching"
  alarm_actions       = [local.alarm_topic_arn]
  ok_actions          = [local.alarm_topic_arn]
  tags                = local.tags

  metric_query {
    id = "silent"
    # a worker says Up = 1 each minute
    expression  = "instances - FILL(up, 0) / 5"
    label       = "Instances without a worker"
    return_data = true
  }
  metric_query {
    id = "instances"
    metric {
      namespace   = "AWS/AutoScaling"
      metric_name = "GroupInServiceInstances"
      dimensions  = { AutoScalingGroupName = local.group_name }
      stat        = "Minimum"
      period      = 300
    }
  }
  metric_query {
    id = "up"
    metric {
      namespace   = local.metrics_file.namespace
      metric_name = local.metric.Up
      dimensions  = { Fleet = var.name }
      stat        = "Sum"
      period      = 300
    }
  }
}
