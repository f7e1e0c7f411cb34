//! `model`: fetch, list, verify and convert models.

use std::io::{self, IsTerminal, Write};
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use indicatif::{ProgressBar, ProgressStyle};

use crate::model::catalogue::{Catalogue, Entry, SpeakersEntry};
use crate::model::pull::{self, Report, SourceKind};
use crate::model::{self, ModelError, convert, speakers};

/// What to do with models.
#[derive(Debug, Subcommand)]
pub enum ModelCommand {
    /// Fetch a model of the catalogue, verified; resumes where it was cut
    Pull {
        /// Its name; see `model list`. `speakers` are the nets that tell voices apart
        name: String,
        /// The folder
        #[command(flatten)]
        dir: ModelsDir,
        /// Only from there, instead of from the first that has it
        #[arg(long, value_enum)]
        source: Option<SourceKind>,
    },
    /// The models of the catalogue, and which are here
    List {
        /// The folder
        #[command(flatten)]
        dir: ModelsDir,
    },
    /// Read models again and compare their checksums with the published ones
    Verify {
        /// Only this one, which must be there
        name: Option<String>,
        /// The folder
        #[command(flatten)]
        dir: ModelsDir,
    },
    /// Convert a faster-whisper (CTranslate2) model to a ggml file
    Convert {
        /// The model's folder or its model.bin; its vocabulary must lie beside it
        source: PathBuf,
        /// The ggml file to write; as ggml-NAME.bin in the models' folder it can be called by NAME
        out: PathBuf,
    },
}

/// Where models lie.
#[derive(Debug, Args)]
pub struct ModelsDir {
    /// Where models lie [default: models/ here if it has some, else the user's or the system's data folder]
    #[arg(long, env = "TRANSCRIPTION_MODELS_DIR")]
    models_dir: Option<PathBuf>,
}

impl ModelsDir {
    fn path(self) -> PathBuf {
        self.models_dir.unwrap_or_else(model::default_models_dir)
    }
}

/// Does it, blocking; results on stdout, progress on stderr.
///
/// # Errors
/// What the user has to know, in a sentence.
pub fn run(command: ModelCommand) -> Result<(), ModelError> {
    let catalogue = Catalogue::built_in()?;
    match command {
        ModelCommand::Pull { name, dir, source: _ } if name == speakers::NAME => {
            let path = speakers::pull(&catalogue.speakers, &dir.path(), &mut Terminal::default())?;
            print(&path.display().to_string())
        }
        ModelCommand::Pull { name, dir, source } => {
            let mut report = Terminal::default();
            let models_dir = dir.path();
            let path = pull::pull(find(&catalogue, &name)?, &models_dir, source, &mut report)?;
            report.end();
            print(&path.display().to_string())
        }
        ModelCommand::List { dir } => list(&catalogue, &dir.path()),
        ModelCommand::Verify { name: Some(name), dir } if name == speakers::NAME => {
            verify_speakers(&catalogue.speakers, &dir.path())
        }
        ModelCommand::Verify { name: Some(name), dir } => verify(find(&catalogue, &name)?, &dir.path()),
        ModelCommand::Verify { name: None, dir } => verify_all(&catalogue, &dir.path()),
        ModelCommand::Convert { source, out } => {
            let (weights, vocabulary) = convert::parts_of(&source)?;
            convert::convert(&weights, &vocabulary, &out)?;
            print(&out.display().to_string())
        }
    }
}

fn find<'a>(catalogue: &'a Catalogue, name: &str) -> Result<&'a Entry, ModelError> {
    let unknown = || ModelError::Unknown { name: name.to_owned(), known: catalogue.names() };
    catalogue.find(name).ok_or_else(unknown)
}

fn list(catalogue: &Catalogue, dir: &Path) -> Result<(), ModelError> {
    let present = model::present_in(dir);
    print(&format!("{:<22}{:>10}  {:<14}{:<9}in {}", "MODEL", "SIZE", "LANGUAGES", "LICENCE", dir.display()))?;
    for entry in &catalogue.models {
        let size = format!("{:.0} MB", entry.bytes as f64 / 1e6);
        let languages = if entry.multilingual { "many" } else { "English" };
        let here = if present.contains(&entry.name) { "yes" } else { "-" };
        print(&format!("{:<22}{size:>10}  {languages:<14}{:<9}{here}", entry.name, entry.licence))?;
    }
    let SpeakersEntry { bytes, licence, .. } = &catalogue.speakers;
    let here = if speakers::path_in(dir).is_file() { "yes" } else { "-" };
    let size = format!("{:.0} MB", *bytes as f64 / 1e6);
    print(&format!("{:<22}{size:>10}  {:<14}{licence:<9} {here}", speakers::NAME, "voices"))?;
    for name in present.iter().filter(|name| catalogue.find(name).is_none()) {
        print(&format!("{name:<22}{:>10}  {:<14}{:<9}yes, not of the catalogue", "", "", ""))?;
    }
    Ok(())
}

fn verify_all(catalogue: &Catalogue, dir: &Path) -> Result<(), ModelError> {
    let present = model::present_in(dir);
    let known: Vec<&Entry> = catalogue.models.iter().filter(|entry| present.contains(&entry.name)).collect();
    let speakers = speakers::path_in(dir).is_file();
    if known.is_empty() && !speakers {
        return Err(ModelError::Invalid(format!("no model of the catalogue is in {}", dir.display())));
    }
    // every model is looked at, the first failure is answered
    let speakers = if speakers { verify_speakers(&catalogue.speakers, dir) } else { Ok(()) };
    known.into_iter().map(|entry| verify(entry, dir)).fold(Ok(()), Result::and).and(speakers)
}

fn verify_speakers(entry: &SpeakersEntry, dir: &Path) -> Result<(), ModelError> {
    let result = speakers::verify(entry, dir);
    print(&format!("{}: {}", speakers::NAME, if result.is_ok() { "ok" } else { "NOT ok" }))?;
    result
}

fn verify(entry: &Entry, dir: &Path) -> Result<(), ModelError> {
    let result = model::verify(entry, dir);
    print(&format!("{}: {}", entry.name, if result.is_ok() { "ok" } else { "NOT ok" }))?;
    result
}

fn print(line: &str) -> Result<(), ModelError> {
    writeln!(io::stdout(), "{line}").map_err(|e| ModelError::Invalid(format!("failed to write to stdout: {e}")))
}

/// A bar on a terminal, else a line for each tenth.
#[derive(Default)]
struct Terminal {
    bar: Option<ProgressBar>,
    tenths: u64,
}

impl Terminal {
    fn end(&mut self) {
        if let Some(bar) = self.bar.take() {
            bar.finish_and_clear();
        }
    }
}

impl Report for Terminal {
    fn line(&mut self, text: &str) {
        self.end();
        self.tenths = 0;
        eprintln!("{text}");
    }

    fn progress(&mut self, done: u64, total: u64) {
        if io::stderr().is_terminal() {
            self.bar.get_or_insert_with(|| bar(total)).set_position(done);
            return;
        }
        let tenths = done.saturating_mul(10) / total.max(1);
        if tenths > self.tenths {
            self.tenths = tenths;
            eprintln!("{}%", tenths * 10);
        }
    }
}

fn bar(total: u64) -> ProgressBar {
    let style = ProgressStyle::with_template("{wide_bar} {bytes}/{total_bytes} {bytes_per_sec} {eta}");
    ProgressBar::new(total).with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
}
