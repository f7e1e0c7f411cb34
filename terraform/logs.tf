# Where the CloudWatch agent of the image puts the worker's lines.

resource "aws_cloudwatch_log_group" "worker" {
  #checkov:skip=CKV_AWS_338:how long lines are kept is the operator's choice (log_days)
  #checkov:skip=CKV_AWS_158:a log group is encrypted without a key of ours; with create_kms_key or kms_key_arn it is ours
  name              = "/transcription-worker/${var.name}"
  retention_in_days = var.log_days
  kms_key_id        = local.kms_key_arn
  tags              = local.tags
}
