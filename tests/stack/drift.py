"""Reads the JSON of a second plan: it may want nothing but what the stand-in forgets."""
import json
import sys

# by type, the attributes that come back as if they had never been set
FORGOTTEN = {
    "aws_autoscaling_group": {"mixed_instances_policy", "default_instance_warmup"},
    # the provider reads another shape of answer: period 0, no actions, no queries
    "aws_cloudwatch_metric_alarm": {
        "actions_enabled", "alarm_actions", "alarm_description", "comparison_operator", "datapoints_to_alarm", "dimensions", "evaluation_periods",
        "metric_name", "metric_query", "namespace", "ok_actions", "period", "statistic", "tags", "tags_all", "threshold", "treat_missing_data",
    },
}



def bare(value):
    """Without what is empty: nothing, "" and a list of it are the same to the provider."""
    if isinstance(value, dict):
        value = {key: bare(each) for key, each in value.items() if bare(each)}
    elif isinstance(value, list):
        value = [bare(each) for each in value if bare(each)]
    return value or None


wanted, forgotten = [], 0
for change in json.load(sys.stdin)["resource_changes"]:
    before, after, actions = change["change"]["before"], change["change"]["after"], change["change"]["actions"]
    if actions in (["no-op"], ["read"]):
        continue
    changed = {key for key in after or {} if bare((before or {}).get(key)) != bare(after[key])}
    if actions == ["update"] and changed <= FORGOTTEN.get(change["type"], set()):
        forgotten += 1
    else:
        wanted.append(f"{change['address']}: {'/'.join(actions)} {', '.join(sorted(changed))}")
if wanted:
    sys.exit("drift:\n" + "\n".join(wanted))
print(f"drift: none, but for {forgotten} resources of the kinds that the stand-in forgets")
