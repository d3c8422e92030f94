//! Who the API server is, and who its administrator is: files that it reads at its start.
//!
//! Users are known by tokens alone; what a user may do is RBAC's business.

use std::path::Path;

use anyhow::{Context, Result};
use base64::Engine as _;
use rcgen::{CertifiedKey, KeyPair};

/// The serving certificate. It signs itself, and so is its own authority.
pub(super) const CERTIFICATE: &str = "serving.crt";
/// Its key.
pub(super) const KEY: &str = "serving.key";
/// Tokens of users.
pub(super) const TOKENS: &str = "tokens.csv";
/// Signs tokens of service accounts.
pub(super) const ACCOUNTS_KEY: &str = "accounts.key";
/// Verifies them.
pub(super) const ACCOUNTS_PUBLIC_KEY: &str = "accounts.pub";

/// Known to whoever can read this, and good for a server on loopback that lives for a test.
pub(super) const ADMIN_TOKEN: &str = "administrator";

pub(super) struct Credentials {
    serving: CertifiedKey<KeyPair>,
    accounts: KeyPair,
}

impl Credentials {
    pub(super) fn new() -> Result<Self> {
        let names = ["127.0.0.1", "localhost", "kubernetes.default.svc"].map(str::to_owned);
        let serving = rcgen::generate_simple_self_signed(names).context("the API server's certificate")?;
        let accounts = KeyPair::generate().context("the service accounts' key")?;
        Ok(Self { serving, accounts })
    }

    pub(super) fn certificate_pem(&self) -> String {
        self.serving.cert.pem()
    }

    pub(super) fn certificate_base64(&self) -> String {
        base64::engine::general_purpose::STANDARD.encode(self.certificate_pem())
    }

    pub(super) fn write(&self, directory: &Path) -> Result<()> {
        let files = [
            (CERTIFICATE, self.certificate_pem()),
            (KEY, self.serving.signing_key.serialize_pem()),
            (TOKENS, format!("{ADMIN_TOKEN},administrator,administrator,\"system:masters\"\n")),
            (ACCOUNTS_KEY, self.accounts.serialize_pem()),
            (ACCOUNTS_PUBLIC_KEY, self.accounts.public_key_pem()),
        ];
        for (name, text) in files {
            std::fs::write(directory.join(name), text).with_context(|| format!("cannot write {name}"))?;
        }
        Ok(())
    }
}
