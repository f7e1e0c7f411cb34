# The bus that everything meets on.

resource "aws_cloudwatch_event_bus" "hub" {
  count = var.event_bus_name == null ? 1 : 0

  name = var.name
  tags = local.tags
}

locals {
  bus_name = var.event_bus_name == null ? aws_cloudwatch_event_bus.hub[0].name : var.event_bus_name
  bus_arn = (
    var.event_bus_name == null
    ? aws_cloudwatch_event_bus.hub[0].arn
    : "arn:${local.partition}:events:${local.region}:${local.account}:event-bus/${var.event_bus_name}"
  )

  # what the worker publishes with
  worker_source = "custom.transcription-service"
}
