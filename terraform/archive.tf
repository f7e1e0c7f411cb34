# Uploads can be announced again: after a fault that lost jobs, or for a better model. Only upload events are kept, so a
# replay cannot tell the index of old transcripts; output `replay_commands` names the one rule that is to hear it, so that
# nobody else who listens to uploads hears them twice.

resource "aws_cloudwatch_event_archive" "uploads" {
  for_each = { for name, rule in local.upload_rules : name => rule if var.archive_days > 0 }

  name             = "${var.name}-${each.key}"
  description      = each.value.description
  event_source_arn = each.value.bus_arn
  event_pattern    = jsonencode(each.value.pattern)
  retention_days   = var.archive_days
}

locals {
  replay_commands = { for name, archive in aws_cloudwatch_event_archive.uploads : name => join(" ", [
    "aws events start-replay --region ${local.region} --replay-name NAME",
    "--event-source-arn ${archive.arn} --event-start-time FROM --event-end-time TO",
    "--destination '${jsonencode({ Arn = local.upload_rules[name].bus_arn, FilterArns = [aws_cloudwatch_event_rule.upload[name].arn] })}'",
  ]) }
}
