# What an instance is: the worker's image, its role, and worker.env and the agent's settings written at the first boot.

locals {
  group_name = "${var.name}-workers"
  hook_name  = "drain"
}

resource "aws_security_group" "worker" {
  count = var.fleet != null && try(length(var.fleet.security_group_ids), 1) == 0 ? 1 : 0

  name        = local.group_name
  description = "Workers: nobody comes in, HTTPS goes out"
  vpc_id      = var.fleet.vpc_id
  tags        = local.tags
}

# SQS, S3, EventBridge and CloudWatch have no fixed addresses
resource "aws_vpc_security_group_egress_rule" "https" {
  count = length(aws_security_group.worker)

  security_group_id = aws_security_group.worker[0].id
  description       = "AWS over HTTPS"
  ip_protocol       = "tcp"
  from_port         = 443
  to_port           = 443
  cidr_ipv4         = "0.0.0.0/0"
}

resource "aws_launch_template" "worker" {
  count = var.fleet == null ? 0 : 1

  name        = local.group_name
  description = "transcription-worker"
  image_id    = var.fleet.ami_id
  # for launches by hand; the group names its own
  instance_type = var.fleet.instance_types[0]
  # an instance that switches itself off is not to be paid for as a stopped one
  instance_initiated_shutdown_behavior = "terminate"
  update_default_version               = true
  vpc_security_group_ids               = concat(var.fleet.security_group_ids, aws_security_group.worker[*].id)

  iam_instance_profile {
    arn = aws_iam_instance_profile.worker.arn
  }

  # the worker speaks nothing older than IMDSv2; one hop, so that containers do not get the role
  metadata_options {
    http_endpoint               = "enabled"
    http_tokens                 = "required"
    http_put_response_hop_limit = 1
  }

  monitoring {
    enabled = true
  }

  block_device_mappings {
    device_name = var.fleet.root_device_name
    ebs {
      volume_size           = var.fleet.root_volume_gib
      volume_type           = "gp3"
      encrypted             = true
      delete_on_termination = true
    }
  }

  user_data = base64encode("#cloud-config\n${yamlencode({
    write_files = [
      {
        path        = "/etc/transcription-worker/worker.env"
        permissions = "0644"
        content     = local.worker_env_file
      },
      {
        path        = "/opt/aws/amazon-cloudwatch-agent/etc/amazon-cloudwatch-agent.d/transcription-worker.json"
        permissions = "0644"
        content     = local.agent_config
      },
    ]
  })}")

  tag_specifications {
    resource_type = "instance"
    tags          = merge(local.tags, { Name = local.group_name })
  }
  tag_specifications {
    resource_type = "volume"
    tags          = merge(local.tags, { Name = local.group_name })
  }
  tags = local.tags
}
