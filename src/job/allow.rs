//! Which places jobs may name: a message is not to make the worker read or write wherever its role can.

use crate::fault::{Code, Fault};
use crate::job::Job;
use crate::objects::Location;

/// The places that jobs may read from and write to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AllowList {
    /// Names of input buckets, or their beginnings followed by `*`; empty allows all.
    pub input_buckets: Vec<String>,
    /// Where jobs that name their output may put it; empty allows all. Output that the worker places is always allowed.
    pub output_prefixes: Vec<OutputPrefix>,
}

/// A bucket, and how keys in it begin: verbatim, so that a folder ends in a slash.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutputPrefix {
    bucket: String,
    prefix: String,
}

impl OutputPrefix {
    /// Reads `s3://bucket` or `s3://bucket/prefix`.
    ///
    /// # Errors
    /// It is of another shape.
    pub fn parse(uri: &str) -> Result<Self, String> {
        let path = uri.strip_prefix("s3://").ok_or("it does not begin with s3://")?;
        let (bucket, prefix) = path.split_once('/').unwrap_or((path, ""));
        if bucket.is_empty() {
            return Err("it names no bucket".to_owned());
        }
        Ok(Self { bucket: bucket.to_owned(), prefix: prefix.to_owned() })
    }

    fn holds(&self, at: &Location) -> bool {
        self.bucket == at.bucket && at.key.starts_with(&self.prefix)
    }
}

impl AllowList {
    /// Whether the job may be done.
    ///
    /// # Errors
    /// A permanent `AccessDenied` that names the place and the setting.
    pub fn check(&self, job: &Job) -> Result<(), Fault> {
        let Job { id, source, output, .. } = job;
        self.check_input(&format!("job {id}"), source)?;
        let Some(output) = output else { return Ok(()) };
        if !self.output_prefixes.is_empty() && !self.output_prefixes.iter().any(|allowed| allowed.holds(output)) {
            let message =
                format!("job {id} may not write {output}: TRANSCRIPTION_ALLOW_OUTPUT_PREFIXES does not list it");
            return Err(Fault::permanent(Code::AccessDenied, message));
        }
        Ok(())
    }

    /// Whether `who` may have this object read.
    ///
    /// # Errors
    /// A permanent `AccessDenied` that names the bucket and the setting.
    pub fn check_input(&self, who: &str, at: &Location) -> Result<(), Fault> {
        if self.input_buckets.is_empty() || self.input_buckets.iter().any(|name| matches(name, &at.bucket)) {
            return Ok(());
        }
        let bucket = &at.bucket;
        let message = format!("{who} may not read bucket {bucket}: TRANSCRIPTION_ALLOW_INPUT_BUCKETS does not list it");
        Err(Fault::permanent(Code::AccessDenied, message))
    }
}

fn matches(pattern: &str, bucket: &str) -> bool {
    pattern.strip_suffix('*').map_or(pattern == bucket, |start| bucket.starts_with(start))
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

    use super::*;

    fn job(source: &str, output: Option<&str>) -> Job {
        Job {
            id: "j1".into(),
            user_id: "u1".into(),
            file_id: "f1".into(),
            source: Location::parse(source).unwrap(),
            output: output.and_then(Location::parse),
            place_is_named: output.is_some(),
            options: Default::default(),
            echo: Default::default(),
        }
    }

    fn list(buckets: &[&str], prefixes: &[&str]) -> AllowList {
        AllowList {
            input_buckets: buckets.iter().map(ToString::to_string).collect(),
            output_prefixes: prefixes.iter().map(|uri| OutputPrefix::parse(uri).unwrap()).collect(),
        }
    }

    #[test]
    fn an_empty_list_allows_everything() {
        assert_eq!(list(&[], &[]).check(&job("s3://any/k", Some("s3://other/k.json"))), Ok(()));
    }

    #[test]
    fn a_bucket_that_is_not_listed_is_refused_by_name_and_setting() {
        let allow = list(&["audio", "team-*"], &[]);
        for bucket in ["audio", "team-a", "team-"] {
            assert_eq!(allow.check(&job(&format!("s3://{bucket}/k"), None)), Ok(()), "{bucket}");
        }
        for bucket in ["audio2", "my-team-a", "audi", "Audio"] {
            let fault = allow.check(&job(&format!("s3://{bucket}/k"), None)).unwrap_err();
            let problem = fault.problem().unwrap();
            assert_eq!(problem.code, Code::AccessDenied);
            let told = format!("bucket {bucket}: TRANSCRIPTION_ALLOW_INPUT_BUCKETS");
            assert!(problem.message.contains(&told), "{}", problem.message);
        }
    }

    #[test]
    fn only_an_output_that_the_job_names_is_checked() {
        let allow = list(&[], &["s3://out/team-a/", "s3://whole"]);
        for output in [None, Some("s3://out/team-a/x.json"), Some("s3://whole/anything.json")] {
            assert_eq!(allow.check(&job("s3://b/k", output)), Ok(()), "{output:?}");
        }
        for output in ["s3://out/team-ab/x.json", "s3://out/x.json", "s3://wholesale/x.json"] {
            let fault = allow.check(&job("s3://b/k", Some(output))).unwrap_err();
            assert!(fault.to_string().contains(output) && fault.to_string().contains("OUTPUT_PREFIXES"), "{fault}");
        }
    }

    #[test]
    fn a_prefix_that_is_no_s3_uri_is_a_wrong_setting() {
        assert!(OutputPrefix::parse("out/x").is_err());
        assert!(OutputPrefix::parse("s3:///x").is_err());
    }
}
