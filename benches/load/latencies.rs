//! Latencies by the million: how many there were of each length, to within two percent.

/// Buckets for each doubling.
const FINE: u32 = 6;

#[derive(Clone, Default)]
pub struct Latencies {
    counts: Vec<u64>,
    total: u64,
}

impl Latencies {
    pub fn add(&mut self, nanoseconds: u64) {
        let bucket = bucket(nanoseconds);
        if self.counts.len() <= bucket {
            self.counts.resize(bucket + 1, 0);
        }
        self.counts[bucket] += 1;
        self.total += 1;
    }

    /// What so many percent did not exceed, in milliseconds; not a number if there are none.
    pub fn percentile_ms(&self, percent: f64) -> f64 {
        let wanted = (self.total as f64 * percent / 100.0).ceil() as u64;
        let mut found = 0;
        for (bucket, count) in self.counts.iter().enumerate() {
            found += count;
            if *count > 0 && found >= wanted {
                return middle(bucket) / 1e6;
            }
        }
        f64::NAN
    }
}

fn bucket(value: u64) -> usize {
    let doublings = value.max(1).ilog2().saturating_sub(FINE);
    ((u64::from(doublings) << FINE) + (value >> doublings)) as usize
}

/// A value of the bucket.
fn middle(bucket: usize) -> f64 {
    let doublings = (bucket >> FINE).saturating_sub(1);
    let value = bucket - (doublings << FINE);
    (value as f64 + 0.5) * 2f64.powi(i32::try_from(doublings).expect("less than 64"))
}
