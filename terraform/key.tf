# One key for all that is kept, where the account wants its own. With kms_key_arn, that key's policy needs these statements.

locals {
  kms_key_arn = var.create_kms_key ? aws_kms_key.hub[0].arn : var.kms_key_arn
  # whoever reads or writes the transcripts needs all of them
  worker_key_arns = concat(local.kms_key_arn == null ? [] : [local.kms_key_arn], var.upload_kms_key_arns)
}

resource "aws_kms_key" "hub" {
  count = var.create_kms_key ? 1 : 0

  description             = "${var.name}: audio, transcripts, jobs, alarms, logs"
  enable_key_rotation     = true
  deletion_window_in_days = 30
  tags                    = local.tags

  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [
      {
        # the account's IAM policies decide, as for any key made in the console
        Sid       = "Account"
        Effect    = "Allow"
        Principal = { AWS = "arn:${local.partition}:iam::${local.account}:root" }
        Action    = "kms:*"
        Resource  = "*"
      },
      {
        # rules write to encrypted queues, alarms to an encrypted topic. Which rules and alarms is said by the policies of
        # queues and topic: a condition here that a service does not fill in would lose the event and its dead letter alike
        Sid       = "EventsAndAlarms"
        Effect    = "Allow"
        Principal = { Service = ["events.amazonaws.com", "cloudwatch.amazonaws.com"] }
        Action    = ["kms:Decrypt", "kms:GenerateDataKey*"]
        Resource  = "*"
      },
      {
        Sid       = "Logs"
        Effect    = "Allow"
        Principal = { Service = "logs.${local.region}.amazonaws.com" }
        Action    = ["kms:Decrypt", "kms:Encrypt", "kms:ReEncrypt*", "kms:GenerateDataKey*", "kms:DescribeKey"]
        Resource  = "*"
        Condition = { ArnLike = { "kms:EncryptionContext:aws:logs:arn" = "arn:${local.partition}:logs:${local.region}:${local.account}:log-group:*" } }
      },
    ]
  })
}

resource "aws_kms_alias" "hub" {
  count = var.create_kms_key ? 1 : 0

  name          = "alias/${var.name}"
  target_key_id = aws_kms_key.hub[0].key_id
}
