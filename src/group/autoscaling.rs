//! The group by the API of EC2 Auto Scaling.

use async_trait::async_trait;
use aws_sdk_autoscaling::Client;

use super::Group;
use crate::fault::sdk::classify;
use crate::fault::{Code, Fault};

/// An instance in its group.
#[derive(Debug)]
pub struct AutoScaling {
    client: Client,
    group: String,
    hook: Option<String>,
    instance: String,
}

impl AutoScaling {
    /// This instance of the group, whose lifecycle hook at the end of instances is `hook`.
    pub fn new(client: Client, group: impl Into<String>, hook: Option<String>, instance: impl Into<String>) -> Self {
        Self { client, group: group.into(), hook, instance: instance.into() }
    }

    fn hook(&self) -> Result<&str, Fault> {
        let none = || Fault::permanent(Code::Internal, "no lifecycle hook is named");
        self.hook.as_deref().ok_or_else(none)
    }
}

#[async_trait]
impl Group for AutoScaling {
    async fn heartbeat(&self) -> Result<(), Fault> {
        let hook = self.hook()?;
        let request = self.client.record_lifecycle_action_heartbeat().auto_scaling_group_name(&self.group);
        let sent = request.lifecycle_hook_name(hook).instance_id(&self.instance).send().await;
        sent.map(drop).map_err(|e| classify(&e, &format!("extend hook {hook} of group {}", self.group)))
    }

    async fn complete(&self) -> Result<(), Fault> {
        let hook = self.hook()?;
        let request = self.client.complete_lifecycle_action().auto_scaling_group_name(&self.group);
        let request = request.lifecycle_hook_name(hook).lifecycle_action_result("CONTINUE");
        let sent = request.instance_id(&self.instance).send().await;
        sent.map(drop).map_err(|e| classify(&e, &format!("complete hook {hook} of group {}", self.group)))
    }

    async fn protect(&self, protected: bool) -> Result<(), Fault> {
        let request = self.client.set_instance_protection().auto_scaling_group_name(&self.group);
        let sent = request.instance_ids(&self.instance).protected_from_scale_in(protected).send().await;
        sent.map(drop).map_err(|e| classify(&e, &format!("protect {} in group {}", self.instance, self.group)))
    }

    async fn terminate(&self) -> Result<(), Fault> {
        let request = self.client.terminate_instance_in_auto_scaling_group().instance_id(&self.instance);
        let sent = request.should_decrement_desired_capacity(true).send().await;
        sent.map(drop).map_err(|e| classify(&e, &format!("end {} of group {}", self.instance, self.group)))
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

    use percent_encoding::percent_decode_str;

    use super::*;
    use crate::app::aws::fake::{Answer, FakeAws};

    const DONE: &str = "<R><ResponseMetadata><RequestId>1</RequestId></ResponseMetadata></R>";

    fn refusal(code: &str) -> Answer {
        let body = format!("<ErrorResponse><Error><Code>{code}</Code><Message>no</Message></Error></ErrorResponse>");
        Answer::new(400, body)
    }

    fn group(aws: &FakeAws, hook: Option<&str>) -> AutoScaling {
        AutoScaling::new(Client::new(&aws.config()), "workers", hook.map(str::to_owned), "i-1")
    }

    /// The parameters of the requests so far, sorted.
    fn asked(aws: &FakeAws) -> Vec<Vec<String>> {
        let parameters = |body: &Vec<u8>| {
            let text = percent_decode_str(std::str::from_utf8(body).unwrap()).decode_utf8().unwrap().into_owned();
            let mut all: Vec<String> =
                text.split('&').filter(|p| !p.starts_with("Version=")).map(str::to_owned).collect();
            all.sort();
            all
        };
        aws.bodies().iter().map(parameters).collect()
    }

    #[tokio::test]
    async fn each_call_names_what_it_is_about() {
        let aws = FakeAws::new(|_| Answer::new(200, DONE));
        let group = group(&aws, Some("drain"));
        group.heartbeat().await.unwrap();
        group.complete().await.unwrap();
        group.protect(true).await.unwrap();
        // its answer has content of its own
        drop(group.terminate().await);
        assert_eq!(
            asked(&aws),
            [
                vec![
                    "Action=RecordLifecycleActionHeartbeat",
                    "AutoScalingGroupName=workers",
                    "InstanceId=i-1",
                    "LifecycleHookName=drain"
                ],
                vec![
                    "Action=CompleteLifecycleAction",
                    "AutoScalingGroupName=workers",
                    "InstanceId=i-1",
                    "LifecycleActionResult=CONTINUE",
                    "LifecycleHookName=drain"
                ],
                vec![
                    "Action=SetInstanceProtection",
                    "AutoScalingGroupName=workers",
                    "InstanceIds.member.1=i-1",
                    "ProtectedFromScaleIn=true"
                ],
                vec![
                    "Action=TerminateInstanceInAutoScalingGroup",
                    "InstanceId=i-1",
                    "ShouldDecrementDesiredCapacity=true"
                ],
            ]
        );
    }

    #[tokio::test]
    async fn a_refusal_is_permanent_and_a_throttled_call_is_not() {
        for (code, is_permanent) in [("ValidationError", true), ("AccessDenied", true), ("Throttling", false)] {
            let aws = FakeAws::new(move |_| refusal(code));
            let fault = group(&aws, Some("drain")).terminate().await.unwrap_err();
            assert_eq!(matches!(fault, Fault::Permanent(_)), is_permanent, "{code}: {fault}");
        }
        let aws = FakeAws::new(|_| Answer::new(200, DONE));
        assert!(group(&aws, None).complete().await.is_err(), "no hook was named");
        assert!(aws.bodies().is_empty());
    }
}
