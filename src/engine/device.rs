//! What the engine computes on: chosen before anything is loaded, because whisper.cpp takes the CPU where a GPU is missing.

use std::fs;

/// One of ggml's devices.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Device {
    /// What it is.
    pub kind: Kind,
    /// Ggml's name of it: `CPU`, `CUDA0`.
    pub name: String,
    /// Its maker's name of it.
    pub description: String,
    /// All of its memory; 0 where that is not known.
    pub memory_bytes: u64,
    /// What of it nobody has.
    pub free_bytes: u64,
}

/// As far as whisper.cpp tells devices apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// The processor.
    Cpu,
    /// A GPU, a processor's own included.
    Gpu,
    /// What helps a processor.
    Other,
}

impl Device {
    /// The name without its number, in lower case: `cpu`, `cuda`.
    pub fn backend(&self) -> String {
        self.name.trim_end_matches(|c: char| c.is_ascii_digit()).to_ascii_lowercase()
    }

    /// Its memory, if it is known.
    pub fn memory_mib(&self) -> Option<u64> {
        (self.memory_bytes > 0).then_some(self.memory_bytes >> 20)
    }

    /// Whether it is a GPU.
    pub fn is_gpu(&self) -> bool {
        self.kind == Kind::Gpu
    }
}

/// The GPU of this index, counted as whisper.cpp counts them, or the processor.
///
/// # Errors
/// A sentence: there is no such device, and which there are.
pub fn choose(devices: Vec<Device>, gpu: Option<u8>) -> Result<Device, String> {
    let names: Vec<String> = devices.iter().map(|device| format!("{} ({})", device.name, device.description)).collect();
    let found = match gpu {
        Some(index) => devices.into_iter().filter(Device::is_gpu).nth(usize::from(index)),
        None => devices.into_iter().find(|device| device.kind == Kind::Cpu),
    };
    let wanted = || gpu.map_or("processor".to_owned(), |index| format!("GPU {index}"));
    found.ok_or_else(|| match names.as_slice() {
        [] => format!("there is no {}: this build finds no device at all", wanted()),
        names => format!("there is no {}: this build finds {}", wanted(), names.join(", ")),
    })
}

/// The version of NVIDIA's kernel driver, if there is one.
pub fn driver() -> Option<String> {
    version(&fs::read_to_string("/proc/driver/nvidia/version").ok()?)
}

/// Why this driver does not serve a program that looks for this version of cuBLAS (`libcublas.so.13`), if so.
pub fn too_old(driver: &str, cublas: &str) -> Option<String> {
    let major = |text: &str| text.split('.').next()?.parse::<u32>().ok();
    let cuda = major(cublas.rsplit(".so.").next()?)?;
    // the first drivers of each, by NVIDIA's release notes; each serves all that is older
    let oldest = [(12, 525), (13, 580)].into_iter().find(|(version, _)| *version == cuda)?.1;
    let old = major(driver)? < oldest;
    old.then(|| format!("driver {driver} is too old for a program of CUDA {cuda}: {oldest} or newer is needed"))
}

/// `NVRM version: NVIDIA UNIX x86_64 Kernel Module  535.129.03  Thu Oct 19 18:56:32 UTC 2023`
fn version(text: &str) -> Option<String> {
    let is_version = |word: &&str| word.contains('.') && word.split('.').all(|part| part.parse::<u32>().is_ok());
    text.split_whitespace().find(is_version).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn device(kind: Kind, name: &str) -> Device {
        Device {
            kind,
            name: name.to_owned(),
            description: format!("a {name}"),
            memory_bytes: 24 << 30,
            free_bytes: 23 << 30,
        }
    }

    #[test]
    fn a_gpu_that_is_not_there_is_refused_and_never_the_processor() {
        let cpu_only = vec![device(Kind::Other, "BLAS"), device(Kind::Cpu, "CPU")];
        let refusal = choose(cpu_only.clone(), Some(0));
        assert_eq!(refusal, Err("there is no GPU 0: this build finds BLAS (a BLAS), CPU (a CPU)".to_owned()));
        assert_eq!(choose(cpu_only, None).map(|device| device.backend()), Ok("cpu".to_owned()));

        let two = vec![device(Kind::Gpu, "CUDA0"), device(Kind::Gpu, "CUDA1"), device(Kind::Cpu, "CPU")];
        let chosen = choose(two.clone(), Some(1));
        assert_eq!(chosen.as_ref().map(|device| device.name.as_str()), Ok("CUDA1"));
        assert_eq!(
            chosen.map(|device| (device.backend(), device.memory_mib())),
            Ok(("cuda".to_owned(), Some(24 << 10)))
        );
        assert!(choose(two, Some(2)).is_err());
        assert!(choose(vec![], None).is_err());
    }

    #[test]
    fn the_drivers_version_is_found() {
        let text = "NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  570.86.15  Release Build  (dvs-builder)\n\
            GCC version:  gcc version 12.3.0 (Ubuntu 12.3.0-1ubuntu1~22.04)";
        assert_eq!(version(text).as_deref(), Some("570.86.15"));
        assert_eq!(version("nothing"), None);
    }

    #[test]
    fn a_driver_older_than_the_builds_cuda_is_refused_with_the_one_it_takes() {
        assert_eq!(too_old("580.65.06", "libcublas.so.13"), None);
        let why = too_old("570.86.15", "libcublas.so.13").unwrap_or_default();
        assert!(why.contains("570.86.15") && why.contains("580 or newer"), "{why}");
        assert_eq!(too_old("570.86.15", "libcublas.so.12"), None);
        assert_eq!(too_old("unknown", "libcublas.so.13"), None);
    }
}
