//! Text on a line: spaces between its parts, how wide it is, and where a word too wide for it is cut.

use icu_segmenter::GraphemeClusterSegmenter;

use super::character::{is_hangul, is_unspaced};

/// Columns between two sentences on a line: one, or none where a script writes without spaces.
pub fn gap(left: &str, right: &str) -> usize {
    let unspaced = |c: Option<char>| c.is_none_or(is_unspaced);
    if unspaced(left.chars().next_back()) || unspaced(right.chars().next()) { 0 } else { 1 }
}

/// The sentences on one line, with spaces where their scripts have them.
pub fn join<'a>(texts: impl IntoIterator<Item = &'a str>) -> String {
    let mut line = String::new();
    for text in texts {
        if gap(&line, text) == 1 {
            line.push(' ');
        }
        line.push_str(text);
    }
    line
}

/// Whether a space stands before each of the text's words: as in the text, or as their scripts have it for a word that is
/// not found there.
pub fn spaces<'a>(text: &str, words: impl IntoIterator<Item = &'a str>) -> Vec<bool> {
    let (mut rest, mut before) = (text, "");
    let mut spaces = Vec::new();
    for word in words {
        let bare = rest.trim_start();
        let space = match bare.strip_prefix(word) {
            Some(after) => {
                let space = bare.len() < rest.len();
                rest = after;
                space
            }
            None => gap(before, word) == 1,
        };
        spaces.push(space && !before.is_empty());
        before = word;
    }
    spaces
}

/// Columns of a text in a terminal or subtitle: two for a character of East Asia, one for any other, marks included.
pub fn width(text: &str) -> usize {
    clusters(text).map(columns).sum()
}

fn columns(cluster: &str) -> usize {
    match cluster.chars().next() {
        None => 0,
        Some(c) if is_unspaced(c) || is_hangul(c) => 2,
        Some(_) => 1,
    }
}

/// The word in pieces of at most `max_columns`, cut between characters, never before a mark or within a consonant cluster.
pub fn cut(word: &str, max_columns: usize) -> Vec<String> {
    let mut pieces = vec![String::new()];
    let mut used = 0;
    for cluster in clusters(word) {
        if used > 0 && used + columns(cluster) > max_columns {
            pieces.push(String::new());
            used = 0;
        }
        if let Some(piece) = pieces.last_mut() {
            piece.push_str(cluster);
        }
        used += columns(cluster);
    }
    pieces
}

/// What readers take for one character.
fn clusters(text: &str) -> impl Iterator<Item = &str> {
    let ends: Vec<usize> = GraphemeClusterSegmenter::new().segment_str(text).collect();
    (1..ends.len()).filter_map(move |i| text.get(ends[i - 1]..ends[i]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sentences_have_spaces_between_them_where_their_script_has() {
        assert_eq!(join(["Grüß Gott,", "안녕", "하세요"]), "Grüß Gott, 안녕 하세요");
        assert_eq!(join(["你好。", "世界！"]), "你好。世界！");
        assert_eq!(join(["สวัสดี", "ครับ"]), "สวัสดี ครับ");
    }

    #[test]
    fn words_keep_the_spaces_of_their_text() {
        assert_eq!(spaces("ที่นี่ ครับ", ["ที่", "นี่", "ครับ"]), [false, false, true]);
        assert_eq!(spaces("not found here", ["not", "there", "你", "好"]), [false, true, false, false]);
    }

    #[test]
    fn a_cut_never_parts_a_mark_or_a_cluster() {
        assert_eq!(cut("ที่นี่", 1), ["ที่", "นี่"]);
        assert_eq!(cut("ស្ត្រី", 1), ["ស្ត្រី"]);
        assert_eq!(cut("क्षत्रिय", 2), ["क्षत्रि", "य"]);
        assert_eq!(cut("Nevertheless", 5), ["Never", "thele", "ss"]);
    }
}
