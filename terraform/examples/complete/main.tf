# All of it: a bus and a key of its own, a fleet, an index that hears of transcripts and a topic that hears of all ends.

provider "aws" {
  region = var.region
}

module "hub" {
  source = "../.."

  name            = var.name
  create_kms_key  = true
  schema_registry = var.schema_registry
  force_destroy   = var.force_destroy

  audio_uploaded = { enabled = !var.s3_announces }
  object_created = { enabled = var.s3_announces }

  completed_targets = {
    index         = { arn = aws_sqs_queue.index.arn, statuses = ["completed", "partial"] }
    notifications = { arn = aws_sns_topic.notifications.arn, kind = "topic" }
  }

  fleet = var.ami_id == null ? null : {
    ami_id     = var.ami_id
    vpc_id     = var.vpc_id
    subnet_ids = var.subnet_ids
  }

  alarm_emails    = var.alarm_emails
  worker_settings = { TRANSCRIPTION_MODEL = var.model }
}
