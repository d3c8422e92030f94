//! Certificates from files, as cert-manager mounts them: taken, changed under the running injector, and broken.

use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use serde_json::{Value, json};
use tests::webhook::{published_bundle, review, server_name};

use crate::common::pod;
use crate::running::{Injector, api_server, bundle, configuration_path, secret_path};

/// Somebody else's authority.
struct Authority {
    certificate: String,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    fn new() -> Self {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, "somebody-else");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let certificate = params.self_signed(&key).unwrap().pem();
        Self { issuer: Issuer::from_ca_cert_pem(&certificate, key).unwrap(), certificate }
    }

    /// A leaf's certificate and key.
    fn issue(&self, name: &str) -> (String, String) {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new([name.to_owned()]).unwrap();
        params.not_before = (SystemTime::now() - Duration::from_secs(60)).into();
        params.not_after = (SystemTime::now() + Duration::from_secs(3600)).into();
        (params.signed_by(&key, &self.issuer).unwrap().pem(), key.serialize_pem())
    }
}

/// A directory as the kubelet mounts a Secret: the files are links through one link, which is swapped.
struct Mount(tempfile::TempDir);

impl Mount {
    fn new(authority: &Authority) -> Self {
        let mount = Self(tempfile::tempdir().unwrap());
        mount.swap("first", authority, &authority.issue(&server_name()));
        for file in ["tls.crt", "tls.key", "ca.crt"] {
            symlink(Path::new("..data").join(file), mount.file(file)).unwrap();
        }
        mount
    }

    fn file(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn swap(&self, version: &str, authority: &Authority, (certificate, key): &(String, String)) {
        let directory = self.file(version);
        std::fs::create_dir(&directory).unwrap();
        for (file, text) in [("tls.crt", certificate), ("tls.key", key), ("ca.crt", &authority.certificate)] {
            std::fs::write(directory.join(file), text).unwrap();
        }
        symlink(version, self.file("..new")).unwrap();
        std::fs::rename(self.file("..new"), self.file("..data")).unwrap();
    }

    async fn injector(&self, api: &tests::api_server::ApiServer, publish: bool) -> Injector {
        Injector::start(api, |args| {
            args.tls.tls_cert = Some(self.file("tls.crt"));
            args.tls.tls_key = Some(self.file("tls.key"));
            args.tls.tls_ca = publish.then(|| self.file("ca.crt"));
            args.tls.publish_bundle = publish;
            // Settles within a second.
            args.lifetimes.ca_lifetime = Duration::from_secs(20);
            args.lifetimes.leaf_lifetime = Duration::from_secs(5);
        })
        .await
    }
}

fn publishes(authority: &Authority) -> impl Fn(&Value) -> bool {
    let pem = authority.certificate.replace('\r', "");
    move |object| published_bundle(object).is_some_and(|bundle| bundle.contains(pem.trim()))
}

async fn reloaded(injector: &Injector, result: &str) {
    let line = format!(r#"webhook_certificate_reloads_total{{result="{result}"}} "#);
    injector.admin_until("/metrics", |_, body| body.contains(&line)).await;
}

#[tokio::test]
async fn files_are_served_published_and_swapped() {
    let (api, old) = (api_server(), Authority::new());
    let mount = Mount::new(&old);
    let injector = mount.injector(&api, true).await;
    injector.becomes_ready().await;
    let first = bundle(&api);
    assert!(publishes(&old)(&api.get(&configuration_path()).unwrap()), "{first}");
    review(injector.webhook, &first, &pod("bare")).await.unwrap();
    assert!(api.get(&secret_path()).is_none(), "there is no need for an authority of ours");
    // Another authority: published first, and served when that has settled.
    let new = Authority::new();
    mount.swap("second", &new, &new.issue(&server_name()));
    api.wait_for(&configuration_path(), |object| publishes(&old)(object) && publishes(&new)(object))
        .await
        .unwrap();
    is_verified_by(&injector, &new).await;
    injector.becomes_ready().await;
}

#[tokio::test]
async fn a_bad_change_is_told_and_the_last_good_ones_are_served() {
    let (api, authority) = (api_server(), Authority::new());
    let mount = Mount::new(&authority);
    let injector = mount.injector(&api, true).await;
    injector.becomes_ready().await;
    let (certificate, key) = authority.issue(&server_name());
    mount.swap("garbage", &authority, &(certificate.clone(), "garbage".to_owned()));
    reloaded(&injector, "refused").await;
    review(injector.webhook, &bundle(&api), &pod("bare")).await.unwrap();
    assert_eq!(injector.admin("/healthz/ready").await.unwrap().0, 200);
    let before = served(&injector).await;
    mount.swap("good", &authority, &(certificate, key));
    injector.admin_until("/metrics", |_, body| taken(body) == Some(2)).await;
    assert!(served(&injector).await.is_some() && before.is_some());
    injector.becomes_ready().await;
}

#[tokio::test]
async fn files_that_cannot_be_used_are_named() {
    let (api, authority) = (api_server(), Authority::new());
    let mount = Mount::new(&authority);
    mount.swap("wrong", &authority, &authority.issue("other.example.com"));
    let injector = mount.injector(&api, true).await;
    let path = mount.file("tls.crt").display().to_string();
    let named = |what: &'static str| {
        let path = path.clone();
        move |status, body: &str| status == 503 && body.contains(&path) && body.contains(what)
    };
    injector.admin_until("/healthz/ready", named("is not for remora-injector.remora-system.svc")).await;
    std::fs::remove_file(mount.file("tls.crt")).unwrap();
    injector.admin_until("/healthz/ready", named("No such file")).await;
    symlink("..data/tls.crt", mount.file("tls.crt")).unwrap();
    mount.swap("right", &authority, &authority.issue(&server_name()));
    injector.becomes_ready().await;
}

/// Where somebody else publishes the bundle it is left alone, and what is served follows it.
#[tokio::test]
async fn a_bundle_that_others_publish_is_waited_for() {
    let (api, old) = (api_server(), Authority::new());
    let mount = Mount::new(&old);
    let publish = |authority: &Authority| {
        use base64::Engine as _;
        let text = base64::engine::general_purpose::STANDARD.encode(&authority.certificate);
        api.edit(&configuration_path(), |object| {
            for entry in object["webhooks"].as_array_mut().unwrap() {
                entry["clientConfig"]["caBundle"] = json!(text);
            }
        });
    };
    let injector = mount.injector(&api, false).await;
    injector.admin_until("/healthz/ready", |status, body| status == 503 && body.contains("bundle: ")).await;
    publish(&old);
    injector.becomes_ready().await;
    let new = Authority::new();
    mount.swap("second", &new, &new.issue(&server_name()));
    injector.admin_until("/metrics", |_, body| taken(body) == Some(2)).await;
    review(injector.webhook, &old.certificate, &pod("bare")).await.unwrap();
    publish(&new);
    is_verified_by(&injector, &new).await;
    injector.becomes_ready().await;
    let patch = format!("PATCH {}", configuration_path());
    assert!(!api.requests().contains(&patch), "it was left alone");
}

/// Waits until what is served is of this authority.
async fn is_verified_by(injector: &Injector, authority: &Authority) {
    let verified = tokio::time::timeout(Duration::from_secs(20), async {
        let mut tick = tokio::time::interval(Duration::from_millis(20));
        while review(injector.webhook, &authority.certificate, &pod("bare")).await.is_err() {
            tick.tick().await;
        }
    });
    verified.await.unwrap();
}

async fn served(injector: &Injector) -> Option<String> {
    let metrics = injector.admin("/metrics").await.unwrap().1;
    let name = "webhook_certificate_expiry_timestamp_seconds ";
    metrics.lines().find_map(|line| line.strip_prefix(name)).map(str::to_owned)
}

fn taken(metrics: &str) -> Option<u32> {
    let name = r#"webhook_certificate_reloads_total{result="taken"} "#;
    metrics.lines().find_map(|line| line.strip_prefix(name)).and_then(|count| count.trim().parse().ok())
}
