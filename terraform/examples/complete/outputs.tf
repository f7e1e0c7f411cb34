output "worker_env_file" {
  description = "/etc/transcription-worker/worker.env"
  value       = module.hub.worker_env_file
}

output "hub" {
  description = "Everything the hub says of itself."
  value       = module.hub
}

output "index_queue_url" {
  description = "Where the index hears of transcripts."
  value       = aws_sqs_queue.index.url
}

output "notifications_topic_arn" {
  description = "Where every end of a job is told."
  value       = aws_sns_topic.notifications.arn
}
