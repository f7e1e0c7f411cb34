//! Whether this processor has the instructions that this program's kernels were compiled for: whisper.cpp does not ask, it
//! dies of the first one that is missing.

/// What each build of the kernels needs, x86-64-v3. To ask the build what else it needs is to run its code already.
const BASELINE: [&str; 5] = ["AVX", "AVX2", "FMA", "F16C", "BMI2"];

/// What ggml's kernels may be compiled for, by its own name, and whether this processor has it. Tile instructions (AMX)
/// cannot be asked for.
#[cfg(target_arch = "x86_64")]
fn has() -> [(&'static str, bool); 10] {
    [
        ("AVX", is_x86_feature_detected!("avx")),
        ("AVX2", is_x86_feature_detected!("avx2")),
        ("FMA", is_x86_feature_detected!("fma")),
        ("F16C", is_x86_feature_detected!("f16c")),
        ("BMI2", is_x86_feature_detected!("bmi2")),
        ("AVX_VNNI", is_x86_feature_detected!("avxvnni")),
        ("AVX512", is_x86_feature_detected!("avx512f") && is_x86_feature_detected!("avx512bw")),
        ("AVX512_VBMI", is_x86_feature_detected!("avx512vbmi")),
        ("AVX512_VNNI", is_x86_feature_detected!("avx512vnni")),
        ("AVX512_BF16", is_x86_feature_detected!("avx512bf16")),
    ]
}

/// Other processors: nothing is known to be missing.
#[cfg(not(target_arch = "x86_64"))]
fn has() -> [(&'static str, bool); 0] {
    []
}

/// Whether whisper.cpp's line about its build names this kernel.
pub(super) fn compiled(build: &str, name: &str) -> bool {
    build.split('|').any(|part| part.rsplit(':').next().is_some_and(|part| part.trim() == format!("{name} = 1")))
}

/// What the kernels need and this processor lacks, and what to do; `None` where nothing is missing.
pub fn unsuited() -> Option<String> {
    let has = has();
    complaint(&has, |name| BASELINE.contains(&name))
        .or_else(|| complaint(&has, |name| compiled(whisper_rs::print_system_info(), name)))
}

fn complaint(has: &[(&'static str, bool)], needed: impl Fn(&str) -> bool) -> Option<String> {
    let lacks: Vec<&str> = has.iter().filter(|(name, there)| !there && needed(name)).map(|(name, _)| *name).collect();
    if lacks.is_empty() {
        return None;
    }
    let cure = if lacks.iter().any(|name| BASELINE.contains(name)) {
        "every build needs x86-64-v3 (AVX2, FMA, F16C, BMI2; Intel since 2013, AMD since 2015)"
    } else {
        "use a portable build (the package, or GGML_NATIVE=OFF)"
    };
    Some(format!("this program was built for a processor with {}, which this one lacks: {cure}", lacks.join(", ")))
}

#[cfg(test)]
mod tests {
    use super::*;

    const BUILD: &str =
        "WHISPER : COREML = 0 | OPENVINO = 0 | CPU : SSE3 = 1 | AVX = 1 | AVX2 = 1 | AVX512 = 1 | LLAMAFILE = 1 | ";

    #[test]
    fn what_the_kernels_need_and_the_processor_lacks_is_named_with_the_cure() {
        let needed = |name: &str| compiled(BUILD, name);
        assert_eq!(complaint(&[("AVX2", true), ("AVX512", true), ("AVX512_BF16", false)], needed), None);
        let native = complaint(&[("AVX2", true), ("AVX512", false)], needed).unwrap_or_default();
        assert!(native.contains("with AVX512, which") && native.contains("GGML_NATIVE=OFF"), "{native}");
        let old = complaint(&[("AVX", true), ("AVX2", false)], |name| BASELINE.contains(&name)).unwrap_or_default();
        assert!(old.contains("with AVX2, which") && old.contains("x86-64-v3"), "{old}");
    }

    #[test]
    fn this_machine_runs_what_was_built_on_it() {
        assert!(compiled(whisper_rs::print_system_info(), "SSE3"), "{}", whisper_rs::print_system_info());
        assert_eq!(unsuited(), None);
    }
}
