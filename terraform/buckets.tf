# Audio comes in, transcripts go out; both private, encrypted, versioned, and tidied by themselves.

locals {
  made_buckets = merge(
    length(var.upload_buckets) == 0 ? { uploads = { expire_days = var.expire.uploads_days } } : {},
    var.transcript_bucket == null ? { transcripts = { expire_days = var.expire.transcripts_days } } : {},
  )

  upload_buckets    = length(var.upload_buckets) == 0 ? [aws_s3_bucket.made["uploads"].bucket] : var.upload_buckets
  transcript_bucket = var.transcript_bucket == null ? aws_s3_bucket.made["transcripts"].bucket : var.transcript_bucket

  # checkpoints and start markers lie beside transcripts, so their keys begin like anything: only a tag tells them apart
  temporary_tag = { key = "transcription-worker", value = "temporary" }
}

resource "aws_s3_bucket" "made" {
  #checkov:skip=CKV_AWS_144:audio and transcripts are kept in one region; whoever needs two names a bucket of their own
  #checkov:skip=CKV_AWS_18:access logs need a bucket of the account's own; CloudTrail's data events tell the same
  #checkov:skip=CKV2_AWS_62:only uploads are announced, and only where object_created asks for it
  #checkov:skip=CKV_AWS_145:SSE-S3 without a key of ours; with create_kms_key or kms_key_arn it is SSE-KMS
  for_each = local.made_buckets

  # bucket names are the whole world's: the account's number makes them ours
  bucket        = "${var.name}-${each.key}-${local.account}-${local.region}"
  force_destroy = var.force_destroy
  tags          = local.tags
}

resource "aws_s3_bucket_public_access_block" "made" {
  for_each = local.made_buckets

  bucket                  = aws_s3_bucket.made[each.key].id
  block_public_acls       = true
  block_public_policy     = true
  ignore_public_acls      = true
  restrict_public_buckets = true
}

resource "aws_s3_bucket_ownership_controls" "made" {
  for_each = local.made_buckets

  bucket = aws_s3_bucket.made[each.key].id
  rule {
    object_ownership = "BucketOwnerEnforced"
  }
}

resource "aws_s3_bucket_server_side_encryption_configuration" "made" {
  for_each = local.made_buckets

  bucket = aws_s3_bucket.made[each.key].id
  rule {
    # one data key for many objects: KMS is paid by the request
    bucket_key_enabled = local.kms_key_arn != null
    apply_server_side_encryption_by_default {
      sse_algorithm     = local.kms_key_arn == null ? "AES256" : "aws:kms"
      kms_master_key_id = local.kms_key_arn
    }
  }
}

resource "aws_s3_bucket_versioning" "made" {
  for_each = local.made_buckets

  bucket = aws_s3_bucket.made[each.key].id
  versioning_configuration {
    status = "Enabled"
  }
}

resource "aws_s3_bucket_policy" "made" {
  for_each = local.made_buckets

  bucket = aws_s3_bucket.made[each.key].id
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [merge(local.transport, {
      Action   = "s3:*"
      Resource = [aws_s3_bucket.made[each.key].arn, "${aws_s3_bucket.made[each.key].arn}/*"]
    })]
  })
}

resource "aws_s3_bucket_notification" "uploads" {
  count = var.object_created.enabled && length(var.upload_buckets) == 0 ? 1 : 0

  bucket      = aws_s3_bucket.made["uploads"].id
  eventbridge = true
}

resource "aws_s3_bucket_cors_configuration" "uploads" {
  count = length(var.upload_buckets) == 0 && length(var.upload_cors_origins) > 0 ? 1 : 0

  bucket = aws_s3_bucket.made["uploads"].id
  cors_rule {
    allowed_methods = ["PUT", "POST"]
    allowed_origins = var.upload_cors_origins
    allowed_headers = ["*"]
    # browsers put large files in parts and must read what each part is called
    expose_headers  = ["ETag"]
    max_age_seconds = 3600
  }
}
