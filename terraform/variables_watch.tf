# What is logged, measured, and who is told.

variable "log_days" {
  type        = number
  default     = 30
  description = "Days that log groups keep what is in them."
}

variable "event_log" {
  type        = bool
  default     = true
  description = "Write every event of the known sources into a log group. Events hold user ids and keys, no text."
}

variable "alarm_topic_arn" {
  type        = string
  default     = null
  description = "An SNS topic that is there already. Without it one is made."
}

variable "alarm_emails" {
  type        = list(string)
  default     = []
  description = "Who gets the alarms of the topic made here; each address must confirm once."
}

variable "worker_metrics" {
  type        = bool
  default     = true
  description = "Let workers write their metrics (metrics.json), draw and watch them. Off for workers that do not."
}

variable "thresholds" {
  type = object({
    oldest_job_minutes  = optional(number, 60)
    no_capacity_minutes = optional(number, 30)
    failed_percent      = optional(number, 10)
    scratch_free_gib    = optional(number, 5)
    engine_restarts     = optional(number, 3)
  })
  default     = {}
  description = "Where alarms begin: minutes the oldest job waits, minutes with jobs and no instance, percent of failed jobs in an hour, GiB free for downloads, restarts of engines in 15 minutes."
}

variable "hourly_price_usd" {
  type        = number
  default     = null
  description = "What an instance costs in an hour, for the dashboard's dollars per hour of audio."
}
