//! Whether this processor has the instructions that this program's kernels were compiled for: whisper.cpp does not ask, it
//! dies of the first one that is missing.

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
    complaint(whisper_rs::print_system_info(), &has())
}

fn complaint(build: &str, has: &[(&'static str, bool)]) -> Option<String> {
    let lacks: Vec<&str> =
        has.iter().filter(|(name, there)| !there && compiled(build, name)).map(|(name, _)| *name).collect();
    if lacks.is_empty() {
        return None;
    }
    Some(format!(
        "this program was built for a processor with {}, which this one lacks: use a portable build (GGML_NATIVE=OFF), \
         which needs x86-64-v3 (AVX2, FMA, F16C, BMI2; Intel since 2013, AMD since 2015)",
        lacks.join(", ")
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    const BUILD: &str =
        "WHISPER : COREML = 0 | OPENVINO = 0 | CPU : SSE3 = 1 | AVX = 1 | AVX2 = 1 | AVX512 = 1 | LLAMAFILE = 1 | ";

    #[test]
    fn what_the_kernels_need_and_the_processor_lacks_is_named_with_the_cure() {
        assert_eq!(complaint(BUILD, &[("AVX2", true), ("AVX512", true), ("AVX512_BF16", false)]), None);
        let complaint = complaint(BUILD, &[("AVX", true), ("AVX2", false), ("AVX512", false)]).unwrap_or_default();
        assert!(complaint.contains("with AVX2, AVX512, which") && complaint.contains("GGML_NATIVE=OFF"), "{complaint}");
    }

    #[test]
    fn this_machine_runs_what_was_built_on_it() {
        assert!(compiled(whisper_rs::print_system_info(), "SSE3"), "{}", whisper_rs::print_system_info());
        assert_eq!(unsuited(), None);
    }
}
