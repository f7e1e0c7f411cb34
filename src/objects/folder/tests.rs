#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use futures_util::TryStreamExt;

use super::*;

fn folder() -> (tempfile::TempDir, FolderObjects) {
    let root = tempfile::tempdir().unwrap();
    let objects = FolderObjects::new(root.path());
    (root, objects)
}

fn code(fault: &Fault) -> Code {
    fault.problem().unwrap().code
}

async fn put(objects: &FolderObjects, bucket: &str, key: &str, body: &[u8]) -> Location {
    let at = Location::new(bucket, key);
    objects.put(&at, Bytes::copy_from_slice(body), "text/plain", &Condition::Always).await.unwrap();
    at
}

#[tokio::test]
async fn no_key_leads_out_of_its_bucket() {
    let (root, objects) = folder();
    fs::write(root.path().join("secret"), "secret").unwrap();
    put(&objects, "inbox", "a/b", b"x").await;
    for (bucket, key) in [
        ("inbox", "../secret"),
        ("inbox", "a/../../secret"),
        ("inbox", "/etc/passwd"),
        ("inbox", "a//b"),
        ("inbox", "./a/b"),
        ("inbox", "a/"),
        ("inbox", ""),
        ("inbox", "a\0b"),
        ("..", "secret"),
        (".", "secret"),
        ("etc", "passwd"),
        ("inbox/a", "b"),
    ] {
        let at = Location::new(bucket, key);
        let mut faults = vec![objects.head(&at).await.unwrap_err()];
        faults.extend(objects.get(&at, 0..1, "").await.err());
        faults.extend(objects.read(&at, 9).await.err());
        faults.extend(objects.put(&at, Bytes::new(), "text/plain", &Condition::Always).await.err());
        faults.extend(objects.remove(&at).await.err());
        assert_eq!(faults.len(), 5, "{at}");
        for fault in faults {
            assert!(matches!(&fault, Fault::Permanent(_)) && code(&fault) == Code::AccessDenied, "{at}: {fault}");
            assert!(fault.to_string().contains(&at.to_string()), "{fault}");
        }
    }
}

#[tokio::test]
async fn a_range_comes_out_exactly_across_chunks() {
    let (_root, objects) = folder();
    let content: Vec<u8> = (0..u32::try_from(CHUNK_BYTES).unwrap() * 2 + 7).map(|i| (i % 251) as u8).collect();
    let at = put(&objects, "inbox", "a.wav", &content).await;
    let info = objects.head(&at).await.unwrap();
    assert_eq!(info.size_bytes, content.len() as u64);
    for range in [0..info.size_bytes, 5..6, CHUNK_BYTES - 1..CHUNK_BYTES * 2 + 3] {
        let body: Vec<Bytes> = objects.get(&at, range.clone(), &info.etag).await.unwrap().try_collect().await.unwrap();
        assert_eq!(body.concat(), content[range.start as usize..range.end as usize], "{range:?}");
    }
}

#[tokio::test]
async fn a_replaced_object_is_not_read_under_its_old_etag() {
    let (_root, objects) = folder();
    let at = put(&objects, "inbox", "a.wav", b"first").await;
    let before = objects.head(&at).await.unwrap();
    // the same size, within the same clock tick: the inode tells
    put(&objects, "inbox", "a.wav", b"other").await;
    assert_ne!(objects.head(&at).await.unwrap().etag, before.etag);
    let fault = objects.get(&at, 0..5, &before.etag).await.err().unwrap();
    assert!(matches!(&fault, Fault::Transient(_)) && code(&fault) == Code::ObjectChanged, "{fault}");
}

#[tokio::test]
async fn an_object_written_over_while_it_is_read_is_noticed() {
    let (root, objects) = folder();
    let size = CHUNK_BYTES * 2;
    let at = put(&objects, "inbox", "a.wav", &vec![1; usize::try_from(size).unwrap()]).await;
    let info = objects.head(&at).await.unwrap();
    let mut body = objects.get(&at, 0..size, &info.etag).await.unwrap();
    body.try_next().await.unwrap().unwrap();
    fs::write(root.path().join("inbox/a.wav"), "short").unwrap();
    assert_eq!(code(&body.try_next().await.unwrap_err()), Code::ObjectChanged);
}

#[tokio::test]
async fn a_file_moved_between_inbox_and_work_is_still_the_same_object() {
    let (root, objects) = folder();
    let at = put(&objects, "inbox", "u/a.wav", b"sound").await;
    let info = objects.head(&at).await.unwrap();
    fs::create_dir_all(root.path().join("work/u")).unwrap();
    fs::rename(root.path().join("inbox/u/a.wav"), root.path().join("work/u/a.wav")).unwrap();
    assert_eq!(objects.head(&at).await.unwrap(), info);
    assert_eq!(objects.head(&Location::new("work", "u/a.wav")).await.unwrap(), info);
    assert!(objects.get(&at, 0..5, &info.etag).await.is_ok());
}

#[tokio::test]
async fn a_write_that_fails_leaves_neither_a_part_nor_the_old_object_damaged() {
    let (root, objects) = folder();
    let at = put(&objects, "outbox", "u/f/transcript.json", b"{}").await;
    // a directory stands where this object would go
    let fault = objects
        .put(&Location::new("outbox", "u/f"), Bytes::from("x"), "text/plain", &Condition::Always)
        .await
        .unwrap_err();
    assert_eq!(code(&fault), Code::ObjectNotFound);
    assert_eq!(objects.read(&at, 10).await.unwrap().unwrap().body, "{}");
    let left: Vec<_> = fs::read_dir(root.path().join("outbox/u")).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert_eq!(left, ["f"]);
}

#[tokio::test]
async fn a_missing_object_is_named_and_is_no_error_to_read_or_remove() {
    let (_root, objects) = folder();
    let at = Location::new("inbox", "nobody.wav");
    let fault = objects.head(&at).await.unwrap_err();
    assert!(matches!(&fault, Fault::Permanent(_)) && code(&fault) == Code::ObjectNotFound);
    assert!(fault.to_string().contains("s3://inbox/nobody.wav"), "{fault}");
    assert_eq!(objects.read(&at, 10).await.unwrap(), None);
    objects.remove(&at).await.unwrap();
    let at = put(&objects, "inbox", "somebody.wav", b"x").await;
    objects.remove(&at).await.unwrap();
    assert_eq!(objects.read(&at, 10).await.unwrap(), None);
}

#[tokio::test]
async fn a_small_object_is_read_whole_up_to_its_limit() {
    let (_root, objects) = folder();
    let at = put(&objects, "outbox", "a.json", b"12345").await;
    assert_eq!(objects.read(&at, 5).await.unwrap().unwrap().body, "12345");
    assert_eq!(code(&objects.read(&at, 4).await.unwrap_err()), Code::ObjectTooLarge);
}

#[tokio::test]
async fn a_write_on_a_condition_replaces_nothing_that_was_not_meant() {
    let (root, objects) = folder();
    let at = Location::new("outbox", "u/f/transcript.json");
    let write = async |body: &str, condition: &Condition| {
        objects.put(&at, Bytes::copy_from_slice(body.as_bytes()), "text/plain", condition).await
    };
    let unchanged = |etag: &str| Condition::Unchanged(etag.to_owned());
    let refused = |put: Result<String, Fault>| matches!(put, Err(Fault::Transient(p)) if p.code == Code::ObjectChanged);

    assert!(refused(write("x", &unchanged("e")).await), "there is nothing to replace");
    let first = write("first", &Condition::Absent).await.unwrap();
    assert!(refused(write("x", &Condition::Absent).await));
    let second = write("second", &unchanged(&first)).await.unwrap();
    assert!(refused(write("x", &unchanged(&first)).await));
    let found = objects.read(&at, 10).await.unwrap().unwrap();
    assert_eq!((found.body, found.etag), (Bytes::from("second"), second));
    let left: Vec<_> = fs::read_dir(root.path().join("outbox/u/f")).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert_eq!(left, ["transcript.json"], "no part of what was refused");
}
