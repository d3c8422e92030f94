//! References of images, as far as a container runtime could take them.

use std::fmt;

use super::{Parsed, malformed};

/// A reference, with or without tag and digest.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(in super::super) struct Image(String);

/// What stands after the colon of a reference.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(in super::super) struct Tag(String);

const LONGEST: usize = 512;
const LONGEST_TAG: usize = 128;

impl Image {
    pub(super) fn parse(text: &str) -> Parsed<Self> {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._-/:@[]".contains(&byte);
        let ends = text.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '[')
            && text.ends_with(|c: char| c.is_ascii_alphanumeric());
        if text.len() > LONGEST || !ends || !text.bytes().all(plain) || text.contains("//") {
            return malformed("not an image reference");
        }
        Ok(Self(text.to_owned()))
    }

    pub(in super::super) fn as_str(&self) -> &str {
        &self.0
    }
}

impl Tag {
    pub(super) fn parse(text: &str) -> Parsed<Self> {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
        if text.is_empty()
            || text.len() > LONGEST_TAG
            || !text.bytes().all(plain)
            || text.starts_with(['.', '-'])
        {
            return malformed("not a tag");
        }
        Ok(Self(text.to_owned()))
    }

    /// The image with this tag instead of its own tag and digest.
    pub(in super::super) fn applied_to(&self, image: &str) -> String {
        let name = image.split_once('@').map_or(image, |(name, _)| name);
        // A colon before the last slash belongs to the registry's port.
        let repository = match name.rsplit_once(':') {
            Some((repository, tag)) if !tag.contains('/') => repository,
            Some(_) | None => name,
        };
        format!("{repository}:{}", self.0)
    }
}

impl fmt::Display for Image {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for Tag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
