//! The prompt come back as text: on noise Whisper likes to go on with it.

use crate::script::word;

/// Whether the text's words are a run of the prompt's, from its beginning again after its end.
pub fn is_echo(text: &str, prompt: &str) -> bool {
    let (text, prompt) = (word::units(text), word::units(prompt));
    if text.is_empty() {
        return false;
    }
    (0..prompt.len()).any(|start| {
        let run = prompt.iter().cycle().skip(start);
        text.iter().zip(run).all(|(said, prompted)| said.plain == prompted.plain)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_of_the_prompt_is_an_echo_and_other_words_are_not() {
        let prompt = "Acme, Kubernetes, Zürich";
        assert!(is_echo(" Kubernetes, Zürich. Acme", prompt));
        assert!(!is_echo(" Zürich Kubernetes", prompt));
        assert!(!is_echo(" Acme runs Kubernetes", prompt));
        assert!(!is_echo("", prompt) && !is_echo(" Acme", ""));
    }
}
