//! The image archives, as `tests/kind/images` leaves them: what lies in them is what the contract says.
//!
//! It does not build images and does not run them; it reads the archives back, since what matters (a file capability, say)
//! can get lost on the way from the build to the archive. A missing archive is a failure that names the command.

#![expect(
    clippy::indexing_slicing,
    reason = "a missing key yields null; a binary that is cut off may panic in its test"
)]

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail, ensure};
use api::pod;
use caps::CapsHashSet;
use serde_json::Value;

const MIB: usize = 1024 * 1024;

struct Expected {
    binary: &'static str,
    image: &'static str,
    path: &'static str,
    user: String,
    /// Limit of the binary, stripped.
    size: usize,
    capabilities: &'static [&'static str],
    release: fn() -> Result<PathBuf>,
}

fn expected() -> [Expected; 3] {
    [
        Expected {
            binary: "injector",
            image: pod::INJECTOR_IMAGE,
            path: pod::INJECTOR_BINARY,
            user: "65532:65532".to_owned(),
            size: 14 * MIB,
            capabilities: &[],
            release: tests::binaries::injector,
        },
        Expected {
            binary: "init-redirect",
            image: pod::INIT_IMAGE,
            path: pod::INIT_BINARY,
            user: format!("{}:{}", pod::INIT_UID, pod::INIT_GID),
            size: 2 * MIB,
            capabilities: &pod::INIT_FILE_CAPABILITIES,
            release: tests::binaries::init_redirect,
        },
        Expected {
            binary: "proxy",
            image: pod::PROXY_IMAGE,
            path: pod::PROXY_BINARY,
            user: format!("{}:{}", pod::PROXY_UID, pod::PROXY_GID),
            size: 8 * MIB,
            capabilities: &[],
            release: tests::binaries::proxy,
        },
    ]
}

#[test]
fn an_image_has_the_name_that_the_manifests_use() {
    for expected in expected() {
        let image = Image::open(expected.binary).unwrap();
        assert_eq!(image.manifest["RepoTags"], serde_json::json!([expected.image]), "{}", expected.binary);
    }
}

#[test]
fn an_image_runs_its_binary_as_a_numeric_user_who_is_not_root() {
    for expected in expected() {
        let image = Image::open(expected.binary).unwrap();
        let config = &image.config["config"];
        assert_eq!(config["Entrypoint"], serde_json::json!([expected.path]), "{}", expected.binary);
        assert_eq!(config["User"], expected.user, "{}", expected.binary);
        assert!(config["Cmd"].is_null(), "{}: {}", expected.binary, config["Cmd"]);
    }
}

#[test]
fn an_image_says_what_it_is() {
    for expected in expected() {
        let image = Image::open(expected.binary).unwrap();
        for label in ["title", "description", "licenses"] {
            let value = &image.config["config"]["Labels"][format!("org.opencontainers.image.{label}")];
            assert!(value.as_str().is_some_and(|text| !text.is_empty()), "{}: {label}", expected.binary);
        }
    }
}

#[test]
fn an_image_is_one_file_the_release_binary_static_and_small() {
    for expected in expected() {
        let file = Image::open(expected.binary).unwrap().only_file().unwrap();
        let release = std::fs::read((expected.release)().unwrap()).unwrap();
        assert_eq!(format!("/{}", file.path), expected.path);
        assert_eq!(file.mode & 0o777, 0o755, "{}", expected.binary);
        assert!(
            file.content == release,
            "{} is not the release binary: run tests/kind/images again",
            expected.binary
        );
        assert!(!has_interpreter(&file.content).unwrap(), "{} is not static", expected.binary);
        let size = file.content.len();
        assert!(size <= expected.size, "{}: {size} bytes, more than {}", expected.binary, expected.size);
    }
}

#[test]
fn a_binary_carries_the_contracts_file_capabilities_permitted_and_not_effective() {
    for expected in expected() {
        let file = Image::open(expected.binary).unwrap().only_file().unwrap();
        let capabilities = file.capabilities.as_deref().map(FileCapabilities::parse);
        let wanted = (!expected.capabilities.is_empty()).then(|| FileCapabilities {
            effective: false,
            permitted: expected
                .capabilities
                .iter()
                .map(|name| name.to_uppercase().parse().unwrap())
                .collect(),
            inheritable: CapsHashSet::new(),
        });
        assert_eq!(capabilities.transpose().unwrap(), wanted, "{}", expected.binary);
    }
}

/// The image for kernels without nf_tables.
const WITH_IPTABLES: &str = "init-redirect-iptables";

#[test]
fn the_image_with_iptables_is_the_same_with_programs_and_no_shell() {
    let image = Image::open(WITH_IPTABLES).unwrap();
    assert_eq!(image.manifest["RepoTags"], serde_json::json!([pod::INIT_IPTABLES_IMAGE]));
    assert_eq!(image.config["config"]["Entrypoint"], serde_json::json!([pod::INIT_BINARY]));
    assert_eq!(image.config["config"]["User"], format!("{}:{}", pod::INIT_UID, pod::INIT_GID));
    let files = image.files().unwrap();
    let (own, others): (Vec<_>, Vec<_>) =
        files.iter().partition(|file| pod::INIT_BINARY.ends_with(file.path.trim_start_matches("./")));
    let alone = Image::open("init-redirect").unwrap().only_file().unwrap();
    let [own] = own.as_slice() else { panic!("{} binaries of ours", own.len()) };
    assert!(own.content == alone.content && own.capabilities == alone.capabilities);
    for file in &others {
        assert_eq!(file.capabilities, None, "{}", file.path);
        assert!(!file.path.contains("/bin/"), "{}", file.path);
    }
    for name in ["xtables-nft-multi", "xtables-legacy-multi", "libxt_REDIRECT.so", "libip6t_REJECT.so"] {
        assert!(others.iter().any(|file| file.path.ends_with(name)), "{name} is missing");
    }
}

/// An image archive in Docker's format.
struct Image {
    entries: BTreeMap<String, Vec<u8>>,
    manifest: Value,
    config: Value,
}

impl Image {
    fn open(binary: &str) -> Result<Self> {
        let path = directory()?.join(binary).with_extension("tar");
        let archive =
            File::open(&path).with_context(|| format!("{}: make it by tests/kind/images", path.display()))?;
        let mut entries = BTreeMap::new();
        for entry in tar::Archive::new(archive).entries()? {
            let mut entry = entry?;
            let mut content = Vec::new();
            entry.read_to_end(&mut content)?;
            entries.insert(entry.path()?.to_string_lossy().into_owned(), content);
        }
        let mut manifests: Vec<Value> = serde_json::from_slice(find(&entries, "manifest.json")?)?;
        let manifest = manifests.pop().context("the archive holds no image")?;
        ensure!(manifests.is_empty(), "{}: more than one image", path.display());
        let config = serde_json::from_slice(find(&entries, manifest["Config"].as_str().context("Config")?)?)?;
        Ok(Self { entries, manifest, config })
    }

    /// What all layers together consist of.
    fn files(&self) -> Result<Vec<ImageFile>> {
        let layers = self.manifest["Layers"].as_array().context("Layers")?;
        let mut files = Vec::new();
        for layer in layers {
            let layer = uncompressed(find(&self.entries, layer.as_str().context("a layer's name")?)?)?;
            for entry in tar::Archive::new(layer.as_slice()).entries()? {
                files.push(ImageFile::read(entry?)?);
            }
        }
        Ok(files)
    }

    /// The only file of all layers together.
    fn only_file(&self) -> Result<ImageFile> {
        let mut files = self.files()?;
        let names: Vec<_> = files.iter().map(|file| file.path.clone()).collect();
        match (files.pop(), files.is_empty()) {
            (Some(file), true) => Ok(file),
            _ => bail!("one file was expected, not {names:?}"),
        }
    }
}

struct ImageFile {
    path: String,
    mode: u32,
    content: Vec<u8>,
    /// The extended attribute `security.capability`.
    capabilities: Option<Vec<u8>>,
}

impl ImageFile {
    fn read<R: Read>(mut entry: tar::Entry<'_, R>) -> Result<Self> {
        let mut capabilities = None;
        for record in entry.pax_extensions()?.into_iter().flatten() {
            let record = record?;
            if record.key_bytes() == b"SCHILY.xattr.security.capability" {
                capabilities = Some(record.value_bytes().to_vec());
            }
        }
        let mut content = Vec::new();
        entry.read_to_end(&mut content)?;
        let path = entry.path()?.to_string_lossy().into_owned();
        Ok(Self { path, mode: entry.header().mode()?, content, capabilities })
    }
}

/// `struct vfs_cap_data` of linux/capability.h, revision 2: the one without a user namespace's root id.
#[derive(Debug, PartialEq)]
struct FileCapabilities {
    effective: bool,
    permitted: CapsHashSet,
    inheritable: CapsHashSet,
}

impl FileCapabilities {
    fn parse(attribute: &[u8]) -> Result<Self> {
        let words: Vec<u64> = attribute
            .chunks(4)
            .map(|word| Ok(u32::from_le_bytes(word.try_into()?).into()))
            .collect::<Result<_>>()?;
        let [magic, permitted, inheritable, permitted_high, inheritable_high] = words[..] else {
            bail!("{} bytes in security.capability", attribute.len());
        };
        ensure!(magic & 0xff00_0000 == 0x0200_0000, "revision {magic:#x} of security.capability");
        Ok(Self {
            effective: magic & 1 == 1,
            permitted: set(permitted | permitted_high << 32),
            inheritable: set(inheritable | inheritable_high << 32),
        })
    }
}

fn set(bits: u64) -> CapsHashSet {
    caps::all().into_iter().filter(|capability| bits & capability.bitmask() != 0).collect()
}

/// Whether an ELF file asks for a dynamic linker (a program header of type PT_INTERP).
fn has_interpreter(elf: &[u8]) -> Result<bool> {
    const PT_INTERP: usize = 3;
    ensure!(elf.starts_with(b"\x7fELF\x02\x01"), "not a 64-bit little-endian ELF file");
    let number = |at: usize, size: usize| {
        elf[at..at + size].iter().rev().fold(0, |value, byte| value << 8 | usize::from(*byte))
    };
    let (table, size, count) = (number(32, 8), number(54, 2), number(56, 2));
    ensure!(count > 0, "no program headers");
    Ok((0..count).any(|header| number(table + header * size, 4) == PT_INTERP))
}

fn find<'a>(entries: &'a BTreeMap<String, Vec<u8>>, name: &str) -> Result<&'a [u8]> {
    entries.get(name).map(Vec::as_slice).with_context(|| format!("the archive has no {name}"))
}

/// Docker's newer image store saves layers as it would push them: by gzip.
fn uncompressed(layer: &[u8]) -> Result<Vec<u8>> {
    if !layer.starts_with(&[0x1f, 0x8b]) {
        return Ok(layer.to_vec());
    }
    let mut gzip = Command::new("gzip").arg("-dc").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
    let mut stdin = gzip.stdin.take().context("gzip's standard input")?;
    let layer = layer.to_vec();
    // From a thread of its own, since gzip writes while it still reads.
    let writer = std::thread::spawn(move || stdin.write_all(&layer));
    let output = gzip.wait_with_output()?;
    writer.join().map_err(|_| anyhow::anyhow!("the writer to gzip panicked"))??;
    ensure!(output.status.success(), "gzip: {}", output.status);
    Ok(output.stdout)
}

/// `$CARGO_TARGET_DIR/images`. A test lies in `$CARGO_TARGET_DIR/TRIPLE/PROFILE/deps`.
fn directory() -> Result<PathBuf> {
    let exe = std::env::current_exe()?;
    let target =
        exe.ancestors().nth(4).with_context(|| format!("{} has no target directory", exe.display()))?;
    Ok(Path::new(target).join("images"))
}
