output "worker_env" {
  description = "The worker's settings, by name."
  value       = local.worker_env
}

output "worker_env_file" {
  description = "The same as /etc/transcription-worker/worker.env: `terraform output -raw worker_env_file`."
  value       = local.worker_env_file
}

output "event_bus" {
  description = "Name and ARN of the bus: producers publish `Audio Uploaded` on it."
  value       = { name = local.bus_name, arn = local.bus_arn }
}

output "queues" {
  description = "URLs and ARNs: jobs, the dead ones, events that reached no target."
  value = {
    jobs        = { url = aws_sqs_queue.jobs.url, arn = aws_sqs_queue.jobs.arn, name = aws_sqs_queue.jobs.name }
    dead        = { url = aws_sqs_queue.dead.url, arn = aws_sqs_queue.dead.arn, name = aws_sqs_queue.dead.name }
    undelivered = { url = aws_sqs_queue.undelivered.url, arn = aws_sqs_queue.undelivered.arn, name = aws_sqs_queue.undelivered.name }
  }
}

output "buckets" {
  description = "Where audio comes from and transcripts go."
  value       = { uploads = local.upload_buckets, transcripts = local.transcript_bucket }
}

output "completed_rule_arns" {
  description = "The rules of completed_targets: the policy of a target queue or topic lets its rule in (aws:SourceArn)."
  value       = { for name, rule in aws_cloudwatch_event_rule.completed : name => rule.arn }
}

output "replay_commands" {
  description = "What announces uploads again; NAME, FROM and TO (RFC 3339) are yours."
  value       = local.replay_commands
}

output "process_commands" {
  description = "What deals with dead letters, for a timer: of jobs, and of events that reached no target."
  value = { for name, url in { dead = aws_sqs_queue.dead.url, undelivered = aws_sqs_queue.undelivered.url } : name => join(" ", [
    "transcription-worker dlq process --queue-url ${aws_sqs_queue.jobs.url} --dlq-url ${url}",
    "--archive s3://${local.transcript_bucket}/${local.dead_letter_folder} --alert-topic ${local.alarm_topic_arn} --event-bus ${local.bus_name}",
  ]) }
}

output "worker_role" {
  description = "Role and instance profile of whatever runs the worker."
  value       = { arn = aws_iam_role.worker.arn, name = aws_iam_role.worker.name, instance_profile = aws_iam_instance_profile.worker.name }
}

output "policies" {
  description = "For roles of yours: who announces uploads, and who looks after the hub."
  value       = { producer = aws_iam_policy.producer.arn, operator = aws_iam_policy.operator.arn }
}

output "alarm_topic_arn" {
  description = "Where alarms are told."
  value       = local.alarm_topic_arn
}

output "log_groups" {
  description = "The workers' lines (for the CloudWatch agent), and the hub's events."
  value       = { worker = aws_cloudwatch_log_group.worker.name, events = one(aws_cloudwatch_log_group.events[*].name) }
}

output "kms_key_arn" {
  description = "The key that everything is encrypted with; null without one."
  value       = local.kms_key_arn
}

output "group_name" {
  description = "The Auto Scaling group; null without a fleet."
  value       = one(aws_autoscaling_group.worker[*].name)
}

output "dashboard" {
  description = "Name of the dashboard."
  value       = aws_cloudwatch_dashboard.hub.dashboard_name
}
