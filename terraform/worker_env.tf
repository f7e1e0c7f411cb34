# The worker's settings, as the rest of this module makes them true. README.md, "Configuration", has them all.

locals {
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
    var.worker_settings,
  )
  worker_env_file = join("", [for key, value in local.worker_env : "${key}=${value}\n"])
}
