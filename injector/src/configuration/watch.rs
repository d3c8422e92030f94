//! Changes of the file. A ConfigMap's mount changes by a symlink that is renamed, which a watch of the file itself would
//! miss; so its content is looked at, every other second.

use std::time::Duration;

use super::{ConfigurationArgs, ConfigurationMetrics, Current};

/// Between two looks. The kubelet takes up to a minute to bring a change to the file.
const INTERVAL: Duration = Duration::from_secs(2);

/// Puts every good change of the file in force until the future is dropped; without a file it just waits.
pub async fn watch(
    args: ConfigurationArgs,
    own_namespace: String,
    current: Current,
    metrics: ConfigurationMetrics,
) {
    if args.config.is_none() {
        return std::future::pending().await;
    }
    let mut watcher = Watcher { args, own_namespace, current, metrics, failure: None };
    let mut tick = tokio::time::interval(INTERVAL);
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tick.tick().await;
        // A long file would hold up reviews.
        match tokio::task::spawn_blocking(move || watcher.looked()).await {
            Ok(looked) => watcher = looked,
            Err(error) => return tracing::error!(%error, "the configuration is no longer watched"),
        }
    }
}

struct Watcher {
    args: ConfigurationArgs,
    own_namespace: String,
    current: Current,
    metrics: ConfigurationMetrics,
    /// Why the file as it is now was not put in force.
    failure: Option<String>,
}

impl Watcher {
    fn looked(mut self) -> Self {
        match self.args.load(&self.own_namespace) {
            Err(error) => self.failed(error.to_string()),
            Ok(found) => {
                let held = self.current.load_full();
                // Events are no part of the hash.
                let same = held.settings.hash() == found.settings.hash()
                    && held.settings.events == found.settings.events;
                let was_bad = self.failure.take().is_some();
                if !same || was_bad {
                    let hash = found.settings.hash().to_owned();
                    self.current.replace(found);
                    self.metrics.applied(&hash);
                    tracing::info!(hash, "configuration in force");
                }
            }
        }
        self
    }

    /// One failure is told once, however often it is seen.
    fn failed(&mut self, failure: String) {
        if self.failure.as_ref() == Some(&failure) {
            return;
        }
        self.metrics.failed();
        tracing::warn!(
            failure,
            hash = self.current.load().settings.hash(),
            "the last good configuration is kept"
        );
        self.failure = Some(failure);
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use runtime::metrics::Metrics;

    use super::{ConfigurationArgs, ConfigurationMetrics, Current, Watcher};

    const HEAD: &str = "apiVersion: remora.dev/v1alpha1\nkind: InjectorConfiguration\n";

    fn watcher(file: &Path, metrics: &Metrics) -> Watcher {
        let args = ConfigurationArgs { config: Some(file.to_owned()), ..ConfigurationArgs::default() };
        let first = args.load("mesh").unwrap();
        let ours = ConfigurationMetrics::new(metrics);
        ours.started(first.settings.hash());
        let current = Current::new(first);
        Watcher { args, own_namespace: "mesh".to_owned(), current, metrics: ours, failure: None }
    }

    #[test]
    fn a_good_change_is_in_force_and_a_bad_one_keeps_the_last_good() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("injector.yaml");
        let write = |text: &str| std::fs::write(&file, format!("{HEAD}{text}")).unwrap();
        let metrics = Metrics::default();
        write("");
        let mut watcher = watcher(&file, &metrics);
        let held = |watcher: &Watcher| watcher.current.load().settings.images.proxy.clone();
        let first = watcher.current.load().settings.hash().to_owned();
        watcher = watcher.looked();
        assert!(metrics.text().contains("reloads_total{result=\"applied\"} 0"));
        write("images: {proxy: 'proxy:2'}\n");
        watcher = watcher.looked();
        assert_eq!(held(&watcher), "proxy:2");
        let second = watcher.current.load().settings.hash().to_owned();
        assert_ne!(first, second);
        for bad in ["images: {proxy: ''}\n", "image: {}\n", "images: [\n"] {
            write(bad);
            watcher = watcher.looked().looked();
            assert_eq!(held(&watcher), "proxy:2", "{bad}");
        }
        std::fs::remove_file(&file).unwrap();
        watcher = watcher.looked();
        let text = metrics.text();
        for line in [
            format!("injector_configuration_info{{hash=\"{second}\"}} 1"),
            "injector_configuration_reloads_total{result=\"applied\"} 1".to_owned(),
            "injector_configuration_reloads_total{result=\"failed\"} 4".to_owned(),
            "injector_configuration_good 0".to_owned(),
        ] {
            assert!(text.contains(&line), "{line} in\n{text}");
        }
        assert!(!text.contains(&first), "{text}");
        // What was in force before comes back: there is nothing to change, but it is good again.
        write("images: {proxy: 'proxy:2'}\n");
        watcher = watcher.looked();
        assert!(held(&watcher) == "proxy:2" && metrics.text().contains("injector_configuration_good 1"));
        // And so does another one, which is in force once, whatever was wrong before it.
        write("images: [\n");
        watcher = watcher.looked();
        write("images: {proxy: 'proxy:3'}\n");
        watcher = watcher.looked().looked();
        assert_eq!(held(&watcher), "proxy:3");
        let applied = "injector_configuration_reloads_total{result=\"applied\"} 3";
        assert!(metrics.text().contains(applied), "{}", metrics.text());
    }

    /// As the kubelet updates a mounted ConfigMap.
    #[test]
    fn a_renamed_symlink_is_a_change() {
        let directory = tempfile::tempdir().unwrap();
        let at = |name: &str| directory.path().join(name);
        for (version, backend) in [("one", "auto"), ("two", "nft")] {
            std::fs::create_dir(at(version)).unwrap();
            let text = format!("{HEAD}redirectBackend: {backend}\n");
            std::fs::write(at(version).join("injector.yaml"), text).unwrap();
        }
        std::os::unix::fs::symlink("one", at("..data")).unwrap();
        std::os::unix::fs::symlink("..data/injector.yaml", at("injector.yaml")).unwrap();
        let mut watcher = watcher(&at("injector.yaml"), &Metrics::default());
        let first = watcher.current.load().settings.hash().to_owned();
        std::os::unix::fs::symlink("two", at("..data_tmp")).unwrap();
        std::fs::rename(at("..data_tmp"), at("..data")).unwrap();
        watcher = watcher.looked();
        assert_ne!(watcher.current.load().settings.hash(), first);
    }
}
