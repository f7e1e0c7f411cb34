//! Ids: cleaned when they come in, derived when they are missing, encoded when they enter an object key.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use uuid::Uuid;

use crate::objects::Location;

/// The user id of a job whose message and key name none.
pub const UNKNOWN_USER: &str = "unknown";

/// Characters; ids in the field are UUIDs (36) and Cognito identities (55).
const MAX_ID_CHARS: usize = 128;

/// Bytes of an encoded id: a file name on Linux, and four of them fit into S3's 1,024 byte keys.
const MAX_KEY_PART_BYTES: usize = 255;

/// Namespace of every UUIDv5 this program derives. Changing it would turn redelivered uploads into new jobs.
const NAMESPACE: Uuid = uuid::uuid!("6a1d1b0e-5c0f-4f0c-9a53-1f3f6d1c2b7e");

/// Kept as they are in a key; everything else is percent-encoded, `%` too, so that no two ids share a key.
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');

/// Folders that producers put in front of `userId/fileId/name`.
const UPLOAD_FOLDERS: [&str; 2] = ["uploads", "audio"];

/// The id, trimmed.
///
/// # Errors
/// What is wrong with it, as the end of a sentence that names the field: empty, `.` or `..`, a slash, a backslash or a
/// control character in it, or longer than 128 characters (255 bytes once encoded).
pub fn clean(id: &str) -> Result<String, &'static str> {
    let id = id.trim();
    if id.is_empty() {
        Err("is empty")
    } else if id == "." || id == ".." {
        Err("must not be `.` or `..`")
    } else if id.chars().any(|c| matches!(c, '/' | '\\') || c.is_control()) {
        Err("must not contain a slash, a backslash or a control character")
    } else if id.chars().count() > MAX_ID_CHARS || key_part(id).len() > MAX_KEY_PART_BYTES {
        Err("is too long (at most 128 characters, 255 bytes percent-encoded)")
    } else {
        Ok(id.to_owned())
    }
}

/// The id as one segment of an object key: ASCII letters, digits, `-_.~` stay, everything else is percent-encoded, and so
/// is a leading dot (which would hide a file, or meet `.checkpoint`). Different ids give different segments.
pub fn key_part(id: &str) -> String {
    let encoded = utf8_percent_encode(id, ENCODED).to_string();
    match encoded.strip_prefix('.') {
        Some(rest) => format!("%2E{rest}"),
        None => encoded,
    }
}

/// A UUIDv5 over the parts. Each part goes in with its length, so that `["a", "bc"]` and `["ab", "c"]` differ.
pub fn derived(parts: &[&str]) -> String {
    let mut name = Vec::new();
    for part in parts {
        name.extend_from_slice(&(part.len() as u64).to_be_bytes());
        name.extend_from_slice(part.as_bytes());
    }
    Uuid::new_v5(&NAMESPACE, &name).to_string()
}

/// The job id of an upload whose message names none: the same for every delivery of it. `content` is the version id, else
/// the etag, else the file id, else empty.
pub fn job_id(source: &Location, content: &str) -> String {
    derived(&[&source.bucket, &source.key, content])
}

/// The file id of an object that neither the message nor its key names.
pub fn file_id(source: &Location) -> String {
    derived(&[&source.bucket, &source.key])
}

/// User and file id from a key of the shape `userId/fileId/name` or `users/userId/…/name`, with `uploads/` or `audio/` in
/// front or not. A file id must be a UUID: a folder of another name, such as a date, holds many files. Any other key names
/// neither: guessing the wrong segment would file a transcript under somebody else.
pub fn from_key(key: &str) -> (Option<String>, Option<String>) {
    let mut segments = key.split('/').collect::<Vec<_>>();
    if segments.first().is_some_and(|first| UPLOAD_FOLDERS.contains(first)) {
        segments.remove(0);
    }
    let (user, file) = match segments.as_slice() {
        [.., ""] => return (None, None),
        ["users", user, file, _] => (user, Some(file)),
        ["users", user, .., _] => (user, None),
        [user, file, _] => (user, Some(file)),
        _ => return (None, None),
    };
    let Ok(user) = clean(user) else { return (None, None) };
    (Some(user), file.filter(|file| is_uuid(file)).map(|file| (*file).to_owned()))
}

/// As most producers write one, or without its hyphens.
fn is_uuid(text: &str) -> bool {
    matches!(text.len(), 32 | 36) && Uuid::try_parse(text).is_ok()
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

    use super::*;

    #[test]
    fn ids_that_could_leave_their_folder_are_refused() {
        for id in ["", "  ", ".", "..", "a/b", "..\\x", "a\0b", "a\nb", &"x".repeat(129), &"\u{1F600}".repeat(100)] {
            assert!(clean(id).is_err(), "{id:?}");
        }
    }

    #[test]
    fn ids_of_identity_providers_are_kept_whole() {
        for id in ["us-east-1:0f5e2f0a-1b2c", "auth0|abc", "müller@example.org", "...", &"x".repeat(128)] {
            assert_eq!(clean(&format!(" {id}\t")).unwrap(), id);
        }
    }

    #[test]
    fn a_key_part_is_one_visible_segment_and_no_two_ids_share_one() {
        assert_eq!(key_part("us-east-1:ab"), "us-east-1%3Aab");
        assert_eq!(key_part("us-east-1%3Aab"), "us-east-1%253Aab");
        assert_eq!(key_part("auth0|x y"), "auth0%7Cx%20y");
        assert_eq!(key_part(".checkpoint"), "%2Echeckpoint");
        assert_eq!(key_part("file.v2_1-3~"), "file.v2_1-3~");
    }

    #[test]
    fn parts_of_a_derived_id_do_not_run_together() {
        assert_ne!(derived(&["a", "bc"]), derived(&["ab", "c"]));
        assert_ne!(derived(&["a", "b"]), derived(&["a", "b", ""]));
        assert_eq!(Uuid::parse_str(&derived(&["a"])).unwrap().get_version_num(), 5);
    }

    #[test]
    fn derived_ids_are_the_same_in_every_release() {
        let upload = Location::new("uploads", "u1/f1/talk.mp3");
        assert_eq!(job_id(&upload, "v1"), "6105ca9c-db9f-53a0-aa02-1e486a6fba2f");
        assert_eq!(file_id(&upload), "8ab02477-1679-5d20-ac37-d6cdc0081bb0");
    }

    #[test]
    fn only_keys_of_the_documented_shapes_name_a_user_and_only_a_uuid_a_file() {
        const FILE: &str = "7b1c2d3e-4f50-4a61-8b72-9c83ad94be05";
        let ids = |user: &str, file: Option<&str>| (Some(user.to_owned()), file.map(str::to_owned));
        for folder in ["", "uploads/", "audio/"] {
            let of = |rest: &str| from_key(&format!("{folder}{rest}"));
            assert_eq!(of(&format!("u1/{FILE}/talk.mp3")), ids("u1", Some(FILE)));
            assert_eq!(of(&format!("u1/{}/talk.mp3", FILE.replace('-', ""))), ids("u1", Some(&FILE.replace('-', ""))));
            assert_eq!(of("u1/2026-01-05/talk.mp3"), ids("u1", None));
            assert_eq!(of(&format!("users/sub/{FILE}/talk.mp3")), ids("sub", Some(FILE)));
            assert_eq!(of(&format!("users/{FILE}/talk.mp3")), ids(FILE, None));
            assert_eq!(of("users/sub/talk.mp3"), ids("sub", None));
            assert_eq!(of("users/sub/2026/01/talk.mp3"), ids("sub", None));
        }
        for key in [
            "talk.mp3",
            "f1/talk.mp3",
            "uploads/f1/talk.mp3",
            "x/u1/f1/talk.mp3",
            "u1/f1/",
            "users/u1/",
            "../f1/x.mp3",
            "/f1/x.mp3",
            "users/../f1/x.mp3",
        ] {
            assert_eq!(from_key(key), (None, None), "{key}");
        }
    }
}
