# What an instance may do: what README.md, "Permissions", says and no more.

locals {
  upload_bucket_arns    = [for bucket in local.upload_buckets : "arn:${local.partition}:s3:::${bucket}"]
  transcript_bucket_arn = "arn:${local.partition}:s3:::${local.transcript_bucket}"

  worker_statements = concat(
    [
      {
        Sid      = "Jobs"
        Effect   = "Allow"
        Action   = ["sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:ChangeMessageVisibility", "sqs:GetQueueAttributes", "sqs:GetQueueUrl"]
        Resource = aws_sqs_queue.jobs.arn
      },
      {
        Sid      = "DeadLetters"
        Effect   = "Allow"
        Action   = ["sqs:GetQueueUrl", "sqs:SendMessage"]
        Resource = aws_sqs_queue.dead.arn
      },
      {
        Sid      = "Audio"
        Effect   = "Allow"
        Action   = "s3:GetObject"
        Resource = [for arn in local.upload_bucket_arns : "${arn}/*"]
      },
      {
        # checkpoints and start markers lie beside the transcripts, and are deleted
        Sid      = "Transcripts"
        Effect   = "Allow"
        Action   = ["s3:GetObject", "s3:PutObject", "s3:DeleteObject"]
        Resource = "${local.transcript_bucket_arn}/${var.transcript_prefix}*"
      },
      {
        Sid       = "TemporaryObjects"
        Effect    = "Allow"
        Action    = "s3:PutObjectTagging"
        Resource  = "${local.transcript_bucket_arn}/${var.transcript_prefix}*"
        Condition = { StringEquals = { "s3:RequestObjectTag/${local.temporary_tag.key}" = local.temporary_tag.value } }
      },
      {
        # without it a missing object looks like a forbidden one
        Sid      = "MissingIsNotForbidden"
        Effect   = "Allow"
        Action   = "s3:ListBucket"
        Resource = distinct(concat(local.upload_bucket_arns, [local.transcript_bucket_arn]))
      },
      {
        # in its own name only: nobody is told of an upload by a worker
        Sid       = "Events"
        Effect    = "Allow"
        Action    = "events:PutEvents"
        Resource  = local.bus_arn
        Condition = { StringEquals = { "events:source" = local.worker_source } }
      },
      {
        # a bus that is not there swallows events unnoticed: the worker looks first
        Sid      = "Bus"
        Effect   = "Allow"
        Action   = "events:DescribeEventBus"
        Resource = local.bus_arn
      },
      {
        # the CloudWatch agent of the image: log lines, and metrics that are made of them
        Sid      = "Logs"
        Effect   = "Allow"
        Action   = ["logs:CreateLogStream", "logs:PutLogEvents", "logs:DescribeLogStreams"]
        Resource = "${aws_cloudwatch_log_group.worker.arn}:*"
      },
      {
        # the agent's own figures of GPU, memory and disk; the action knows no resources
        Sid       = "AgentMetrics"
        Effect    = "Allow"
        Action    = "cloudwatch:PutMetricData"
        Resource  = "*"
        Condition = { StringEquals = { "cloudwatch:namespace" = ["CWAgent", local.metrics_file.namespace] } }
      },
    ],
    # as text: the two lists would be of different types
    length(local.worker_key_arns) == 0 ? [] : [jsondecode(jsonencode({
      Sid      = "KmsForObjects"
      Effect   = "Allow"
      Action   = ["kms:Decrypt", "kms:GenerateDataKey"]
      Resource = local.worker_key_arns
    }))],
    length(local.group_actions) == 0 || var.fleet == null ? [] : [jsondecode(jsonencode({
      Sid      = "OwnGroup"
      Effect   = "Allow"
      Action   = local.group_actions
      Resource = "arn:${local.partition}:autoscaling:${local.region}:${local.account}:autoScalingGroup:*:autoScalingGroupName/${local.group_name}"
    }))],
  )

  group_actions = concat(
    var.instances_may.complete_lifecycle_hook ? ["autoscaling:CompleteLifecycleAction", "autoscaling:RecordLifecycleActionHeartbeat"] : [],
    var.instances_may.protect_from_scale_in ? ["autoscaling:SetInstanceProtection"] : [],
    var.instances_may.terminate_themselves ? ["autoscaling:TerminateInstanceInAutoScalingGroup"] : [],
  )
}

resource "aws_iam_role" "worker" {
  name        = "${var.name}-worker-${local.region}"
  description = "Instances that run transcription-worker"
  assume_role_policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect    = "Allow"
      Principal = { Service = "ec2.amazonaws.com" }
      Action    = "sts:AssumeRole"
    }]
  })
  tags = local.tags
}

resource "aws_iam_role_policy" "worker" {
  name   = "worker"
  role   = aws_iam_role.worker.id
  policy = jsonencode({ Version = "2012-10-17", Statement = local.worker_statements })
}

resource "aws_iam_role_policy_attachment" "session_manager" {
  count = try(var.fleet.session_manager, false) ? 1 : 0

  role       = aws_iam_role.worker.name
  policy_arn = "arn:${local.partition}:iam::aws:policy/AmazonSSMManagedInstanceCore"
}

resource "aws_iam_instance_profile" "worker" {
  name = aws_iam_role.worker.name
  role = aws_iam_role.worker.name
  tags = local.tags
}
