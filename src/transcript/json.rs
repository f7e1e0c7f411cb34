//! `transcript.json`: compact, since machines read it (people have the text, or `jq`), and a day of words is large.

use super::Transcript;

/// The document, ending in a newline.
///
/// # Errors
/// None for a tidied transcript; serde's signature.
pub fn render(transcript: &Transcript) -> Result<Vec<u8>, serde_json::Error> {
    let mut document = serde_json::to_vec(transcript)?;
    document.push(b'\n');
    Ok(document)
}

/// A document of version 1.x; fields that a later 1.x adds are ignored.
///
/// # Errors
/// A sentence: not our JSON, or of another major version.
pub fn parse(document: &[u8]) -> Result<Transcript, String> {
    let transcript: Transcript =
        serde_json::from_slice(document).map_err(|error| format!("it is not a transcript of ours: {error}"))?;
    if !transcript.version.starts_with("1.") {
        return Err(format!("it has version {:?}, not 1.x", transcript.version));
    }
    Ok(transcript)
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

    use super::*;
    use crate::transcript::samples;

    #[test]
    fn a_transcript_survives_the_document() {
        for transcript in [samples::jfk(), samples::call(), samples::silence()] {
            let document = render(&transcript).unwrap();
            assert_eq!(document.last(), Some(&b'\n'));
            assert_eq!(parse(&document).unwrap(), transcript);
        }
    }

    #[test]
    fn a_later_minor_version_is_read_and_another_major_refused() {
        let mut value = serde_json::to_value(samples::jfk()).unwrap();
        value["version"] = "1.7".into();
        value["invented_later"] = 1.into();
        assert!(parse(value.to_string().as_bytes()).is_ok());
        value["version"] = "2.0".into();
        assert!(parse(value.to_string().as_bytes()).unwrap_err().contains("2.0"));
        assert!(parse(b"{}").is_err());
    }

    #[test]
    fn the_document_is_the_golden_one() {
        let golden = include_str!("../../tests/golden/transcripts/call.json");
        assert_eq!(String::from_utf8(render(&samples::call()).unwrap()).unwrap(), golden);
    }
}
