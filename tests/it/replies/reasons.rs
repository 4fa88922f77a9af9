//! Differences that are meant, each with its reason. What is not here is a fault.

/// A request and what both answered to it.
pub(super) struct Case<'a> {
    pub(super) server: &'a str,
    pub(super) request: &'a [Vec<u8>],
    pub(super) real: &'a [u8],
    pub(super) ours: &'a [u8],
}

/// A difference that is meant.
struct Reason {
    #[allow(dead_code, reason = "for who reads the list")]
    why: &'static str,
    applies: fn(&Case<'_>) -> bool,
}

const REASONS: &[Reason] = &[
    Reason {
        why: "remora knows the commands of both families, whichever the master is of",
        applies: |case| {
            let alien = ["client capa", "script show"].contains(&case.words(2).as_str());
            case.server == "redis-8.0" && alien && case.real.starts_with(b"-ERR unknown subcommand")
        },
    },
    Reason {
        why: "clients of a cluster send READONLY to whatever they read from: OK, as valkey",
        applies: |case| {
            let asks = matches!(case.words(1).as_str(), "readonly" | "readwrite" | "asking");
            asks && case.server == "redis-8.0" && case.ours == b"+OK\r\n"
        },
    },
];

impl Case<'_> {
    /// The first words of the request, in lower case.
    fn words(&self, count: usize) -> String {
        let words = self.request.iter().take(count).map(|word| String::from_utf8_lossy(word).to_ascii_lowercase());
        words.collect::<Vec<_>>().join(" ")
    }
}

/// Is there a reason for this difference?
pub(super) fn excused(case: &Case<'_>) -> bool {
    REASONS.iter().any(|reason| (reason.applies)(case))
}
