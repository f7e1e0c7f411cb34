//! What `check` says about the machine.

use std::collections::HashSet;
use std::fs::{self, File, OpenOptions};
use std::io::ErrorKind;
use std::path::Path;

use super::Found;
use crate::app;
use crate::config::{EngineConfig, PlacesConfig};
use crate::engine::device;
use crate::engine::native::cublas;
use crate::exit::Trouble;
use crate::fetch::{Scratch, free_bytes};
use crate::model;

/// Where device nodes are.
const DEVICES: &str = "/dev";

/// What this process may compute on.
pub fn cores() -> String {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    format!("{cores} cores, with all instructions that this program was built for")
}

/// The GPU as far as it is seen without computing on it: the driver, and whether its devices may be opened. `wanted` are the
/// GPUs to use, none of them for the CPU.
pub fn gpu(wanted: Result<&[u8], String>) -> Found {
    gpu_of(wanted.map_err(Trouble::Config)?, device::driver(), Path::new(DEVICES))
}

fn gpu_of(wanted: &[u8], driver: Option<String>, devices: &Path) -> Found {
    if wanted.is_empty() {
        return Ok(match driver {
            Some(driver) => {
                format!("not used: the CPU computes. There is one, driver {driver}: it needs a build with CUDA")
            }
            None => "none is used: the CPU computes".to_owned(),
        });
    }
    let Some(driver) = driver else {
        let cure = "install the driver, or in a sandbox let /proc/driver be seen (ProcSubset=all)";
        return Err(Trouble::Unavailable(format!("no NVIDIA driver is loaded: {cure}")));
    };
    if let Some(why) = cublas::WANTED.and_then(|cublas| device::too_old(&driver, cublas)) {
        return Err(Trouble::Unavailable(why));
    }
    for name in ["nvidiactl", "nvidia-uvm"] {
        can_open(&devices.join(name))?;
    }
    let is_card = |name: &str| name.strip_prefix("nvidia").is_some_and(|rest| rest.parse::<u8>().is_ok());
    let entries = fs::read_dir(devices).into_iter().flatten().flatten();
    let cards = entries.filter(|entry| entry.file_name().to_str().is_some_and(is_card)).map(|entry| entry.path());
    let cards: Vec<_> = cards.collect();
    cards.iter().try_for_each(|card| can_open(card))?;
    // one that is named twice has two engines
    let different = wanted.iter().collect::<HashSet<_>>().len();
    if cards.len() < different {
        let (there, wanted) = (cards.len(), different);
        return Err(Trouble::Unavailable(format!("{there} of {wanted} GPUs are there: see `nvidia-smi -L`")));
    }
    Ok(format!("{} may be opened, driver {driver}", cards.len()))
}

/// NVIDIA's matrix products, where this build looks for them at run time and GPUs are used.
pub fn cublas(wanted: Result<&[u8], String>) -> Option<Found> {
    let name = cublas::WANTED.filter(|_| wanted.is_ok_and(|gpus| !gpus.is_empty()))?;
    Some(cublas::load().map(|()| format!("{name} is there")).map_err(Trouble::Unavailable))
}

fn can_open(device: &Path) -> Result<(), Trouble> {
    let Err(error) = OpenOptions::new().read(true).write(true).open(device) else { return Ok(()) };
    let device = device.display();
    Err(match error.kind() {
        ErrorKind::NotFound => {
            Trouble::Unavailable(format!("{device} is not there: transcription-worker-gpu.service makes it, as root"))
        }
        ErrorKind::PermissionDenied => {
            let cure = "the unit needs DeviceAllow=char-nvidia* rw, and the modules loaded before it starts";
            Trouble::Config(format!("{device} may not be opened: {cure}"))
        }
        _ => Trouble::Unavailable(format!("{device}: {error}")),
    })
}

/// The folder of models.
pub fn models(config: &EngineConfig) -> Found {
    let dir = config.models_dir.clone().unwrap_or_else(model::default_models_dir);
    let count = model::present_in(&dir).len();
    if count == 0 && !Path::new(&config.model).is_file() {
        let dir = dir.display();
        let cure = format!("transcription-worker model pull {} --models-dir {dir}", config.model);
        return Err(Trouble::Config(format!("no model is in {dir}: {cure}")));
    }
    Ok(format!("{count} in {}", dir.display()))
}

/// The fallback decoder.
pub fn ffmpeg(config: &EngineConfig) -> String {
    app::ffmpeg_program(config).map_or_else(
        || "not there: only the built-in decoders are used".to_owned(),
        |program| program.display().to_string(),
    )
}

/// Where downloads lie meanwhile, and whether there is room.
pub fn scratch(config: &PlacesConfig) -> Found {
    let dir = config.scratch_dir.clone().unwrap_or_else(std::env::temp_dir);
    let cannot = |error| Trouble::Config(format!("{}: {error}", dir.display()));
    let scratch = Scratch::open(&dir).map_err(cannot)?;
    File::create_new(scratch.path().join("probe")).map_err(cannot)?;
    let (free, reserve) = (free_bytes(&dir).map_err(cannot)?, app::daemon::DISK_RESERVE_BYTES);
    room(&dir, free, reserve)
}

fn room(dir: &Path, free: u64, reserve: u64) -> Found {
    let gib = |bytes: u64| bytes as f64 / f64::from(1 << 30);
    let (dir, free_gib) = (dir.display(), gib(free));
    if free <= reserve {
        return Err(Trouble::Unavailable(format!(
            "{dir}: {free_gib:.1} GiB are free, and {:.1} GiB stay free: no object can be fetched",
            gib(reserve)
        )));
    }
    Ok(format!("{dir}, {free_gib:.1} GiB free"))
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

    use super::*;

    fn devices(names: &[&str]) -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        names.iter().for_each(|name| drop(File::create(dir.path().join(name)).unwrap()));
        dir
    }

    #[test]
    fn a_gpu_that_is_wanted_needs_driver_and_devices_each_named_when_missing() {
        let whole = devices(&["nvidiactl", "nvidia-uvm", "nvidia0", "nvidia1", "nvidia-caps", "nvidia-uvm-tools"]);
        let driver = || Some("595.91".to_owned());
        assert_eq!(gpu_of(&[0, 1], driver(), whole.path()), Ok("2 may be opened, driver 595.91".to_owned()));
        assert!(matches!(gpu_of(&[0], None, whole.path()), Err(Trouble::Unavailable(why)) if why.contains("driver")));
        let late = devices(&["nvidiactl", "nvidia0"]);
        assert!(
            matches!(gpu_of(&[0], driver(), late.path()), Err(Trouble::Unavailable(why)) if why.contains("nvidia-uvm"))
        );
        let one = devices(&["nvidiactl", "nvidia-uvm", "nvidia0"]);
        assert!(gpu_of(&[0, 0], driver(), one.path()).is_ok());
        assert!(
            matches!(gpu_of(&[0, 1], driver(), one.path()), Err(Trouble::Unavailable(why)) if why.contains("1 of 2"))
        );
    }

    #[test]
    fn without_a_gpu_to_use_nothing_is_missing() {
        let none = devices(&[]);
        assert!(gpu_of(&[], None, none.path()).is_ok());
        assert!(gpu_of(&[], Some("595.91".to_owned()), none.path()).unwrap().contains("build with CUDA"));
    }

    #[test]
    fn a_full_scratch_disk_is_told_before_the_first_job_is() {
        let dir = Path::new("/scratch");
        assert_eq!(room(dir, 3 << 29, 1 << 29), Ok("/scratch, 1.5 GiB free".to_owned()));
        assert!(
            matches!(room(dir, 1 << 28, 1 << 29), Err(Trouble::Unavailable(why)) if why.contains("0.2 GiB are free"))
        );
    }
}
