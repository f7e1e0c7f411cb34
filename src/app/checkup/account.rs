//! What `check` says about the account: region, role, clock, instance.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use aws_config::SdkConfig;
use aws_sdk_sts::config::interceptors::BeforeDeserializationInterceptorContextRef;
use aws_sdk_sts::config::{ConfigBag, Intercept, ProvideCredentials, RuntimeComponents};
use aws_sdk_sts::error::BoxError;
use aws_smithy_types::DateTime;
use aws_smithy_types::date_time::Format;
use jiff::Timestamp;
use tokio::time::timeout;

use super::Found;
use crate::app::aws;
use crate::config::PlacesConfig;
use crate::exit::Trouble;
use crate::fault::sdk::classify;
use crate::spot::Imds;

/// In a network without a way to STS nobody answers; nothing else needs it.
const STS_LIMIT: Duration = Duration::from_secs(10);

/// Signatures are refused from five minutes on; a clock that is set runs within a second.
const MOST_SKEW_SECS: i64 = 60;

/// One line for each.
pub async fn look(config: &PlacesConfig) -> Vec<(&'static str, Found)> {
    let sdk = match aws::sdk_config().await {
        Ok(sdk) => sdk,
        Err(message) => return vec![("region", Err(Trouble::Config(message)))],
    };
    let here = sdk.region().map(ToString::to_string).unwrap_or_default();
    let (role, clock) = identity(&sdk).await;
    let region = region(&here, config.queue_url.as_deref().unwrap_or_default());
    vec![("region", region), ("role", role), ("clock", clock), ("instance", Ok(instance().await))]
}

/// The region that is asked, and whether the queue is there.
fn region(here: &str, queue_url: &str) -> Found {
    match region_of(queue_url) {
        Some(of_queue) if of_queue != here => {
            Err(Trouble::Config(format!("it is {here}, and the queue is in {of_queue}: set AWS_REGION={of_queue}")))
        }
        _ => Ok(here.to_owned()),
    }
}

/// `https://sqs.eu-central-1.amazonaws.com/123456789012/jobs`; `None` for other endpoints.
fn region_of(queue_url: &str) -> Option<&str> {
    let host = queue_url.split_once("://")?.1.split('/').next()?;
    host.strip_prefix("sqs.")?.split_once(".amazonaws.com").map(|(region, _)| region)
}

/// Who we are to AWS, and what time it is there.
async fn identity(sdk: &SdkConfig) -> (Found, Found) {
    let unknown = || Ok("not known: STS does not answer".to_owned());
    if let Err(trouble) = credentials(sdk).await {
        return (Err(trouble), unknown());
    }
    let date = Date::default();
    let sts = aws_sdk_sts::Client::new(sdk);
    let asked = sts.get_caller_identity().customize().interceptor(date.clone()).send();
    let role = match timeout(STS_LIMIT, asked).await {
        Ok(Ok(caller)) => Ok(caller.arn().unwrap_or("AWS does not say").to_owned()),
        Ok(Err(error)) if error.raw_response().is_some() => {
            Err(Trouble::Unavailable(classify(&error, "ask AWS who we are").to_string()))
        }
        Ok(Err(_)) | Err(_) => Ok("there are credentials; STS, which knows whose, does not answer".to_owned()),
    };
    (role, date.skew_secs().map_or_else(unknown, clock))
}

async fn credentials(sdk: &SdkConfig) -> Result<(), Trouble> {
    let cure = "give the instance a role (instance profile), or set AWS_PROFILE or AWS_ACCESS_KEY_ID";
    let Some(provider) = sdk.credentials_provider() else {
        return Err(Trouble::Unavailable(format!("no credentials: {cure}")));
    };
    // the reason may name what is not for everybody's eyes
    match provider.provide_credentials().await {
        Ok(_) => Ok(()),
        Err(error) => Err(Trouble::Unavailable(format!("no credentials ({error}): {cure}"))),
    }
}

fn clock(skew_secs: i64) -> Found {
    let how = match skew_secs {
        -1..=1 => return Ok("as AWS's".to_owned()),
        2.. => format!("{skew_secs} s ahead of AWS's"),
        _ => format!("{} s behind AWS's", skew_secs.unsigned_abs()),
    };
    if skew_secs.abs() > MOST_SKEW_SECS {
        return Err(Trouble::Unavailable(format!(
            "{how}: AWS refuses what is signed so; is chrony or timesyncd running?"
        )));
    }
    Ok(how)
}

async fn instance() -> String {
    let Some(imds) = Imds::new(None) else {
        return "AWS_EC2_METADATA_DISABLED: no spot notice is looked for".to_owned();
    };
    imds.instance_id()
        .await
        .unwrap_or_else(|| "no metadata service: not on EC2, so no spot notice is looked for".to_owned())
}

/// When AWS sent its answer, and when it came.
#[derive(Debug, Clone, Default)]
struct Date(Arc<Mutex<Option<i64>>>);

impl Date {
    /// Our clock less AWS's.
    fn skew_secs(&self) -> Option<i64> {
        self.0.lock().ok().and_then(|skew| *skew)
    }
}

impl Intercept for Date {
    fn name(&self) -> &'static str {
        "Date"
    }

    fn read_before_deserialization(
        &self,
        context: &BeforeDeserializationInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let theirs =
            context.response().headers().get("date").and_then(|date| DateTime::from_str(date, Format::HttpDate).ok());
        if let (Some(theirs), Ok(mut skew)) = (theirs, self.0.lock()) {
            *skew = Some(Timestamp::now().as_second() - theirs.secs());
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_queue_of_another_region_is_told_with_the_cure() {
        let queue = "https://sqs.eu-west-1.amazonaws.com/123456789012/jobs";
        assert_eq!(region("eu-west-1", queue), Ok("eu-west-1".to_owned()));
        assert!(
            matches!(region("us-east-1", queue), Err(Trouble::Config(why)) if why.contains("AWS_REGION=eu-west-1"))
        );
        assert_eq!(region_of("https://sqs.cn-north-1.amazonaws.com.cn/1/jobs"), Some("cn-north-1"));
        assert_eq!(region("us-east-1", "http://127.0.0.1:4566/000000000000/jobs"), Ok("us-east-1".to_owned()));
    }

    #[test]
    fn a_wrong_clock_is_a_trouble_and_a_slow_one_a_remark() {
        assert_eq!(clock(1), Ok("as AWS's".to_owned()));
        assert_eq!(clock(-7), Ok("7 s behind AWS's".to_owned()));
        assert!(matches!(clock(301), Err(Trouble::Unavailable(why)) if why.contains("301 s ahead")));
    }
}
