# The instances: what they are, how many there are, how they go.

mock_provider "aws" {
  source = "./tests/mocks"
}

variables {
  fleet = {
    ami_id     = "ami-0123456789abcdef0"
    vpc_id     = "vpc-1"
    subnet_ids = ["subnet-1", "subnet-2"]
  }
}

run "an_instance_is_hardened_and_knows_its_settings" {
  assert {
    condition     = aws_launch_template.worker[0].metadata_options[0].http_tokens == "required" && aws_launch_template.worker[0].metadata_options[0].http_put_response_hop_limit == 1
    error_message = "IMDSv2 only, for the instance itself"
  }
  assert {
    condition     = aws_launch_template.worker[0].block_device_mappings[0].ebs[0].encrypted == "true"
    error_message = "the disk is encrypted"
  }
  assert {
    condition     = yamldecode(base64decode(aws_launch_template.worker[0].user_data)).write_files[0] == { path = "/etc/transcription-worker/worker.env", permissions = "0644", content = output.worker_env_file }
    error_message = "worker.env is written at the first boot"
  }
  assert {
    condition     = jsondecode(yamldecode(base64decode(aws_launch_template.worker[0].user_data)).write_files[1].content).logs.logs_collected.files.collect_list[0].log_group_name == aws_cloudwatch_log_group.worker.name
    error_message = "the agent sends the worker's lines to this hub's group"
  }
  assert {
    condition     = startswith(base64decode(aws_launch_template.worker[0].user_data), "#cloud-config\n")
    error_message = "as cloud-init wants it"
  }
  assert {
    condition     = aws_launch_template.worker[0].instance_initiated_shutdown_behavior == "terminate"
    error_message = "an instance that switches itself off is gone"
  }
  assert {
    condition     = length(aws_security_group.worker) == 1 && aws_vpc_security_group_egress_rule.https[0].from_port == 443
    error_message = "nobody comes in, HTTPS goes out"
  }
}

run "spot_over_all_gpu_families" {
  assert {
    condition     = aws_autoscaling_group.worker[0].mixed_instances_policy[0].instances_distribution[0].spot_allocation_strategy == "price-capacity-optimized"
    error_message = "price and capacity decide"
  }
  assert {
    condition     = aws_autoscaling_group.worker[0].mixed_instances_policy[0].instances_distribution[0].on_demand_percentage_above_base_capacity == 0
    error_message = "all spot"
  }
  assert {
    condition     = toset([for override in aws_autoscaling_group.worker[0].mixed_instances_policy[0].launch_template[0].override : split(".", override.instance_type)[0]]) == toset(["g6", "g6e", "g5", "g4dn"])
    error_message = "whatever family has room"
  }
  assert {
    condition     = aws_autoscaling_group.worker[0].min_size == 0
    error_message = "none when there is nothing to do"
  }
  assert {
    condition     = contains(aws_autoscaling_group.worker[0].enabled_metrics, "GroupDesiredCapacity") && contains(aws_autoscaling_group.worker[0].enabled_metrics, "GroupInServiceInstances")
    error_message = "scaling and alarms look at these"
  }
}

run "jobs_at_work_count_and_nobody_is_taken_from_them" {
  assert {
    condition = {
      for metric in aws_autoscaling_policy.grow[0].target_tracking_configuration[0].customized_metric_specification[0].metrics : metric.id => try(metric.metric_stat[0].metric[0].metric_name, metric.expression)
      } == {
      load        = "(visible + not_visible) / IF(FILL(wanted, 0) > 0, wanted, 1)"
      visible     = "ApproximateNumberOfMessagesVisible"
      not_visible = "ApproximateNumberOfMessagesNotVisible"
      wanted      = "GroupDesiredCapacity"
    }
    error_message = "visible and not visible, for each instance"
  }
  assert {
    condition     = aws_autoscaling_policy.grow[0].target_tracking_configuration[0].disable_scale_in
    error_message = "it only grows"
  }
  assert {
    condition     = one(aws_autoscaling_policy.wake[0].step_adjustment).scaling_adjustment == 1 && one(aws_autoscaling_policy.sleep[0].step_adjustment).scaling_adjustment == 0
    error_message = "from none to one, and to none"
  }
  assert {
    condition     = one([for query in aws_cloudwatch_metric_alarm.sleep[0].metric_query : query.expression if query.id == "idle"]) == "IF(visible + not_visible < 1, IF(wanted > 0, wanted, 0), 0)"
    error_message = "only when no job waits or is at work"
  }
  assert {
    condition     = aws_cloudwatch_metric_alarm.sleep[0].treat_missing_data == "ignore" && aws_cloudwatch_metric_alarm.sleep[0].evaluation_periods == 15
    error_message = "for a quarter of an hour, and never for want of data"
  }
}

run "gradual_scale_in_can_be_chosen" {
  variables {
    fleet = { ami_id = "ami-1", subnet_ids = ["subnet-1"], security_group_ids = ["sg-1"], scale_in = "gradual", min_size = 1 }
  }
  assert {
    condition     = !aws_autoscaling_policy.grow[0].target_tracking_configuration[0].disable_scale_in
    error_message = "it shrinks too"
  }
  assert {
    condition     = length(aws_security_group.worker) == 0 && aws_launch_template.worker[0].vpc_security_group_ids == toset(["sg-1"])
    error_message = "a group that is there is used"
  }
  assert {
    condition     = one(aws_autoscaling_policy.sleep[0].step_adjustment).scaling_adjustment == 1
    error_message = "to min_size"
  }
}

run "an_instance_drains_before_it_goes" {
  variables {
    drain_secs = 600
  }
  assert {
    condition     = aws_autoscaling_lifecycle_hook.drain[0].lifecycle_transition == "autoscaling:EC2_INSTANCE_TERMINATING" && aws_autoscaling_lifecycle_hook.drain[0].heartbeat_timeout == 660
    error_message = "the wait is longer than the drain"
  }
  assert {
    condition     = aws_autoscaling_lifecycle_hook.drain[0].default_result == "CONTINUE"
    error_message = "and ends by itself"
  }
}

run "instances_may_nothing_to_their_group_unless_told" {
  assert {
    condition     = !strcontains(aws_iam_role_policy.worker.policy, "autoscaling:")
    error_message = "nothing"
  }
  assert {
    condition     = length([for name in keys(output.worker_env) : name if can(regex("GROUP|HOOK|SCALE_IN|IDLE", name))]) == 0
    error_message = "nor are they set to do anything"
  }
}

run "instances_may_what_is_told_to_their_own_group" {
  variables {
    instances_may = { complete_lifecycle_hook = true, protect_from_scale_in = true, terminate_themselves = true }
  }
  assert {
    condition = [for statement in jsondecode(aws_iam_role_policy.worker.policy).Statement : [statement.Action, statement.Resource] if statement.Sid == "OwnGroup"] == [[
      ["autoscaling:CompleteLifecycleAction", "autoscaling:RecordLifecycleActionHeartbeat", "autoscaling:SetInstanceProtection", "autoscaling:TerminateInstanceInAutoScalingGroup"],
      "arn:aws:autoscaling:eu-central-1:123456789012:autoScalingGroup:*:autoScalingGroupName/transcription-workers",
    ]]
    error_message = "these four, to this group"
  }
  assert {
    condition = { for name, value in output.worker_env : name => value if can(regex("GROUP|HOOK|SCALE_IN|IDLE", name)) } == {
      TRANSCRIPTION_SCALING_GROUP       = "transcription-workers"
      TRANSCRIPTION_LIFECYCLE_HOOK      = "drain"
      TRANSCRIPTION_SCALE_IN_PROTECTION = "on"
      TRANSCRIPTION_IDLE_TERMINATES     = "on"
      TRANSCRIPTION_IDLE_MINUTES        = "15"
    }
    error_message = "and are set to do it: ${jsonencode(output.worker_env)}"
  }
}

run "a_fleet_needs_a_network" {
  command = plan
  variables {
    fleet = { ami_id = "ami-1", subnet_ids = ["subnet-1"] }
  }
  expect_failures = [var.fleet]
}
