//! What the GPUs do, by NVIDIA's management library. It is part of the driver and is looked for at run time: where there is
//! none, nothing is said of GPUs.

use std::ffi::OsStr;
use std::sync::Arc;

use nvml_wrapper::Nvml;
use nvml_wrapper::error::NvmlError;

use crate::metrics::{Metric, Reading};

/// As drivers install it; the name without a number is there for developers only.
const LIBRARY: &str = "libnvidia-ml.so.1";

/// The GPUs that engines run on. Clones are the same.
#[derive(Clone, Default)]
pub struct Gpus {
    library: Option<Arc<Nvml>>,
    indices: Vec<u8>,
}

impl Gpus {
    /// These, by the indices of `nvidia-smi`; none is looked for where there are no indices.
    pub fn open(indices: &[u8]) -> Self {
        if indices.is_empty() {
            return Self::default();
        }
        match library() {
            Ok(library) => Self { library: Some(Arc::new(library)), indices: indices.to_vec() },
            Err(error) => {
                tracing::info!(%error, "GPUs are not measured");
                Self::default()
            }
        }
    }

    /// Utilisation and memory of each. Asks the driver, which may take milliseconds.
    pub fn readings(&self) -> Vec<Reading> {
        let Some(library) = &self.library else { return Vec::new() };
        self.indices.iter().flat_map(|index| readings(library, *index)).collect()
    }
}

fn library() -> Result<Nvml, NvmlError> {
    Nvml::builder().lib_path(OsStr::new(LIBRARY)).init()
}

/// What a GPU can compute, as NVIDIA counts it: `8.9`.
pub fn capability(index: u8) -> Option<String> {
    let capability = library().ok()?.device_by_index(u32::from(index)).ok()?.cuda_compute_capability().ok()?;
    Some(format!("{}.{}", capability.major, capability.minor))
}

/// What one GPU says; a GPU that says nothing is left out.
fn readings(library: &Nvml, index: u8) -> Vec<Reading> {
    let Ok(device) = library.device_by_index(u32::from(index)) else { return Vec::new() };
    let of = Some(usize::from(index));
    let mut readings = Vec::new();
    if let Ok(rates) = device.utilization_rates() {
        readings.push(Reading { metric: Metric::GpuUtilization, value: f64::from(rates.gpu), of });
    }
    if let Ok(memory) = device.memory_info() {
        readings.push(Reading { metric: Metric::GpuMemoryUsed, value: memory.used as f64, of });
        readings.push(Reading { metric: Metric::GpuMemoryTotal, value: memory.total as f64, of });
    }
    readings
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_a_gpu_nothing_is_said_of_it() {
        assert_eq!(Gpus::open(&[]).readings(), []);
        // whatever the machine has, it has no such GPU
        assert_eq!((Gpus::open(&[255]).readings(), capability(255)), (vec![], None));
    }
}
