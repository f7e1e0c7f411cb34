# Where this is applied: every ARN that is put together by hand is put together from these.

data "aws_partition" "here" {}
data "aws_region" "here" {}
data "aws_caller_identity" "here" {}

locals {
  partition = data.aws_partition.here.partition
  region    = data.aws_region.here.name
  account   = data.aws_caller_identity.here.account_id

  tags = merge({ Application = "transcription-worker", Fleet = var.name }, var.tags)

  # S3, SQS and SNS refuse plain HTTP with this
  transport = {
    Sid       = "OnlyEncryptedTransport"
    Effect    = "Deny"
    Principal = "*"
    Condition = { Bool = { "aws:SecureTransport" = "false" } }
  }
}
