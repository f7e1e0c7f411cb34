# One page: do jobs come, are they done, how fast, at what cost, and who takes the events. A graph is
# [title, kind of statistic, metrics]; rows of three are laid out below.

locals {
  ours  = local.metrics_file.namespace
  fleet = ["Fleet", var.name]

  hub_graphs = concat(
    [
      { title = "Jobs", stat = "Maximum", metrics = [
        ["AWS/SQS", local.queue_metric.visible, "QueueName", aws_sqs_queue.jobs.name, { label = "waiting" }],
        ["AWS/SQS", local.queue_metric.not_visible, "QueueName", aws_sqs_queue.jobs.name, { label = "at work" }],
      ] },
      { title = "Oldest job, seconds", stat = "Maximum", metrics = [
        ["AWS/SQS", local.queue_metric.oldest, "QueueName", aws_sqs_queue.jobs.name, { label = "oldest" }],
      ] },
      { title = "Dead", stat = "Maximum", metrics = [
        ["AWS/SQS", local.queue_metric.visible, "QueueName", aws_sqs_queue.dead.name, { label = "jobs" }],
        ["AWS/SQS", local.queue_metric.visible, "QueueName", aws_sqs_queue.undelivered.name, { label = "events" }],
      ] },
      { title = "Events matched", stat = "Sum", metrics = [for rule in concat(values(aws_cloudwatch_event_rule.upload), values(aws_cloudwatch_event_rule.completed)) :
        concat(["AWS/Events", "MatchedEvents"], rule.event_bus_name == "default" ? [] : ["EventBusName", rule.event_bus_name], ["RuleName", rule.name])
      ] },
    ],
    var.fleet == null ? [] : [
      { title = "Instances", stat = "Average", metrics = [
        ["AWS/AutoScaling", "GroupDesiredCapacity", "AutoScalingGroupName", local.group_name, { label = "wanted" }],
        ["AWS/AutoScaling", "GroupInServiceInstances", "AutoScalingGroupName", local.group_name, { label = "in service" }],
        ["AWS/AutoScaling", "GroupTerminatingInstances", "AutoScalingGroupName", local.group_name, { label = "draining" }],
      ] },
    ],
  )

  worker_graphs = [
    { title = "Jobs ended", stat = "Sum", metrics = [for status in ["completed", "partial", "failed"] :
      concat([local.ours, local.metric.Jobs], local.fleet, [local.metrics_file.per_job.Jobs.by, status, { label = status }])
    ] },
    { title = "Failures by code", stat = "Sum", metrics = [
      [{ expression = "SEARCH('{${local.ours},Fleet,${local.metrics_file.per_job.Failures.by}} MetricName=\"${local.metric.Failures}\" Fleet=\"${var.name}\"', 'Sum')", id = "codes", label = "" }],
    ] },
    { title = "Times of a job (median), seconds", stat = "p50", metrics = [
      for name in [local.metric.QueueWait, local.metric.FetchTime, local.metric.DecodeTime, local.metric.TranscribeTime, local.metric.EndToEnd] :
      concat([local.ours, name], local.fleet)
    ] },
    { title = "End to end, seconds", stat = "p50", metrics = [for stat in ["p50", "p95", "p99"] :
      concat([local.ours, local.metric.EndToEnd], local.fleet, [{ stat = stat, label = stat }])
    ] },
    { title = "Times real time", stat = "Average", metrics = [concat([local.ours, local.metric.RealtimeFactor], local.fleet)] },
    { title = "Audio and speech, seconds", stat = "Sum", metrics = [for name in [local.metric.AudioSeconds, local.metric.SpeechSeconds] : concat([local.ours, name], local.fleet)] },
    { title = "At work", stat = "Sum", metrics = [for name in [local.metric.Up, local.metric.JobsInFlight, local.metric.LanesBusy, local.metric.WindowsQueued] : concat([local.ours, name], local.fleet, [{ period = 60 }])] },
    { title = "Interruptions", stat = "Sum", metrics = [
      for name in [local.metric.Interruptions, local.metric.Released, local.metric.LeasesLost, local.metric.WindowsResumed] : concat([local.ours, name], local.fleet)
    ] },
    { title = "Trouble", stat = "Sum", metrics = [
      for name in [local.metric.Retried, local.metric.DeadLettered, local.metric.EngineRestarts, local.metric.ReceiveErrors, local.metric.WindowsDropped] : concat([local.ours, name], local.fleet)
    ] },
    { title = "GPU, percent and bytes", stat = "Average", metrics = [
      concat([local.ours, local.metric.GpuUtilization], local.fleet),
      concat([local.ours, local.metric.GpuMemoryUsed], local.fleet, [{ yAxis = "right" }]),
    ] },
    { title = "Health and room", stat = "Minimum", metrics = [
      concat([local.ours, local.metric.Health], local.fleet),
      concat([local.ours, local.metric.ScratchFree], local.fleet, [{ yAxis = "right" }]),
    ] },
  ]

  cost_graph = { title = "Dollars for an hour of audio", stat = "Sum", metrics = [
    # dollars an hour of instance and seconds of both cancel out to dollars an hour of audio
    [{ expression = "${coalesce(var.hourly_price_usd, 0)} * up / audio", label = "dollars", id = "dollars" }],
    concat([local.ours, local.metric.UpSeconds], local.fleet, [{ id = "up", visible = false, period = 3600 }]),
    concat([local.ours, local.metric.AudioSeconds], local.fleet, [{ id = "audio", visible = false, period = 3600 }]),
  ] }

  # a `for` and not a conditional: graphs are of different shape, which the two sides of a conditional may not be
  graphs = concat(
    [for graph in local.hub_graphs : graph],
    [for graph in local.worker_graphs : graph if var.worker_metrics],
    [for graph in [local.cost_graph] : graph if var.worker_metrics && var.hourly_price_usd != null],
  )
}

resource "aws_cloudwatch_dashboard" "hub" {
  dashboard_name = var.name
  dashboard_body = jsonencode({
    widgets = [for index, graph in local.graphs : {
      type   = "metric"
      x      = 8 * (index % 3)
      y      = 6 * floor(index / 3)
      width  = 8
      height = 6
      properties = {
        title   = graph.title
        region  = local.region
        stat    = graph.stat
        period  = 300
        metrics = graph.metrics
      }
    }]
  })
}
