//! What the system knows of a process.

use std::fs;

/// Ticks per second of the times in `/proc`, on every Linux.
const TICKS_PER_SEC: f64 = 100.0;

/// Field 22 of `/proc/PID/stat` is the start; the second field, in parentheses, may hold spaces.
const START_AFTER_NAME: usize = 19;

/// Peak resident size of a process, in MiB; 0 where it cannot be read.
pub fn peak_mib(pid: &str) -> f64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kib = line.and_then(|line| line.trim().trim_end_matches(" kB").parse::<f64>().ok());
    kib.unwrap_or_default() / 1024.0
}

/// Seconds since this process was started, the loader's work included, to a hundredth; `None` where it cannot be read.
pub fn age_secs() -> Option<f64> {
    let uptime = fs::read_to_string("/proc/uptime").ok()?;
    let stat = fs::read_to_string("/proc/self/stat").ok()?;
    let started: f64 = stat.rsplit_once(") ")?.1.split(' ').nth(START_AFTER_NAME)?.parse().ok()?;
    Some(uptime.split(' ').next()?.parse::<f64>().ok()? - started / TICKS_PER_SEC)
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test fails by panicking")]
    use super::*;

    #[test]
    fn a_process_knows_its_age_and_its_size() {
        let age = age_secs().unwrap();
        assert!((-0.02..600.0).contains(&age), "{age} s");
        std::thread::sleep(std::time::Duration::from_millis(50));
        assert!(age_secs().unwrap() > age);
        assert!(peak_mib("self") > 1.0);
    }
}
