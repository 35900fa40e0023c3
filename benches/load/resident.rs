//! What the system says about memory.

/// The memory that a process occupies, in bytes.
pub fn resident(pid: u32) -> f64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("the process runs");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("the system tells it");
    let kibibytes = line.trim().strip_suffix(" kB").and_then(|number| number.parse::<f64>().ok());
    kibibytes.expect("it is a number") * 1024.0
}
