# What the stand-in for AWS cannot do is left out of the copy that is applied to it; terraform/tests holds these on the plan.

# it does not know EnableMetricsCollection
resource "aws_autoscaling_group" "worker" {
  enabled_metrics = []
}

# it answers DescribePolicies with all policies of the group, whichever was asked for: one can be read back, three cannot
resource "aws_autoscaling_policy" "wake" {
  count = 0
}
resource "aws_autoscaling_policy" "sleep" {
  count = 0
}
resource "aws_cloudwatch_metric_alarm" "wake" {
  count = 0
}
resource "aws_cloudwatch_metric_alarm" "sleep" {
  count = 0
}
