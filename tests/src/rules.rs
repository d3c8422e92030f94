//! What puts the redirect's rules into the kernel, and how the kernel shows them: the list of backends that the tests go
//! through.

use std::process::Command;

use crate::netns::Netns;

/// A backend of `init-redirect`.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Backend {
    /// What `--backend` calls it.
    pub name: &'static str,
    /// The capabilities without which it can do nothing.
    pub needs: &'static [&'static str],
    /// Whether it runs programs of its image. One that does not writes all rules in one transaction.
    pub runs_programs: bool,
    /// The Debian package of the programs that show its rules.
    package: &'static str,
    /// These programs with their arguments.
    save: &'static [&'static str],
}

/// Every backend.
pub const BACKENDS: [Backend; 3] = [
    Backend {
        name: "nft",
        needs: &["CAP_NET_ADMIN"],
        runs_programs: false,
        package: "nftables",
        save: &["nft list ruleset"],
    },
    Backend {
        name: "iptables-nft",
        needs: &["CAP_NET_ADMIN"],
        runs_programs: true,
        package: "iptables",
        save: &["iptables-nft-save", "ip6tables-nft-save"],
    },
    Backend {
        name: "iptables-legacy",
        needs: &["CAP_NET_ADMIN", "CAP_NET_RAW"],
        runs_programs: true,
        package: "iptables",
        save: &["iptables-legacy-save", "ip6tables-legacy-save"],
    },
];

/// Does the same with every backend, at the same time.
pub fn each_backend(work: impl Fn(Backend) + Sync) {
    let work = &work;
    let panics: Vec<_> = std::thread::scope(|scope| {
        let threads = BACKENDS.map(|backend| scope.spawn(move || work(backend)));
        threads.into_iter().filter_map(|thread| thread.join().err()).collect()
    });
    if let Some(first) = panics.into_iter().next() {
        std::panic::resume_unwind(first);
    }
}

impl Backend {
    /// All rules of a namespace that this backend's programs show, without counters and comments: equal texts are equal rules.
    pub fn saved(self, netns: &Netns) -> String {
        let texts = self.save.iter().map(|line| {
            let mut words = line.split_whitespace();
            let mut command = Command::new(words.next().expect("a program"));
            let output = netns.tool(self.package, command.args(words)).expect("the rules");
            without_counters(&String::from_utf8(output.stdout).expect("UTF-8"))
        });
        texts.collect()
    }
}

/// `iptables-save` counts chains as `[1:60]` and writes when it ran; nft counts rules as `counter packets 1 bytes 60`.
pub(crate) fn without_counters(text: &str) -> String {
    let mut kept = String::new();
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        let mut number = false;
        for word in line.split(' ') {
            let skip = number || (word.starts_with('[') && word.contains(':'));
            number = matches!(word, "packets" | "bytes");
            if !skip {
                kept.push_str(word);
                kept.push(' ');
            }
        }
        kept.push('\n');
    }
    kept
}
