//! What a checkpoint carries and what is refused, on a store in memory.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::sync::mpsc::unbounded_channel;
use tokio::time::sleep;

use super::keeper::Keeper;
use super::*;
use crate::audio::{Found, Span};
use crate::fault::{Code, Fault};
use crate::handler::Control;
use crate::job::clip::Clip;
use crate::job::wording::Private;
use crate::objects::memory::MemoryObjects;
use crate::transcript::DropReason;

fn binding() -> Binding {
    Binding {
        job_id: "j1".to_owned(),
        etag: "e1".to_owned(),
        model: "abc".to_owned(),
        options: WindowOptions::default(),
        channels: Channels::Mix,
        clip: None,
        windowing: WINDOWING,
        listening: LISTENING,
    }
}

fn finished(index: u32) -> FinishedWindow {
    let text = WindowText {
        language: "de".to_owned(),
        language_probability: Some(0.1),
        no_speech_prob: 1.0 / 3.0,
        avg_logprob: -0.123_456_79,
        pieces: vec![
            Piece { text: " Zürich,".to_owned(), p: 0.7, said: Some((120, 480)) },
            Piece { text: " \"ja\"".to_owned(), p: f32::MIN_POSITIVE, said: None },
        ],
        busy_ms: 1234,
    };
    let reason = DropReason::Repetition;
    let dropped = vec![Dropped { start: 1.25, end: 7.5, reason, text: "so I said".to_owned(), channel: Some(1) }];
    let shape = u64::MAX - u64::from(index);
    let vote = Some(("de".to_owned(), 100));
    FinishedWindow { index, shape, text, letters: 7, vote, is_dropped: false, dropped, retried: true }
}

fn window() -> Window {
    let spans = vec![Span { window_start: 0, source_start: 16_000, len: 4_000 }];
    Window { index: 3, channel: None, pcm: vec![0.5; 4_000], spans, found: Found::Voice }
}

fn at() -> Location {
    location(&Location::new("out", "u1/f1/transcript.json"), "j1")
}

async fn open(objects: &Arc<MemoryObjects>) -> Keeper {
    Keeper::open(objects.clone(), at(), binding(), Duration::from_secs(60)).await
}

fn saved(objects: &MemoryObjects) -> Vec<u32> {
    let document = objects.now(&at()).map(|document| parse(&document, &binding()).unwrap());
    document.into_iter().flatten().map(|window| window.index).collect()
}

#[test]
fn windows_come_back_to_the_last_bit() {
    let windows = [finished(0), finished(7)];
    let document = encode(&binding(), windows.iter()).unwrap();
    assert_eq!(parse(&document, &binding()).unwrap(), windows);
}

#[test]
fn a_checkpoint_cut_at_any_byte_is_refused() {
    let document = encode(&binding(), [finished(0)].iter()).unwrap();
    for cut in 0..document.len() {
        assert!(parse(&document[..cut], &binding()).is_err(), "cut at {cut}");
    }
}

#[test]
fn a_checkpoint_of_something_else_is_refused_by_name() {
    let document = encode(&binding(), [finished(0)].iter()).unwrap();
    let prompted = WindowOptions { prompt: Some("Zürich".to_owned()), ..WindowOptions::default() };
    let others = [
        ("job", Binding { job_id: "j2".to_owned(), ..binding() }),
        ("etag", Binding { etag: "e2".to_owned(), ..binding() }),
        ("model", Binding { model: "def".to_owned(), ..binding() }),
        ("choice of options", Binding { options: prompted, ..binding() }),
        ("choice of options", Binding { channels: Channels::Separate, ..binding() }),
        ("choice of options", Binding { clip: Clip::new(Some(1.0), None).unwrap(), ..binding() }),
        ("version of the worker", Binding { windowing: WINDOWING + 1, ..binding() }),
        ("version of the worker", Binding { listening: LISTENING + 1, ..binding() }),
    ];
    for (what, ours) in others {
        assert_eq!(parse(&document, &ours).unwrap_err(), format!("is of another {what}"));
    }
}

#[test]
fn a_number_beyond_its_range_is_refused() {
    let document = String::from_utf8(encode(&binding(), [finished(0)].iter()).unwrap()).unwrap();
    let document = document.replace("1.1754944e-38", "1e39");
    assert!(parse(document.as_bytes(), &binding()).unwrap_err().contains("out of range"), "{document}");
}

#[test]
fn a_checkpoint_of_another_version_is_refused_whatever_its_shape() {
    let document = json!({"version": VERSION + 1, "pages": []}).to_string();
    assert_eq!(
        parse(document.as_bytes(), &binding()).unwrap_err(),
        format!("has version {}, not {VERSION}", VERSION + 1)
    );
}

#[test]
fn a_window_cut_elsewhere_has_another_shape() {
    let shape_of = |change: fn(&mut Window)| {
        let mut window = window();
        change(&mut window);
        shape(&window)
    };
    let same = shape(&window());
    assert_eq!(shape_of(|window| window.pcm[0] = 0.25), same, "samples may differ in their last bits");
    assert_ne!(shape_of(|window| window.pcm.push(0.0)), same);
    assert_ne!(shape_of(|window| window.channel = Some(0)), same);
    assert_ne!(shape_of(|window| window.spans[0].source_start += 1), same);
    assert_ne!(shape_of(|window| window.spans[0].len -= 1), same);
    assert_ne!(shape_of(|window| window.spans.clear()), same);
}

#[test]
fn it_lies_beside_the_json_and_no_job_id_leads_elsewhere() {
    let beside = |key: &str, id: &str| location(&Location::new("out", key), id).to_string();
    assert_eq!(beside("t/u1/f1/transcript.json", "j1"), "s3://out/t/u1/f1/.checkpoint/j1.json");
    assert_eq!(beside("talk.json", "a:b"), "s3://out/.checkpoint/a%3Ab.json");
}

#[tokio::test(start_paused = true)]
async fn finished_windows_are_saved_every_minute_and_not_without_news() {
    let objects = Arc::new(MemoryObjects::default());
    let mut keeper = open(&objects).await;
    let (sender, receiver) = unbounded_channel();
    let control = Control::default();
    let work = async {
        sender.send(finished(0)).unwrap();
        sleep(Duration::from_secs(59)).await;
        assert_eq!(objects.puts().len(), 0, "a short job writes nothing");
        sender.send(finished(1)).unwrap();
        sleep(Duration::from_secs(2)).await;
        assert_eq!(saved(&objects), [0, 1]);
        sleep(Duration::from_secs(600)).await;
        assert_eq!(objects.puts().len(), 1, "nothing new");
        drop(sender);
    };
    tokio::join!(keeper.attend(receiver, &control), work);
    keeper.remove(&control).await;
    assert!(objects.now(&at()).is_none());
}

#[tokio::test(start_paused = true)]
async fn an_abort_saves_at_once_and_again_with_what_was_in_flight() {
    let objects = Arc::new(MemoryObjects::default());
    let mut keeper = open(&objects).await;
    let (sender, receiver) = unbounded_channel();
    let control = Control::default();
    let work = async {
        sender.send(finished(0)).unwrap();
        control.abort.cancel();
        sleep(Duration::from_secs(1)).await;
        assert_eq!(saved(&objects), [0], "the worker may be gone before the windows in flight are done");
        sender.send(finished(1)).unwrap();
        drop(sender);
    };
    tokio::join!(keeper.attend(receiver, &control), work);
    keeper.hand_over(&control).await;
    assert_eq!(saved(&objects), [0, 1]);

    let next = open(&objects).await;
    assert_eq!(next.known().into_values().collect::<Vec<_>>(), [finished(0), finished(1)]);
}

#[tokio::test(start_paused = true)]
async fn nothing_is_written_or_removed_once_the_lease_is_lost() {
    let objects = Arc::new(MemoryObjects::default());
    let mut keeper = open(&objects).await;
    let (sender, receiver) = unbounded_channel();
    let control = Control::default();
    sender.send(finished(0)).unwrap();
    sender.send(finished(1)).unwrap();
    control.lease_lost.cancel();
    control.abort.cancel();
    keeper.attend(receiver, &control).await;
    keeper.hand_over(&control).await;
    assert_eq!(objects.puts().len(), 0);

    objects.place(&at(), &encode(&binding(), [finished(5)].iter()).unwrap());
    open(&objects).await.remove(&control).await;
    assert_eq!(saved(&objects), [5], "it is the other worker's now");
}

#[tokio::test(start_paused = true)]
async fn a_store_that_refuses_costs_the_checkpoint_and_nothing_else() {
    let objects = Arc::new(MemoryObjects::with(|_, at| {
        Some(Fault::permanent(Code::AccessDenied, format!("access to {at} is denied")))
    }));
    let mut keeper = open(&objects).await;
    assert!(keeper.known().is_empty());
    let (sender, receiver) = unbounded_channel();
    let control = Control::default();
    control.abort.cancel();
    sender.send(finished(0)).unwrap();
    drop(sender);
    keeper.attend(receiver, &control).await;
    keeper.hand_over(&control).await;
    keeper.remove(&control).await;
}

#[tokio::test]
async fn a_damaged_checkpoint_is_ignored_and_removed_in_the_end() {
    for garbage in ["", "{}", "[]", "{\"version\":1}", "no JSON at all", &Value::Null.to_string()] {
        let objects = Arc::new(MemoryObjects::default());
        objects.place(&at(), garbage.as_bytes());
        let keeper = open(&objects).await;
        assert!(keeper.known().is_empty(), "{garbage}");
        keeper.remove(&Control::default()).await;
        assert!(objects.now(&at()).is_none(), "{garbage}");
    }
}

#[tokio::test]
async fn a_window_that_holds_what_is_private_or_the_end_of_it_is_not_kept() {
    let objects = Arc::new(MemoryObjects::default());
    let said = |index: u32, text: &str| {
        let pieces =
            text.split_inclusive(' ').map(|piece| Piece { text: piece.to_owned(), p: 0.9, said: None }).collect();
        FinishedWindow { text: WindowText { pieces, ..finished(index).text }, ..finished(index) }
    };
    let misheard = Dropped { text: "so 4111 1111 1111 so".to_owned(), ..finished(3).dropped.remove(0) };
    let mut keeper = open(&objects).await.withholding(Private::ALL.to_vec());
    let (finished, windows) = unbounded_channel();
    for window in [
        said(0, "Nothing of it is private here."),
        said(1, "It is 4111 1111 1111 1111 as I said."),
        said(2, "And another one is 4012 8888"),
        FinishedWindow { dropped: vec![misheard], ..said(3, "All is well with it.") },
    ] {
        finished.send(window).unwrap();
    }
    drop(finished);
    keeper.attend(windows, &Control::default()).await;
    keeper.save(&Control::default()).await;
    let again = open(&objects).await;
    assert_eq!(again.known().into_keys().collect::<Vec<_>>(), [0]);
}
