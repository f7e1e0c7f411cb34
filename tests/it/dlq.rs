//! `dlq`: what an operator does with the jobs that failed for good.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use aws_sdk_sqs::types::QueueAttributeName;
use serde_json::{Value, json};

use crate::rig::{Rig, speech, wait_until};
use crate::running::Running;

/// Standard output of `dlq`, which must succeed.
async fn dlq(rig: &Rig, args: &[&str]) -> String {
    let output = rig.worker_command("dlq").args(args).output().await.unwrap();
    assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

async fn listed(rig: &Rig) -> Vec<Value> {
    dlq(rig, &["list", "--json"]).await.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[tokio::test]
async fn a_job_that_failed_is_listed_mended_redriven_and_completed() {
    let rig = Rig::new().await;
    let _worker = Running::start(&mut rig.worker());
    rig.send(rig.job("late", "late.mp3")).await;
    assert_eq!(rig.event().await["error"]["code"], "OBJECT_NOT_FOUND");
    rig.queue_is_empty().await;

    let table = dlq(&rig, &["list"]).await;
    assert!(table.contains("late") && table.contains("OBJECT_NOT_FOUND"), "{table}");
    let letters = listed(&rig).await;
    assert_eq!((letters.len(), &letters[0]["jobIds"]), (1, &json!(["late"])), "the first listing consumed nothing");
    let shown: Value = serde_json::from_str(&dlq(&rig, &["show", "late"]).await).unwrap();
    assert_eq!(shown["body"], rig.job("late", "late.mp3"));
    assert_eq!(shown["attributes"]["ErrorCode"], "OBJECT_NOT_FOUND");

    rig.upload("late.mp3", speech("mp3")).await;
    dlq(&rig, &["redrive", "--job-id", "late"]).await;
    let event = rig.event().await;
    assert_eq!((&event["status"], &event["jobId"]), (&json!("completed"), &json!("late")));
    assert!(listed(&rig).await.is_empty());
    rig.queue_is_empty().await;
}

#[tokio::test]
async fn letters_that_the_queue_moved_itself_are_listed_and_purged_one_by_one() {
    let rig = Rig::new().await;
    for n in 0..25 {
        let body = rig.job(&format!("job-{n}"), "talk.mp3").to_string();
        rig.sqs.send_message().queue_url(&rig.dead).message_body(body).send().await.unwrap();
    }
    let letters = listed(&rig).await;
    assert_eq!(letters.len(), 25, "more than one receive brings");
    assert!(letters.iter().all(|letter| letter["code"] == "RETRIES_EXHAUSTED"), "{letters:#?}");

    let unsure = rig.worker_command("dlq").args(["purge", "--all"]).output().await.unwrap();
    assert_eq!(unsure.status.code(), Some(64));
    assert_eq!(listed(&rig).await.len(), 25, "nothing goes without --yes");
    dlq(&rig, &["purge", "--job-id", "job-7", "--yes"]).await;
    let left = listed(&rig).await;
    assert_eq!(left.len(), 24);
    assert!(left.iter().all(|letter| letter["jobIds"] != json!(["job-7"])));
    let none = rig.worker_command("dlq").args(["redrive", "--job-id", "job-7"]).output().await.unwrap();
    assert_eq!(none.status.code(), Some(1));
    dlq(&rig, &["purge", "--all", "--yes"]).await;
    assert!(listed(&rig).await.is_empty());
}

#[tokio::test]
async fn a_fifo_letter_goes_back_to_its_group() {
    let rig = Rig::with_queue("jobs.fifo", &[(QueueAttributeName::FifoQueue, "true")]).await;
    let body = rig.job("again", "talk.mp3").to_string();
    let send = |queue: &str, key: &str| {
        let message = rig.sqs.send_message().queue_url(queue).message_body(&body).message_group_id("tenant-9");
        message.message_deduplication_id(key).send()
    };
    send(&rig.dead, "1").await.unwrap();
    dlq(&rig, &["redrive", "--all"]).await;
    let answer = rig.sqs.receive_message().queue_url(&rig.jobs).wait_time_seconds(5);
    let answer = answer.message_system_attribute_names("All".into()).send().await.unwrap();
    let message = &answer.messages()[0];
    assert_eq!(message.body(), Some(body.as_str()));
    let attributes = message.attributes().unwrap();
    assert_eq!(attributes[&aws_sdk_sqs::types::MessageSystemAttributeName::MessageGroupId], "tenant-9");

    let receipt = message.receipt_handle().unwrap();
    rig.sqs.delete_message().queue_url(&rig.jobs).receipt_handle(receipt).send().await.unwrap();
    send(&rig.dead, "2").await.unwrap();
    dlq(&rig, &["redrive", "--all"]).await;
    assert_eq!(rig.counts().await, (1, 0), "the same body minutes later is not dropped as a duplicate");
}

/// A queue that hears a topic; the topic's ARN.
async fn on_call(rig: &Rig) -> (String, String) {
    let config = crate::server::config_of(&rig.account);
    let sns = aws_sdk_sns::Client::new(&config);
    let topic = sns.create_topic().name("on-call").send().await.unwrap().topic_arn.unwrap();
    let queue = rig.sqs.create_queue().queue_name("on-call").send().await.unwrap().queue_url.unwrap();
    let arn = format!("arn:aws:sqs:us-east-1:{}:on-call", rig.account);
    sns.subscribe().topic_arn(&topic).protocol("sqs").endpoint(arn).send().await.unwrap();
    (topic, queue)
}

#[tokio::test]
async fn letters_are_sent_again_where_that_may_help_and_kept_and_told_where_not() {
    let rig = Rig::new().await;
    let (topic, queue) = on_call(&rig).await;
    let archive = format!("s3://{}/dead", rig.output_bucket());
    let letter = async |body: Value, attributes: &[(&str, &str)]| {
        let mut message = rig.sqs.send_message().queue_url(&rig.dead).message_body(body.to_string());
        for (name, value) in attributes {
            let value = aws_sdk_sqs::types::MessageAttributeValue::builder().data_type("String").string_value(*value);
            message = message.message_attributes(*name, value.build().unwrap());
        }
        message.send().await.unwrap();
    };
    let completed = json!({"id": "e1", "source": "custom.transcription-service", "detail-type": "Transcription Completed",
        "detail": {"jobId": "told", "status": "completed"}});
    let mut unlucky = completed.clone();
    (unlucky["failureReason"], unlucky["detail"]["jobId"]) = (json!("Lambda throttled"), json!("throttled"));
    letter(rig.job("tired", "talk.mp3"), &[]).await;
    letter(rig.job("broken", "talk.mp3"), &[("ErrorCode", "CORRUPT_AUDIO"), ("ErrorMessage", "no audio")]).await;
    letter(rig.job("fatal", "talk.mp3"), &[("ErrorCode", "WORKER_CRASHED"), ("ErrorMessage", "2 workers died")]).await;
    letter(completed, &[("TARGET_ARN", "arn:aws:sqs:r:1:index"), ("ERROR_CODE", "NO_PERMISSIONS")]).await;
    letter(unlucky, &[]).await;

    let process = ["process", "--archive", &archive, "--alert-topic", &topic, "--tries", "1"];
    let planned = dlq(&rig, &[&process[..], &["--dry-run"]].concat()).await;
    assert_eq!((planned.lines().count(), listed(&rig).await.len()), (5, 5), "{planned}");
    assert_eq!(planned.matches("would republish (try 1)").count(), 2, "{planned}");
    let said = dlq(&rig, &process).await;
    assert_eq!(
        (said.matches("republished").count(), said.matches("archived").count(), said.matches("alerted").count()),
        (2, 3, 2),
        "{said}"
    );
    assert!(listed(&rig).await.is_empty());
    let again = rig.receive(&rig.jobs, 5).await.unwrap();
    assert_eq!(serde_json::from_str::<Value>(&again).unwrap(), rig.job("tired", "talk.mp3"));
    assert_eq!(rig.take(&rig.done).await.map(|event| event.contains("throttled")), Some(true), "on the bus again");
    let mut told = vec![rig.take(&queue).await.unwrap(), rig.take(&queue).await.unwrap()];
    told.sort_by_key(|text| text.contains("NO_PERMISSIONS"));
    assert!(
        told[0].contains("WORKER_CRASHED") && told[0].contains("fatal") && told[1].contains("NO_PERMISSIONS"),
        "{told:?}"
    );

    let keys = rig.s3.list_objects_v2().bucket(rig.output_bucket()).prefix("dead/failed-events/").send().await.unwrap();
    let keys: Vec<String> = keys.contents().iter().filter_map(|object| object.key().map(str::to_owned)).collect();
    assert_eq!(keys.len(), 3, "{keys:?}");
    let broken = keys.iter().find(|key| key.contains("/Job/broken-")).unwrap();
    let kept: Value = serde_json::from_slice(&rig.object(broken).await.unwrap()).unwrap();
    assert_eq!((&kept["originalEvent"], &kept["failureReason"]), (&rig.job("broken", "talk.mp3"), &json!("no audio")));

    // what comes back after its tries is kept, and told
    letter(rig.job("tired", "talk.mp3"), &[]).await;
    wait_until("it is there", async || !listed(&rig).await.is_empty()).await;
    let said = dlq(&rig, &process).await;
    assert!(said.contains("archived tired RETRIES_EXHAUSTED") && said.contains("alerted"), "{said}");
}
