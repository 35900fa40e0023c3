//! What the system says about processes.

/// In what Linux tells processor time, on every machine.
const TICKS_PER_SECOND: f64 = 100.0;

/// User and system time of a process, in seconds.
pub fn processor_time(pid: u32) -> f64 {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).expect("the process runs");
    // Its name, in brackets, may have anything in it.
    let (_, rest) = stat.rsplit_once(") ").expect("there is a name");
    let ticks: Vec<u64> = rest.split(' ').skip(11).take(2).filter_map(|field| field.parse().ok()).collect();
    let [user, system] = ticks[..] else { panic!("{stat}") };
    (user + system) as f64 / TICKS_PER_SECOND
}
