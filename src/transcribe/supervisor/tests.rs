//! Engines that fail in each way that they can, alone and beside others.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use futures_util::future::join_all;
use tokio::time::timeout;

use super::fake::{Act, FakeEngine, LANES};
use super::*;
use crate::health::State;
use crate::transcribe::probe::Probe;
use crate::transcribe::wire::{WindowOptions, WindowText};
use crate::transcribe::{Session, Transcriber};

type Answer = Result<WindowText, Fault>;

/// Nothing takes longer on the paused clock.
const LONG: Duration = Duration::from_secs(3600);

async fn start(engines: Vec<FakeEngine>, health: &Health) -> Transcriber {
    let settings = engines.into_iter().map(|engine| EngineSettings {
        launch: Arc::new(engine),
        timeout_base: Duration::from_secs(10),
        timeout_factor: 0.0,
        recycle_after_windows: 20_000,
    });
    Transcriber::start(settings.collect(), health.clone()).await.unwrap()
}

fn ask(session: &Session, prompt: &str) -> impl Future<Output = Answer> + use<> {
    let options = WindowOptions { prompt: Some(prompt.to_owned()), ..WindowOptions::default() };
    session.submit(Arc::new(vec![0.0; 160_000]), options)
}

/// The answers to five windows of each of ten jobs.
async fn ten_jobs(engine: &Transcriber) -> Vec<Answer> {
    let sessions: Vec<Session> = (0..10).map(|_| engine.session()).collect();
    let windows = sessions.iter().flat_map(|session| (0..5).map(|_| ask(session, "innocent")));
    timeout(LONG, join_all(windows)).await.unwrap()
}

async fn falls_sick(health: &Health) -> String {
    let mut verdicts = health.verdicts();
    let sick = verdicts.wait_for(|state| matches!(state, State::Sick(_)));
    match timeout(LONG, sick).await.unwrap().unwrap().clone() {
        State::Sick(sickness) => sickness.reason,
        state => panic!("{state:?}"),
    }
}

fn is_guilty(request: &Request) -> bool {
    request.options.prompt.as_deref() == Some("guilty")
}

fn all_is_well(_: usize, _: &Request) -> Act {
    Act::Answers
}

#[tokio::test(start_paused = true)]
async fn one_guilty_window_among_innocents_is_found_whatever_it_does() {
    let acts: [super::fake::Acts; 3] = [
        |_, request| if is_guilty(request) { Act::Dies } else { Act::Answers },
        |_, request| if is_guilty(request) { Act::Refuses } else { Act::Answers },
        |_, request| if is_guilty(request) { Act::Hangs } else { Act::Answers },
    ];
    for acts in acts {
        for engines in [1, 2] {
            let health = Health::default();
            let engine = start((0..engines).map(|_| FakeEngine::new(acts)).collect(), &health).await;
            let bad = engine.session();
            let (guilty, innocent) = tokio::join!(timeout(LONG, ask(&bad, "guilty")), ten_jobs(&engine));
            let Ok(Err(Fault::Permanent(problem))) = guilty else { panic!("{guilty:?}") };
            assert_eq!(problem.code, Code::EngineCrashed);
            assert!(innocent.iter().all(Result::is_ok), "{innocent:?}");
            assert_eq!((health.state(), engine.lanes()), (State::Well, LANES * engines));
            // twice at one of them, once at each other
            assert!(engine.stats().crashes() <= 1 + engines as u64);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_guilty_window_alone_in_the_world_is_found_by_a_probe() {
    let health = Health::default();
    let fake = FakeEngine::new(|_, request| if is_guilty(request) { Act::Dies } else { Act::Answers });
    let engine = start(vec![fake], &health).await;
    let answer = timeout(LONG, ask(&engine.session(), "guilty")).await.unwrap();
    assert!(matches!(answer, Err(Fault::Permanent(_))), "{answer:?}");
    assert_eq!((engine.stats().crashes(), health.state()), (2, State::Well));
}

#[tokio::test(start_paused = true)]
async fn a_window_over_which_the_kernel_kills_the_engine_is_for_a_machine_with_more_memory() {
    for engines in [1, 2] {
        let health = Health::default();
        let acts = |_, request: &Request| if is_guilty(request) { Act::IsKilled } else { Act::Answers };
        let engine = start((0..engines).map(|_| FakeEngine::new(acts)).collect(), &health).await;
        let large = engine.session();
        let (large, innocent) = tokio::join!(timeout(LONG, ask(&large, "guilty")), ten_jobs(&engine));
        assert!(matches!(large, Ok(Err(Fault::Unable(_)))), "{large:?}");
        assert!(innocent.iter().all(Result::is_ok), "{innocent:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_engine_that_computes_nothing_fails_no_job_and_makes_the_worker_sick() {
    let acts: [super::fake::Acts; 4] = [
        |_, _| Act::Dies,
        |_, _| Act::Refuses,
        |_, _| Act::Hangs,
        // well once, and never again
        |process, _| if process == 0 { Act::Dies } else { Act::Refuses },
    ];
    for (acts, engines) in acts.into_iter().flat_map(|acts| [(acts, 1), (acts, 2)]) {
        let health = Health::default();
        let engine = start((0..engines).map(|_| FakeEngine::new(acts)).collect(), &health).await;
        let answers = ten_jobs(&engine).await;
        assert!(answers.iter().all(|answer| matches!(answer, Err(Fault::Unable(_)))), "{answers:?}");
        assert!(falls_sick(&health).await.starts_with("the engine: "));
        // whoever asks now is told at once
        let late = timeout(Duration::from_secs(1), ask(&engine.session(), "innocent")).await.unwrap();
        assert!(matches!(late, Err(Fault::Unable(_))), "{late:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_engine_that_was_well_and_then_refuses_everything_fails_no_job() {
    // its own windows are numbered, so that it can be well for a while
    let health = Health::default();
    let fake = FakeEngine::new(|process, request| match (process, request.id) {
        (0, 0..20) => Act::Answers,
        _ => Act::Refuses,
    });
    let engine = start(vec![fake], &health).await;
    let answers = ten_jobs(&engine).await;
    let well = answers.iter().filter(|answer| answer.is_ok()).count();
    let unable = answers.iter().filter(|answer| matches!(answer, Err(Fault::Unable(_)))).count();
    assert_eq!((well > 0, well + unable), (true, answers.len()));
    falls_sick(&health).await;
}

#[tokio::test(start_paused = true)]
async fn two_engines_that_have_answered_nothing_convict_no_window() {
    let health = Health::default();
    let at_first = |process, _: &Request| if process == 0 { Act::Dies } else { Act::Answers };
    let engine = start(vec![FakeEngine::new(at_first), FakeEngine::new(at_first)], &health).await;
    let answer = timeout(LONG, ask(&engine.session(), "innocent")).await.unwrap();
    assert!(answer.is_ok(), "{answer:?}");
    assert_eq!((engine.stats().crashes(), health.state()), (2, State::Well));
}

#[tokio::test(start_paused = true)]
async fn a_probe_alone_speaks_against_one_window_and_not_against_each() {
    let health = Health::default();
    let fake = FakeEngine::new(|_, request| if request.options.prompt.is_some() { Act::Dies } else { Act::Answers });
    let engine = start(vec![fake], &health).await;
    let answers = ten_jobs(&engine).await;
    let failed = answers.iter().filter(|answer| matches!(answer, Err(Fault::Permanent(_)))).count();
    let unable = answers.iter().filter(|answer| matches!(answer, Err(Fault::Unable(_)))).count();
    assert_eq!((failed, unable), (1, answers.len() - 1));
    assert_ne!(health.state(), State::Well);
}

#[tokio::test(start_paused = true)]
async fn an_engine_that_never_starts_again_costs_no_window_where_another_is_well() {
    let health = Health::default();
    let dying = FakeEngine { starts: |process| process == 0, ..FakeEngine::new(|_, _| Act::Dies) };
    let engine = start(vec![dying, FakeEngine::new(all_is_well)], &health).await;
    assert_eq!(engine.lanes(), 2 * LANES);
    let answers = ten_jobs(&engine).await;
    assert!(answers.iter().all(Result::is_ok), "{answers:?}");
    sleep(Duration::from_secs(60)).await;
    assert_eq!((health.state(), engine.lanes()), (State::Well, LANES));
    let later = ten_jobs(&engine).await;
    assert!(later.iter().all(Result::is_ok), "{later:?}");
}

#[tokio::test(start_paused = true)]
async fn an_engine_that_comes_back_is_counted_on_again() {
    let health = Health::default();
    let fake = FakeEngine {
        starts: |process| !(1..5).contains(&process),
        ..FakeEngine::new(|process, _| if process == 0 { Act::Dies } else { Act::Answers })
    };
    let engine = start(vec![fake, FakeEngine::new(all_is_well)], &health).await;
    ten_jobs(&engine).await;
    sleep(Duration::from_secs(8)).await;
    assert_eq!(engine.lanes(), LANES);
    sleep(Duration::from_secs(60)).await;
    assert_eq!(engine.lanes(), 2 * LANES);
}

#[tokio::test(start_paused = true)]
async fn a_process_that_cannot_be_killed_is_left_and_its_windows_are_not() {
    let health = Health::default();
    let stuck = FakeEngine { mortal: false, ..FakeEngine::new(|_, _| Act::Hangs) };
    let engine = start(vec![stuck, FakeEngine::new(all_is_well)], &health).await;
    let asked = Instant::now();
    let answers = ten_jobs(&engine).await;
    assert!(answers.iter().all(Result::is_ok), "{answers:?}");
    assert!(asked.elapsed() < Duration::from_secs(12), "{:?}", asked.elapsed());
    sleep(KILL_LIMIT).await;
    assert_eq!((engine.lanes(), health.state()), (LANES, State::Well));
    timeout(2 * KILL_LIMIT, engine.end()).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_good_start_does_not_shorten_the_pauses() {
    let health = Health::default();
    let fake = FakeEngine::new(|_, _| Act::Dies);
    let started = fake.started.clone();
    let engine = start(vec![fake], &health).await;
    let _ = ask(&engine.session(), "innocent").await;
    falls_sick(&health).await;
    let started = started.lock().unwrap().clone();
    let apart: Vec<Duration> = started.windows(2).map(|pair| pair[1] - pair[0]).collect();
    assert!(apart.len() >= 6 && apart.is_sorted() && apart[5] > 2 * apart[0], "{apart:?}");
}

#[tokio::test(start_paused = true)]
async fn a_supervisor_that_panics_makes_the_worker_sick_and_answers_its_windows() {
    let health = Health::default();
    let fake = FakeEngine { starts: |process| process == 0 || panic!("a bug"), ..FakeEngine::new(|_, _| Act::Dies) };
    let engine = start(vec![fake], &health).await;
    let answers = ten_jobs(&engine).await;
    assert!(answers.iter().all(|answer| matches!(answer, Err(Fault::Unable(_)))), "{answers:?}");
    assert!(falls_sick(&health).await.contains("bug"));
}

#[tokio::test(start_paused = true)]
async fn nothing_runs_on_when_the_engines_are_dropped() {
    let fake = FakeEngine::new(|_, _| Act::Dies);
    let started = fake.started.clone();
    let engine = start(vec![fake], &Health::default()).await;
    let answer = ask(&engine.session(), "innocent");
    sleep(Duration::from_secs(1)).await;
    drop(engine);
    assert!(matches!(answer.await, Err(Fault::Unable(_))));
    let processes = started.lock().unwrap().len();
    sleep(Duration::from_secs(60)).await;
    assert_eq!(started.lock().unwrap().len(), processes);
}

#[test]
fn a_time_limit_follows_the_work_and_no_setting_makes_it_panic() {
    let scheduler = Scheduler::default();
    let settings = |timeout_factor| EngineSettings {
        launch: Arc::new(FakeEngine::new(all_is_well)),
        timeout_base: Duration::from_secs(60),
        timeout_factor,
        recycle_after_windows: 1,
    };
    let limit = |factor, options: WindowOptions, encodes_all| {
        let task = Task { options, pcm: Arc::new(vec![0.0; 32_000]), ..Probe::default().task(scheduler.fresh_id()) };
        settings(factor).time_limit(&task, &EngineInfo { encodes_all, ..EngineInfo::default() }).as_secs()
    };
    let (greedy, beam) = (WindowOptions::default(), WindowOptions { beam_size: 5, ..WindowOptions::default() });
    let careful = WindowOptions { careful: true, ..WindowOptions::default() };
    assert_eq!(limit(8.0, greedy.clone(), false), 60 + 16);
    for limit in [limit(8.0, careful, false), limit(8.0, beam, false), limit(8.0, greedy.clone(), true)] {
        assert_eq!(limit, 60 + 240);
    }
    for odd in [f64::NAN, f64::INFINITY, -1.0, 1e300] {
        assert_eq!(limit(odd, greedy.clone(), false), 3600);
    }
}
