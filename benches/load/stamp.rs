//! What an event bears so that it is known again when it comes to a client.

/// How a stamp begins.
const MARK: &[u8] = b"stamp ";

/// Digits of each of its three numbers.
const DIGITS: usize = 20;

/// Bytes of a whole stamp.
const LENGTH: usize = MARK.len() + 3 * DIGITS + 2;

/// How far into a message, as a client gets it, a stamp may end: behind the envelope, before anything else.
pub const ENVELOPE: usize = 192;

/// An event's channel, its number in it, and when it was published.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamp {
    /// The place of its channel among those of its publisher.
    pub channel: usize,
    /// From 1 on; 0 marks an event that counts for nothing.
    pub number: u64,
    /// Nanoseconds since the clock's beginning, see [`Clock`].
    pub at_ns: u64,
}

impl Stamp {
    /// A stamp to be overwritten.
    pub const EMPTY: Self = Self { channel: 0, number: 0, at_ns: 0 };

    /// As it stands in a payload.
    pub fn text(self) -> String {
        format!("stamp {:020} {:020} {:020}", self.channel, self.number, self.at_ns)
    }

    /// Where a stamp begins in some bytes.
    pub fn find(bytes: &[u8]) -> Option<usize> {
        memchr::memmem::find(bytes, MARK)
    }

    /// Overwrites the stamp that begins at a place.
    pub fn write(self, bytes: &mut [u8], place: usize) {
        bytes[place..place + LENGTH].copy_from_slice(self.text().as_bytes());
    }

    /// The stamp in the beginning of a message, as a client gets it.
    pub fn read(message: &[u8]) -> Option<Self> {
        let message = &message[..message.len().min(ENVELOPE)];
        let numbers = Self::find(message)? + MARK.len();
        let number = |index: usize| {
            let from = numbers + index * (DIGITS + 1);
            let digits = message.get(from..from + DIGITS)?;
            Some(
                digits.iter().fold(0u64, |number, digit| number.wrapping_mul(10) + u64::from(digit.wrapping_sub(b'0'))),
            )
        };
        Some(Self { channel: usize::try_from(number(0)?).ok()?, number: number(1)?, at_ns: number(2)? })
    }
}

/// What time stamps count from.
#[derive(Clone, Copy)]
pub struct Clock(std::time::Instant);

impl Clock {
    pub fn start() -> Self {
        Self(std::time::Instant::now())
    }

    /// Nanoseconds since it was started.
    pub fn now(self) -> u64 {
        u64::try_from(self.0.elapsed().as_nanos()).expect("it does not run for centuries")
    }
}
