# Dashboard and alarms: what they look at is what is there.

mock_provider "aws" {
  source = "./tests/mocks"
}

variables {
  worker_metrics   = true
  hourly_price_usd = 0.4
  fleet            = { ami_id = "ami-1", vpc_id = "vpc-1", subnet_ids = ["subnet-1"] }
}

run "alarms_reach_the_topic" {
  assert {
    condition = alltrue([
      for alarm in concat(values(aws_cloudwatch_metric_alarm.hub), values(aws_cloudwatch_metric_alarm.worker), aws_cloudwatch_metric_alarm.failing, aws_cloudwatch_metric_alarm.silent, aws_cloudwatch_metric_alarm.no_capacity) :
      alarm.alarm_actions == toset([aws_sns_topic.alarms[0].arn]) && alarm.ok_actions == toset([aws_sns_topic.alarms[0].arn])
    ])
    error_message = "each alarm is told, and its end too"
  }
  assert {
    condition     = alltrue([for name in ["dead-jobs", "undelivered-events", "oldest-job", "lost-audio-uploaded"] : contains(keys(aws_cloudwatch_metric_alarm.hub), name)])
    error_message = "what needs no word from the worker"
  }
}

run "ours_are_named_in_the_list" {
  assert {
    condition = alltrue([
      for alarm in aws_cloudwatch_metric_alarm.worker :
      alarm.namespace == "TranscriptionWorker" && alarm.dimensions == tomap({ Fleet = "transcription" }) && contains(keys(local.metric), alarm.metric_name)
    ])
    error_message = "alarms"
  }
  assert {
    condition = length(setsubtract(flatten([for widget in jsondecode(aws_cloudwatch_dashboard.hub.dashboard_body).widgets : [
      for metric in widget.properties.metrics : metric[1] if try(metric[0] == "TranscriptionWorker", false)
    ]]), keys(local.metric))) == 0
    error_message = "dashboard"
  }
  assert {
    condition     = length(local.metric) == 33
    error_message = "the list has 33: ${length(local.metric)}"
  }
}

run "the_dashboard_is_laid_out" {
  assert {
    condition     = alltrue([for widget in jsondecode(aws_cloudwatch_dashboard.hub.dashboard_body).widgets : widget.x + widget.width <= 24 && length(widget.properties.metrics) > 0])
    error_message = "within the page, and nothing empty"
  }
  assert {
    condition     = contains([for widget in jsondecode(aws_cloudwatch_dashboard.hub.dashboard_body).widgets : widget.properties.title], "Dollars for an hour of audio")
    error_message = "a price makes a cost"
  }
}

run "a_worker_without_metrics_is_not_alarmed_about" {
  variables {
    worker_metrics = false
  }
  assert {
    condition     = length(aws_cloudwatch_metric_alarm.worker) + length(aws_cloudwatch_metric_alarm.failing) + length(aws_cloudwatch_metric_alarm.silent) == 0
    error_message = "nothing that would never speak, or never be quiet"
  }
  assert {
    condition     = !strcontains(aws_cloudwatch_dashboard.hub.dashboard_body, "TranscriptionWorker")
    error_message = "no empty graphs"
  }
}

run "an_existing_topic_is_used" {
  variables {
    alarm_topic_arn = "arn:aws:sns:eu-central-1:123456789012:pager"
  }
  assert {
    condition     = length(aws_sns_topic.alarms) == 0 && aws_cloudwatch_metric_alarm.hub["dead-jobs"].alarm_actions == toset(["arn:aws:sns:eu-central-1:123456789012:pager"])
    error_message = "no topic is made"
  }
}
