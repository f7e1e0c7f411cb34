#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::os::unix::ffi::OsStrExt;

use tempfile::TempDir;

use super::*;

const VISIBILITY: Duration = Duration::from_secs(60);

fn folder() -> (TempDir, FolderQueue) {
    let dir = tempfile::tempdir().unwrap();
    let queue = FolderQueue::open(dir.path()).unwrap();
    (dir, queue)
}

/// A file whose copy ended a minute ago.
fn put(dir: &TempDir, name: &str) {
    let path = dir.path().join("inbox").join(name);
    fs::write(&path, "audio").unwrap();
    let file = File::options().append(true).open(path).unwrap();
    file.set_modified(SystemTime::now() - Duration::from_secs(60)).unwrap();
}

fn exists(dir: &TempDir, path: &str) -> bool {
    dir.path().join(path).exists()
}

async fn take(queue: &FolderQueue) -> Vec<Message> {
    queue.receive(10, VISIBILITY).await.unwrap()
}

async fn take_one(queue: &FolderQueue) -> Message {
    let mut taken = take(queue).await;
    assert_eq!(taken.len(), 1);
    taken.remove(0)
}

fn problem() -> Problem {
    Problem { code: Code::CorruptAudio, message: "talk.wav is broken".to_owned() }
}

#[tokio::test(start_paused = true)]
async fn a_file_becomes_a_job_that_names_where_it_lies_and_what_it_makes() {
    let (dir, queue) = folder();
    put(&dir, "my talk.wav");
    let message = take_one(&queue).await;
    let body: serde_json::Value = serde_json::from_str(&message.body).unwrap();
    assert_eq!(body["s3_input_path"], "s3://inbox/my talk.wav");
    assert_eq!(body["s3_output_path"], "s3://outbox/my talk.wav.json");
    assert!(exists(&dir, "work/my talk.wav") && !exists(&dir, "inbox/my talk.wav"));
    assert_eq!(message.receive_count, 1);
    assert!(message.sent_at_ms > 0);

    queue.delete(&message).await.unwrap();
    assert!(exists(&dir, "done/my talk.wav") && queue.is_empty());
}

#[tokio::test(start_paused = true)]
async fn two_workers_on_one_folder_never_take_the_same_file() {
    let (dir, one) = folder();
    let two = FolderQueue::open(dir.path()).unwrap();
    for number in 0..20 {
        put(&dir, &format!("{number}.wav"));
    }
    let mut seen = HashSet::new();
    for _ in 0..5 {
        let (a, b) = tokio::join!(one.receive(2, VISIBILITY), two.receive(2, VISIBILITY));
        for message in a.unwrap().into_iter().chain(b.unwrap()) {
            assert!(seen.insert(message.id));
        }
    }
    assert_eq!(seen.len(), 20);
    assert!(take(&one).await.is_empty() && take(&two).await.is_empty());
}

#[tokio::test(start_paused = true)]
async fn the_work_of_a_dead_worker_is_taken_at_once_and_counted() {
    let (dir, dead) = folder();
    put(&dir, "talk.wav");
    let first = take_one(&dead).await;
    let other = FolderQueue::open(dir.path()).unwrap();
    assert!(take(&other).await.is_empty());
    drop(dead);
    let second = take_one(&other).await;
    assert_eq!((second.receive_count, &second.body), (2, &first.body));
}

#[tokio::test(start_paused = true)]
async fn a_file_that_ends_every_worker_is_set_aside() {
    let (dir, _) = folder();
    put(&dir, "talk.wav");
    for _ in 0..MAX_RECEIVE_COUNT {
        take_one(&FolderQueue::open(dir.path()).unwrap()).await;
    }
    let queue = FolderQueue::open(dir.path()).unwrap();
    assert!(take(&queue).await.is_empty());
    let report = fs::read_to_string(dir.path().join("failed/talk.wav.error.json")).unwrap();
    assert!(report.contains("RETRIES_EXHAUSTED") && exists(&dir, "failed/talk.wav"));
}

#[tokio::test(start_paused = true)]
async fn a_file_that_is_still_being_copied_is_left_alone() {
    let (dir, queue) = folder();
    let path = dir.path().join("inbox/talk.wav");
    for size in 1..5 {
        // a growing file whose time is always now
        fs::write(&path, vec![0; size]).unwrap();
        assert!(queue.scan(10, VISIBILITY).unwrap().is_empty());
        sleep(SETTLED_BETWEEN).await;
    }
    assert_eq!(queue.scan(10, VISIBILITY).unwrap().len(), 1);
}

fn append(dir: &TempDir, path: &str) {
    let mut file = File::options().append(true).open(dir.path().join(path)).unwrap();
    io::Write::write_all(&mut file, b"more").unwrap();
    file.set_modified(SystemTime::now() - Duration::from_secs(30)).unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_file_that_grew_while_its_job_ran_is_another_job() {
    let (dir, queue) = folder();
    put(&dir, "talk.wav");
    let first = take_one(&queue).await;
    append(&dir, "work/talk.wav");
    queue.delete(&first).await.unwrap();
    assert!(exists(&dir, "inbox/talk.wav") && !exists(&dir, "done/talk.wav"));
    let second = take_one(&queue).await;
    assert_ne!(second.body, first.body);
    assert_eq!(second.receive_count, 1);
    // nor is it broken by what it was then
    append(&dir, "work/talk.wav");
    queue.dead_letter(&second, "", &problem()).await.unwrap();
    queue.delete(&second).await.unwrap();
    assert!(!exists(&dir, "failed/talk.wav"));
    let third = take_one(&queue).await;
    queue.delete(&third).await.unwrap();
    assert!(exists(&dir, "done/talk.wav") && queue.is_empty());
}

#[tokio::test(start_paused = true)]
async fn the_longest_names_are_names_too() {
    let (dir, queue) = folder();
    for length in [240, 251, 255] {
        // two of them that differ only where a shortened name would end
        let names = ["a", "b"].map(|end| format!("{}{end}.wav", "ü".repeat((length - 5) / 2)));
        let mut outputs = HashSet::new();
        for name in &names {
            put(&dir, name);
            let message = take_one(&queue).await;
            let body: serde_json::Value = serde_json::from_str(&message.body).unwrap();
            let output = body["s3_output_path"].as_str().unwrap().strip_prefix("s3://outbox/").unwrap().to_owned();
            assert!(output.strip_suffix(".json").unwrap().len() + ".amazon.json".len() <= 255, "{output}");
            assert!(outputs.insert(output));
            queue.dead_letter(&message, "", &problem()).await.unwrap();
        }
        put(&dir, &names[0]);
        let again = take_one(&queue).await;
        queue.dead_letter(&again, "", &problem()).await.unwrap();
    }
    assert_eq!(fs::read_dir(dir.path().join("failed")).unwrap().count(), 2 * 9, "each with its reason");
}

#[test]
fn what_is_no_message_is_named_and_what_is_unfinished_is_not() {
    let (dir, _) = folder();
    for name in [".hidden", "a.part", "talk.wav"] {
        put(&dir, name);
    }
    let inbox = dir.path().join("inbox");
    fs::create_dir(inbox.join("more")).unwrap();
    std::os::unix::fs::symlink("/tmp", inbox.join("link.wav")).unwrap();
    fs::write(inbox.join(std::ffi::OsStr::from_bytes(b"\xff.wav")), "audio").unwrap();
    let Listing { names, skipped } = list(&inbox).unwrap();
    assert_eq!((names, skipped.len()), (vec!["talk.wav".to_owned()], 3), "{skipped:?}");
}

#[tokio::test(start_paused = true)]
async fn unfinished_downloads_and_hidden_files_are_no_messages() {
    let (dir, queue) = folder();
    for name in [".hidden", "a.part", "b.tmp", "c.crdownload", "d.wav~"] {
        put(&dir, name);
    }
    fs::create_dir(dir.path().join("inbox/folder")).unwrap();
    assert!(take(&queue).await.is_empty() && queue.is_empty());
    put(&dir, "e.wav");
    assert!(!queue.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_backed_off_file_returns_after_its_time_under_a_new_receipt() {
    let (dir, queue) = folder();
    put(&dir, "talk.wav");
    let first = take_one(&queue).await;
    queue.extend(&first, Duration::from_secs(30)).await.unwrap();
    sleep(Duration::from_secs(25)).await;
    assert!(take(&queue).await.is_empty());
    sleep(Duration::from_secs(5)).await;
    let second = take_one(&queue).await;
    assert_eq!(second.receive_count, 2);
    assert_eq!(queue.extend(&first, VISIBILITY).await, Err(Fault::LeaseLost));
    assert_eq!(queue.delete(&first).await, Err(Fault::LeaseLost));
    assert_eq!(queue.dead_letter(&first, "", &problem()).await, Err(Fault::LeaseLost));
    queue.delete(&second).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_file_given_back_is_there_for_others_at_once() {
    let (dir, one) = folder();
    put(&dir, "talk.wav");
    let message = take_one(&one).await;
    one.extend(&message, Duration::ZERO).await.unwrap();
    assert!(exists(&dir, "inbox/talk.wav"));
    let other = FolderQueue::open(dir.path()).unwrap();
    assert_eq!(take_one(&other).await.receive_count, 2);
    assert_eq!(one.delete(&message).await, Err(Fault::LeaseLost));
}

#[tokio::test(start_paused = true)]
async fn a_broken_file_is_kept_with_its_reason() {
    let (dir, queue) = folder();
    put(&dir, "talk.wav");
    let message = take_one(&queue).await;
    queue.dead_letter(&message, "", &problem()).await.unwrap();
    queue.delete(&message).await.unwrap();
    let report = fs::read_to_string(dir.path().join("failed/talk.wav.error.json")).unwrap();
    let report: serde_json::Value = serde_json::from_str(&report).unwrap();
    assert_eq!(report, json!({"code": "CORRUPT_AUDIO", "message": "talk.wav is broken"}));
    assert!(exists(&dir, "failed/talk.wav") && !exists(&dir, "done/talk.wav") && queue.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_second_file_of_the_same_name_replaces_nothing() {
    let (dir, queue) = folder();
    put(&dir, "talk.wav");
    let first = take_one(&queue).await;
    put(&dir, "talk.wav");
    assert!(take(&queue).await.is_empty());
    queue.delete(&first).await.unwrap();
    let second = take_one(&queue).await;
    assert_eq!(second.receive_count, 1);
    queue.delete(&second).await.unwrap();
    assert!(exists(&dir, "done/talk.wav") && exists(&dir, "done/talk-2.wav"));
}

#[tokio::test(start_paused = true)]
async fn a_file_that_cannot_be_taken_keeps_nobody_from_the_others() {
    let (dir, queue) = folder();
    put(&dir, "a.wav");
    put(&dir, "b.wav");
    // its count can be neither read nor replaced
    fs::create_dir(dir.path().join(".state/a.wav.json")).unwrap();
    assert_eq!(take_one(&queue).await.id, "b.wav");
}
