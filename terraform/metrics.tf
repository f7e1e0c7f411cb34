# The worker's metrics by name, from the one list. Dashboard and alarms say `local.metric.Jobs`: a name that is not in the
# list is an error of the plan, not a graph that stays empty.

locals {
  metrics_file = jsondecode(file("${path.module}/metrics.json"))
  metric       = { for name in keys(merge(local.metrics_file.per_job, local.metrics_file.per_minute)) : name => name }

  # AWS's own
  queue_metric = {
    visible     = "ApproximateNumberOfMessagesVisible"
    not_visible = "ApproximateNumberOfMessagesNotVisible"
    oldest      = "ApproximateAgeOfOldestMessage"
  }
}
