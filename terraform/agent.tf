# What the image's CloudWatch agent sends where: the worker's log lines to this hub's group, metrics among them (EMF), and the
# machine's own figures. The image carries the same file with the group of a hub named `transcription`.

locals {
  agent_file = jsondecode(file("${path.module}/cloudwatch-agent.json"))
  agent_logs = local.agent_file.logs.logs_collected.files.collect_list[0]

  agent_config = jsonencode(merge(local.agent_file, {
    logs = merge(local.agent_file.logs, {
      logs_collected = { files = { collect_list = [merge(local.agent_logs, { log_group_name = aws_cloudwatch_log_group.worker.name })] } }
    })
  }))
}
