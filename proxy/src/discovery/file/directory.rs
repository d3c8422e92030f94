//! The texts of a directory's files.

use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::DirectoryError;

/// A file's content.
#[derive(Debug)]
pub(super) struct Text {
    /// The file's name within the directory.
    pub(super) file: Arc<str>,
    pub(super) text: String,
}

/// The files that end in `.yaml` or `.yml` and do not begin with a dot, in the order of their names; at most so many bytes.
///
/// The kubelet changes a mounted ConfigMap by renaming the link `..data`, which all files lead through; what stands behind
/// it now is read, so that no file is of the former one.
pub(super) fn read(directory: &Path, most: u64) -> Result<Vec<Text>, DirectoryError> {
    let data = fs::canonicalize(directory.join("..data")).unwrap_or_else(|_| directory.to_owned());
    let unreadable = |path: &Path| {
        let path = path.to_owned();
        move |error| DirectoryError::Unreadable { path, error }
    };
    let entries = fs::read_dir(&data).map_err(unreadable(directory))?;
    let paths: io::Result<Vec<PathBuf>> = entries.map(|entry| Ok(entry?.path())).collect();
    let mut paths = paths.map_err(unreadable(directory))?;
    paths.retain(|path| is_ours(path));
    paths.sort();
    let (mut texts, mut left) = (Vec::new(), most);
    for path in paths {
        let text = read_file(&path, most, &mut left).map_err(unreadable(&path))?;
        let file = path.file_name().unwrap_or_default().to_string_lossy().into();
        texts.push(Text { file, text });
    }
    Ok(texts)
}

fn is_ours(path: &Path) -> bool {
    let hidden = path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"."));
    let yaml = path.extension().is_some_and(|extension| extension == "yaml" || extension == "yml");
    // What cannot be looked at is not left out, but told of when it is read.
    yaml && !hidden && fs::metadata(path).map_or(true, |found| found.is_file())
}

fn read_file(path: &Path, most: u64, left: &mut u64) -> io::Result<String> {
    let mut text = String::new();
    fs::File::open(path)?.take(left.saturating_add(1)).read_to_string(&mut text)?;
    match left.checked_sub(text.len() as u64) {
        Some(rest) => *left = rest,
        None => {
            let text = format!("the files are longer than {most} bytes together (--max-discovery-bytes)");
            return Err(io::Error::new(io::ErrorKind::FileTooLarge, text));
        }
    }
    Ok(text)
}

/// How long they are.
pub(super) fn size(texts: &[Text]) -> u64 {
    texts.iter().map(|text| text.text.len() as u64).sum()
}

/// The same wherever names and contents are the same (FNV-1a, 64 bits).
pub(super) fn hash(texts: &[Text]) -> String {
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    let parts = texts.iter().flat_map(|text| [text.file.as_bytes(), text.text.as_bytes()]);
    // 0xff is in no UTF-8, so that a name's end is not taken for a text's beginning.
    for byte in parts.flat_map(|part| part.iter().chain(&[0xff])) {
        hash = (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
    }
    format!("{hash:016x}")
}
