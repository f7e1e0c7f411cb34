# What a consumer has of its own: a queue, its dead letters, and a policy that lets one rule of the hub in.

resource "aws_sqs_queue" "index" {
  name                      = "${var.name}-index"
  message_retention_seconds = 1209600
  sqs_managed_sse_enabled   = true
  redrive_policy            = jsonencode({ deadLetterTargetArn = aws_sqs_queue.index_dead.arn, maxReceiveCount = 5 })
}

resource "aws_sqs_queue" "index_dead" {
  name                      = "${var.name}-index-dead"
  message_retention_seconds = 1209600
  sqs_managed_sse_enabled   = true
}

resource "aws_sqs_queue_policy" "index" {
  queue_url = aws_sqs_queue.index.url
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect    = "Allow"
      Principal = { Service = "events.amazonaws.com" }
      Action    = "sqs:SendMessage"
      Resource  = aws_sqs_queue.index.arn
      Condition = { ArnEquals = { "aws:SourceArn" = module.hub.completed_rule_arns["index"] } }
    }]
  })
}
