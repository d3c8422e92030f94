//! What the image with iptables' programs contains, and nothing else of this machine, suffices: as a user who is not root, with a
//! read-only root, no lock file and no new privileges.

use std::path::Path;
use std::process::Command;

use tests::init_container::{InitContainer, binary_as_in_image};
use tests::lab::Lab;
use tests::rules::BACKENDS;
use tests::tool;

/// Rules of every word that we use.
const OPTIONS: [&str; 6] = [
    "--redirect-dns",
    "--dns-servers=10.96.0.53,2001:db8:53::53",
    "--hold-until-ready",
    "--exclude-inbound-ports=22,80-90",
    "--exclude-uids=100",
    "--no-verify",
];

/// The programs below a directory, as `tests/kind/images` puts them into the image.
fn stage(root: &Path) {
    let library = Path::new(env!("CARGO_MANIFEST_DIR")).join("kind/lib");
    let script =
        "set -euo pipefail; source \"$1/report.sh\"; source \"$1/iptables_root.sh\"; stage_iptables \"$2\"";
    tool::run("iptables", Command::new("bash").args(["-c", script, "bash"]).arg(library).arg(root))
        .expect("the programs");
}

#[test]
fn its_programs_install_for_a_user_who_is_not_root_and_write_nothing_the_second_time() {
    let (binary, _directory) = binary_as_in_image();
    let root = tempfile::tempdir().expect("a directory");
    stage(root.path());
    for backend in BACKENDS {
        let lab = Lab::on(backend);
        let mut container = InitContainer::new(&binary).with_capabilities(backend.needs);
        for directory in ["usr", "lib", "lib64"] {
            container = container.with_mount(&root.path().join(directory), &format!("/{directory}"), true);
        }
        let arguments = [&OPTIONS[..], &["--backend", backend.name]].concat();
        for expected in ["applied", "unchanged"] {
            let (code, log) = container.run(&lab.pod.netns, &arguments);
            assert_eq!(code, 0, "{}: {log}", backend.name);
            assert!(log.contains(&format!("\"result\":\"{expected}\"")), "{}: {log}", backend.name);
        }
        assert!(backend.saved(&lab.pod.netns).contains("REMORA_HOLD"), "{}", backend.name);
        let (code, log) = container.run(&lab.pod.netns, &["cleanup"]);
        assert_eq!(code, 0, "{}: {log}", backend.name);
        assert!(!backend.saved(&lab.pod.netns).contains("REMORA"), "{}", backend.name);
    }
}
