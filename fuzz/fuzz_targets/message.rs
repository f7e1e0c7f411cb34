//! Any bytes as a message body: jobs with clean ids, a reason to ignore it, or a sentence.
#![no_main]

use libfuzzer_sys::fuzz_target;
use transcription_worker::fault::{Code, Fault};
use transcription_worker::job::message::{self, Intake};
use transcription_worker::job::ids;

fuzz_target!(|body: &str| {
    let identity = message::identify(body, "message-1");
    assert_eq!(ids::clean(&identity.job_id).as_ref(), Ok(&identity.job_id));
    match message::read(body) {
        Ok(Intake::Jobs { jobs, refused }) => {
            assert!(refused.iter().all(|record| message::read(&record.body).is_err()));
            for job in &jobs {
                let alone = message::read(&message::single(job));
                assert_eq!(alone, Ok(Intake::from(job.clone())));
            }
            for id in jobs.iter().flat_map(|job| [&job.id, &job.user_id, &job.file_id]) {
                assert_eq!(ids::clean(id).as_ref(), Ok(id));
            }
        }
        Ok(Intake::Ignored(_) | Intake::Elsewhere(_)) => {}
        Err(Fault::Permanent(problem)) => assert_eq!(problem.code, Code::BadMessage),
        Err(other) => panic!("{other}"),
    }
});
