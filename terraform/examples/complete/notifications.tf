# Whoever wants to tell people: subscribe a function, a queue or an address. Failures come here too.

resource "aws_sns_topic" "notifications" {
  name = "${var.name}-notifications"
  # the hub's key already lets EventBridge write to what it encrypts
  kms_master_key_id = module.hub.kms_key_arn
}

resource "aws_sns_topic_policy" "notifications" {
  arn = aws_sns_topic.notifications.arn
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect    = "Allow"
      Principal = { Service = "events.amazonaws.com" }
      Action    = "sns:Publish"
      Resource  = aws_sns_topic.notifications.arn
      Condition = { ArnEquals = { "aws:SourceArn" = module.hub.completed_rule_arns["notifications"] } }
    }]
  })
}
