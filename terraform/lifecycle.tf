# What nobody needs any more goes by itself.

resource "aws_s3_bucket_lifecycle_configuration" "made" {
  for_each = local.made_buckets

  bucket = aws_s3_bucket.made[each.key].id

  rule {
    id     = "unfinished-uploads"
    status = "Enabled"
    filter {}
    abort_incomplete_multipart_upload {
      days_after_initiation = var.expire.aborted_days
    }
  }

  # the worker deletes a checkpoint when its job is done: in a versioned bucket that is a version too
  rule {
    id     = "old-versions"
    status = "Enabled"
    filter {}
    noncurrent_version_expiration {
      noncurrent_days = var.expire.noncurrent_days
    }
    expiration {
      expired_object_delete_marker = true
    }
  }

  dynamic "rule" {
    for_each = each.key == "transcripts" ? [var.expire.temporary_days] : []
    content {
      id     = "checkpoints-and-start-markers"
      status = "Enabled"
      filter {
        tag {
          key   = local.temporary_tag.key
          value = local.temporary_tag.value
        }
      }
      expiration {
        days = rule.value
      }
    }
  }

  dynamic "rule" {
    for_each = each.value.expire_days == null ? [] : [each.value.expire_days]
    content {
      id     = each.key
      status = "Enabled"
      filter {}
      expiration {
        days = rule.value
      }
    }
  }

  # a rule about old versions means nothing before there are versions
  depends_on = [aws_s3_bucket_versioning.made]
}
