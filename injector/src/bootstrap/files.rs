//! Certificates from files: read again and again, checked, and swapped in when the API server knows them. A bad change is
//! told, and what was good before is served on.

use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use clap::Args;

use super::StepError;
use super::metrics::CertificateMetrics;
use crate::pki::{Bundle, FilesError, Leaf, Named, Profile, Provided, Validity};

/// Certificates that somebody else makes; flatten them into a subcommand's arguments.
#[derive(Args, Clone, Debug)]
pub struct FileArgs {
    /// Serve this certificate (PEM, with what leads to its authority) instead of one of the built-in authority; read
    /// again when it changes
    #[arg(long, env = "REMORA_TLS_CERT", value_name = "FILE", requires = "tls_key")]
    pub tls_cert: Option<PathBuf>,

    /// The private key of --tls-cert (PEM)
    #[arg(long, env = "REMORA_TLS_KEY", value_name = "FILE", requires = "tls_cert")]
    pub tls_key: Option<PathBuf>,

    /// The authorities of --tls-cert (PEM); published as caBundle
    #[arg(long, env = "REMORA_TLS_CA", value_name = "FILE", requires = "tls_cert")]
    pub tls_ca: Option<PathBuf>,

    /// Whether caBundle is published here; false where somebody else does it, such as cert-manager's CA injector
    #[arg(
        long,
        env = "REMORA_PUBLISH_BUNDLE",
        value_name = "BOOL",
        default_value_t = true,
        action = clap::ArgAction::Set
    )]
    pub publish_bundle: bool,
}

/// What is in the files.
#[derive(Clone, Eq, PartialEq)]
struct Texts {
    certificate: Vec<u8>,
    key: Vec<u8>,
    authorities: Option<Vec<u8>>,
}

pub(super) struct Files {
    certificate: PathBuf,
    key: PathBuf,
    authorities: Option<PathBuf>,
    settling: Duration,
    /// By which the API server calls.
    name: String,
    /// The last that were good, and what was in the files then.
    good: Option<(Texts, Provided)>,
    /// The last that were not.
    bad: Option<Texts>,
    serving: Option<Provided>,
}

impl Files {
    /// Of the options; `None` where they name no files.
    pub(super) fn new(args: &FileArgs, profile: Profile, name: String) -> Option<Self> {
        Some(Self {
            certificate: args.tls_cert.clone()?,
            key: args.tls_key.clone()?,
            authorities: args.tls_ca.clone(),
            settling: profile.settling(profile.ca_lifetime),
            name,
            good: None,
            bad: None,
            serving: None,
        })
    }

    /// Looks whether the files have changed.
    pub(super) fn refresh(&mut self, now: SystemTime, metrics: &CertificateMetrics) -> Result<(), StepError> {
        let texts = self.read()?;
        if self.good.as_ref().is_some_and(|(good, _)| *good == texts) {
            return Ok(());
        }
        let parsed = match self.parse(&texts, now) {
            Ok(provided) => Ok((texts, provided)),
            // A mount that is swapped between two files fits together when it is read again.
            Err(_) => {
                let texts = self.read()?;
                self.parse(&texts, now)
                    .map(|provided| (texts.clone(), provided))
                    .map_err(|error| (texts, error))
            }
        };
        match parsed {
            Ok(good) => {
                metrics.reload("taken");
                tracing::info!(certificate = %self.certificate.display(), "certificate files taken");
                self.good = Some(good);
                self.bad = None;
                Ok(())
            }
            Err((texts, error)) => {
                if self.bad.as_ref() != Some(&texts) {
                    metrics.reload("refused");
                    self.bad = Some(texts);
                }
                Err(error.into())
            }
        }
    }

    /// The authorities of what is served and of what will be.
    pub(super) fn needed(&self) -> Bundle {
        let good = self.good.as_ref().map(|(_, provided)| provided);
        let authorities = good.into_iter().chain(&self.serving).filter_map(|each| each.authorities.as_ref());
        authorities.fold(Bundle::default(), |all, each| all.or(each))
    }

    /// What to serve from now on: another one than is served, when every API server knows its authority, or the served one
    /// is of no use.
    pub(super) fn renew(
        &mut self,
        now: SystemTime,
        settled: &Bundle,
        published: &Bundle,
    ) -> Result<Option<Leaf>, StepError> {
        let Some((_, good)) = &self.good else { return Ok(None) };
        if let Some(serving) = &self.serving {
            if serving.leaf.chain() == good.leaf.chain() {
                let path = self.certificate.clone();
                let current = good.leaf.validity().check(now);
                // The same certificate, but maybe other authorities: what was taken out of the file is needed no more.
                self.serving = Some(good.clone());
                current.map_err(|source| FilesError::NotValidNow { path, source })?;
                return Ok(None);
            }
            let is_verified =
                |bundle: &Bundle, leaf: &Leaf| bundle.verifies(leaf.chain(), &self.name, now).is_ok();
            let is_better = !is_verified(published, &serving.leaf) && is_verified(published, &good.leaf);
            let has_settled = is_verified(settled, &good.leaf);
            if !is_better && !has_settled && !ends_soon(&serving.leaf, now) {
                return Ok(None);
            }
        }
        self.serving = Some(good.clone());
        Ok(Some(good.leaf.clone()))
    }

    /// How long an authority is to be published before what it signed is served.
    pub(super) fn settling(&self) -> Duration {
        self.settling
    }

    fn read(&self) -> Result<Texts, FilesError> {
        Ok(Texts {
            certificate: read(&self.certificate)?,
            key: read(&self.key)?,
            authorities: self.authorities.as_deref().map(read).transpose()?,
        })
    }

    fn parse(&self, texts: &Texts, now: SystemTime) -> Result<Provided, FilesError> {
        let certificate = Named { path: &self.certificate, bytes: &texts.certificate };
        let key = Named { path: &self.key, bytes: &texts.key };
        let authorities = self.authorities.as_deref().zip(texts.authorities.as_deref());
        let authorities = authorities.map(|(path, bytes)| Named { path, bytes });
        Provided::parse((certificate, key), authorities, &self.name, now)
    }
}

/// No waiting in the last tenth of its life.
fn ends_soon(leaf: &Leaf, now: SystemTime) -> bool {
    let Validity { not_before, not_after } = leaf.validity();
    let life = not_after.duration_since(not_before).unwrap_or_default();
    not_after.duration_since(now).unwrap_or_default() < life / 10
}

fn read(path: &Path) -> Result<Vec<u8>, FilesError> {
    std::fs::read(path).map_err(|source| FilesError::Read { path: path.to_owned(), source })
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, SystemTime};

    use super::{Bundle, Files, Profile, Provided, Texts};
    use crate::pki::Ca;

    const DAY: Duration = Duration::from_secs(24 * 3600);
    const NAME: &str = "a.b.svc";

    /// The certificate was renewed by another authority, and then the former one was taken out of the file.
    #[test]
    fn an_authority_that_left_the_file_is_needed_no_more() {
        let now = SystemTime::UNIX_EPOCH + 20_000 * DAY;
        let ca = || Ca::generate(now, 90 * DAY).unwrap();
        let of = |ca: &Ca| Bundle::parse(ca.certificate_pem().as_bytes());
        let (former, current) = (ca(), ca());
        let leaf = current.issue(&[NAME.to_owned()], now, DAY).unwrap();
        let provided = |authorities| {
            let texts = Texts { certificate: Vec::new(), key: Vec::new(), authorities: None };
            Some((texts, Provided { leaf: leaf.clone(), authorities: Some(authorities) }))
        };
        let both = of(&former).or(&of(&current));
        let only = of(&current);
        let profile = Profile { ca_lifetime: 90 * DAY, leaf_lifetime: DAY };
        let mut files = Files {
            certificate: "tls.crt".into(),
            key: "tls.key".into(),
            authorities: Some("ca.crt".into()),
            settling: profile.settling(profile.ca_lifetime),
            name: NAME.to_owned(),
            good: provided(both.clone()),
            bad: None,
            serving: None,
        };
        let renewed = |files: &mut Files| files.renew(now, &both, &both).unwrap().is_some();
        assert!(renewed(&mut files) && files.needed().pem() == both.pem());
        files.good = provided(only.clone());
        assert!(!renewed(&mut files), "it is the same certificate");
        assert_eq!(files.needed().pem(), only.pem());
    }
}
