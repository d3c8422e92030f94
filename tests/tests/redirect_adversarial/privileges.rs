//! Each set of capabilities, for root and for the user that the injector asks for, in a container with a read-only root and
//! without a lock file.

use tests::init_container::{InitContainer, binary_as_in_image};
use tests::lab::Lab;
use tests::rules::each_backend;

const SETS: [&[&str]; 5] = [
    &[],
    &["CAP_NET_RAW"],
    &["CAP_NET_ADMIN"],
    &["CAP_NET_ADMIN", "CAP_NET_RAW"],
    &["CAP_NET_ADMIN", "CAP_NET_RAW", "CAP_SETUID", "CAP_SETGID"],
];

#[test]
fn every_set_of_capabilities_suffices_or_is_told_what_it_lacks() {
    let (binary, _directory) = binary_as_in_image();
    each_backend(|backend| {
        let argument = format!("--backend={}", backend.name);
        for capabilities in SETS {
            for owner in [(api::pod::INIT_UID, api::pod::INIT_GID), (0, 0)] {
                let lab = Lab::on(backend);
                let mut container = InitContainer::new(&binary).with_capabilities(capabilities);
                if backend.runs_programs {
                    container = container.with_programs();
                }
                container.owner = owner;
                let (code, log) = container.run(&lab.pod.netns, &[&argument]);
                let place = format!("{} {owner:?} {capabilities:?}: {log}", backend.name);
                let missing = backend.needs.iter().find(|needed| !capabilities.contains(needed));
                assert_eq!(code, if missing.is_some() { 21 } else { 0 }, "{place}");
                let saved = backend.saved(&lab.pod.netns);
                assert_eq!(saved.contains("REMORA_INBOUND"), missing.is_none(), "{place}");
                if let Some(missing) = missing {
                    assert_eq!(log.lines().count(), 1, "{place}");
                    let name = missing.trim_start_matches("CAP_");
                    assert!(log.contains(name) && log.contains("capabilities.add"), "{place}");
                }
            }
        }
    });
}
