# The events' schemas for whoever writes a consumer. The registry takes draft 4: schemas/ beside this file is made of the
# project's schemas by scripts/registry-schemas.

locals {
  registry_schemas = var.schema_registry ? fileset("${path.module}/schemas", "*.json") : toset([])
}

resource "aws_schemas_registry" "hub" {
  count = var.schema_registry ? 1 : 0

  name        = var.name
  description = "Events of the transcription hub"
  tags        = local.tags
}

resource "aws_schemas_schema" "event" {
  for_each = local.registry_schemas

  # "custom.transcription-service@TranscriptionCompleted.json": the way EventBridge names what it discovers
  name          = trimsuffix(each.value, ".json")
  registry_name = aws_schemas_registry.hub[0].name
  type          = "JSONSchemaDraft4"
  content       = file("${path.module}/schemas/${each.value}")
  tags          = local.tags
}
