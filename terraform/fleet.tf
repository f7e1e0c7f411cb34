# Spot instances of whatever family has room, from none to max_size.

resource "aws_autoscaling_group" "worker" {
  count = var.fleet == null ? 0 : 1

  name                = local.group_name
  min_size            = var.fleet.min_size
  max_size            = var.fleet.max_size
  vpc_zone_identifier = var.fleet.subnet_ids
  health_check_type   = "EC2"
  # while it boots nobody asks how it is
  health_check_grace_period = var.fleet.warmup_seconds
  default_instance_warmup   = var.fleet.warmup_seconds
  # a recommendation is not an interruption: most instances that get one go on for hours
  capacity_rebalance = var.fleet.capacity_rebalance
  # these cost nothing; scaling.tf and alarms count on them
  metrics_granularity = "1Minute"
  enabled_metrics     = ["GroupDesiredCapacity", "GroupInServiceInstances", "GroupPendingInstances", "GroupTerminatingInstances", "GroupTotalInstances"]
  # `apply` does not wait for instances: spot may have none just now
  wait_for_capacity_timeout = "0"

  mixed_instances_policy {
    instances_distribution {
      on_demand_base_capacity                  = var.fleet.on_demand_base
      on_demand_percentage_above_base_capacity = var.fleet.on_demand_percent
      spot_allocation_strategy                 = "price-capacity-optimized"
    }
    launch_template {
      launch_template_specification {
        launch_template_id = aws_launch_template.worker[0].id
        version            = aws_launch_template.worker[0].latest_version
      }
      dynamic "override" {
        for_each = var.fleet.instance_types
        content {
          instance_type = override.value
        }
      }
    }
  }

  dynamic "tag" {
    for_each = local.tags
    content {
      key                 = tag.key
      value               = tag.value
      propagate_at_launch = true
    }
  }

  lifecycle {
    # scaling sets it
    ignore_changes = [desired_capacity]
  }
}

# An instance that is taken in waits here while it drains: the worker sees `Terminated` in its metadata. Where it may not end
# the wait itself, the wait ends by itself; what it gave back is then long with another.
resource "aws_autoscaling_lifecycle_hook" "drain" {
  count = var.fleet == null ? 0 : 1

  name                   = local.hook_name
  autoscaling_group_name = aws_autoscaling_group.worker[0].name
  lifecycle_transition   = "autoscaling:EC2_INSTANCE_TERMINATING"
  # the drain, a look at the metadata before it and the upload of logs after it
  heartbeat_timeout = var.drain_secs + 60
  default_result    = "CONTINUE"
}
