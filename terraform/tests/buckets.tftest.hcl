# Buckets, keys, schemas: what is kept, how, and for how long.

mock_provider "aws" {
  source = "./tests/mocks"
}

run "buckets_are_private_and_encrypted" {
  assert {
    condition     = keys(aws_s3_bucket.made) == ["transcripts", "uploads"]
    error_message = "one for audio, one for transcripts"
  }
  assert {
    condition     = alltrue([for access in aws_s3_bucket_public_access_block.made : access.block_public_acls && access.block_public_policy && access.ignore_public_acls && access.restrict_public_buckets])
    error_message = "nothing is public"
  }
  assert {
    condition     = alltrue([for encryption in aws_s3_bucket_server_side_encryption_configuration.made : one(encryption.rule).apply_server_side_encryption_by_default[0].sse_algorithm == "AES256"])
    error_message = "encrypted with S3's key"
  }
  assert {
    condition     = alltrue([for policy in aws_s3_bucket_policy.made : jsondecode(policy.policy).Statement[0].Condition.Bool["aws:SecureTransport"] == "false"])
    error_message = "plain HTTP is refused"
  }
}

run "what_nobody_needs_expires" {
  variables {
    expire = { uploads_days = 7 }
  }
  assert {
    condition     = [for rule in aws_s3_bucket_lifecycle_configuration.made["uploads"].rule : rule.id] == ["unfinished-uploads", "old-versions", "uploads"]
    error_message = "audio goes after its days, parts and old versions too"
  }
  assert {
    condition     = [for rule in aws_s3_bucket_lifecycle_configuration.made["transcripts"].rule : rule.id] == ["unfinished-uploads", "old-versions", "checkpoints-and-start-markers"]
    error_message = "transcripts stay, what was written on the way to them does not"
  }
  assert {
    condition     = aws_s3_bucket_lifecycle_configuration.made["transcripts"].rule[2].filter[0].tag[0].value == "temporary"
    error_message = "told apart by their tag"
  }
}

run "one_key_for_everything" {
  variables {
    create_kms_key = true
  }
  assert {
    condition     = alltrue([for encryption in aws_s3_bucket_server_side_encryption_configuration.made : one(encryption.rule).apply_server_side_encryption_by_default[0].kms_master_key_id == aws_kms_key.hub[0].arn])
    error_message = "buckets"
  }
  assert {
    condition     = alltrue([for queue in [aws_sqs_queue.jobs, aws_sqs_queue.dead, aws_sqs_queue.undelivered] : queue.kms_master_key_id == aws_kms_key.hub[0].arn])
    error_message = "queues"
  }
  assert {
    condition     = aws_sns_topic.alarms[0].kms_master_key_id == aws_kms_key.hub[0].arn && aws_cloudwatch_log_group.worker.kms_key_id == aws_kms_key.hub[0].arn
    error_message = "topic and logs"
  }
  assert {
    condition     = output.worker_env.TRANSCRIPTION_KMS_KEY_ID == aws_kms_key.hub[0].arn
    error_message = "the worker writes with it"
  }
  assert {
    condition     = flatten([for statement in jsondecode(aws_iam_role_policy.worker.policy).Statement : statement.Resource if statement.Sid == "KmsForObjects"]) == [aws_kms_key.hub[0].arn]
    error_message = "and may"
  }
  assert {
    condition     = aws_kms_key.hub[0].enable_key_rotation
    error_message = "it is rotated"
  }
}

run "two_keys_are_refused" {
  command = plan
  variables {
    create_kms_key = true
    kms_key_arn    = "arn:aws:kms:eu-central-1:123456789012:key/00000000-0000-0000-0000-000000000000"
  }
  expect_failures = [var.kms_key_arn]
}

run "schemas_are_published_when_asked" {
  variables {
    schema_registry = true
  }
  assert {
    condition     = contains(keys(aws_schemas_schema.event), "custom.transcription-service@TranscriptionCompleted.json") && contains(keys(aws_schemas_schema.event), "custom.frontend@AudioUploaded.json")
    error_message = "what is consumed and what is published"
  }
  assert {
    condition     = alltrue([for schema in aws_schemas_schema.event : schema.type == "JSONSchemaDraft4" && jsondecode(schema.content)["$schema"] == "http://json-schema.org/draft-04/schema#"])
    error_message = "in the draft that the registry takes"
  }
}

run "no_registry_without_asking" {
  assert {
    condition     = length(aws_schemas_registry.hub) + length(aws_schemas_schema.event) == 0
    error_message = "the registry is behind a variable"
  }
}
