# The worker's settings, as the rest of this module makes them true. README.md, "Configuration", has them all.

locals {
  # what instances may do to their own group they are set to do
  group_settings = var.fleet == null || length(local.group_actions) == 0 ? {} : merge(
    { TRANSCRIPTION_SCALING_GROUP = local.group_name },
    var.instances_may.complete_lifecycle_hook ? { TRANSCRIPTION_LIFECYCLE_HOOK = local.hook_name } : {},
    var.instances_may.protect_from_scale_in ? { TRANSCRIPTION_SCALE_IN_PROTECTION = "on" } : {},
    var.instances_may.terminate_themselves ? { TRANSCRIPTION_IDLE_TERMINATES = "on", TRANSCRIPTION_IDLE_MINUTES = tostring(var.fleet.idle_minutes) } : {},
  )

  worker_env = merge(
    {
      AWS_REGION                          = local.region
      TRANSCRIPTION_QUEUE_URL             = aws_sqs_queue.jobs.url
      TRANSCRIPTION_OUTPUT_BUCKET         = local.transcript_bucket
      TRANSCRIPTION_EVENT_BUS             = local.bus_name
      TRANSCRIPTION_ALLOW_INPUT_BUCKETS   = join(",", local.upload_buckets)
      TRANSCRIPTION_ALLOW_OUTPUT_PREFIXES = "s3://${local.transcript_bucket}/${var.transcript_prefix}"
      TRANSCRIPTION_DRAIN_SECS            = tostring(var.drain_secs)
    },
    var.transcript_prefix == "" ? {} : { TRANSCRIPTION_OUTPUT_PREFIX = var.transcript_prefix },
    local.kms_key_arn == null ? {} : { TRANSCRIPTION_KMS_KEY_ID = local.kms_key_arn },
    # among the log's lines, which the image's agent takes to the log group: CloudWatch makes metrics of them
    var.worker_metrics ? { TRANSCRIPTION_FLEET = var.name, TRANSCRIPTION_EMF = "stdout" } : {},
    # for a look at an instance through a tunnel, and for its probes
    var.fleet == null ? {} : { TRANSCRIPTION_HTTP = "127.0.0.1:9477" },
    local.group_settings,
    var.worker_settings,
  )
  worker_env_file = join("", [for key, value in local.worker_env : "${key}=${value}\n"])
}
