//! From texts to resources: a file is a sequence of YAML documents, each of one kind.
//!
//! Errors of the parser are told with the line and its text, which has the field's name.

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_saphyr::Error;

use super::Problem;
use super::directory::Text;
use crate::discovery::resource::{API_VERSION, Located, Place, Resources};

const KINDS: [&str; 4] = ["Service", "Workload", "External", "Forbidden"];

/// Reads all documents; the error is everything that is wrong with their form.
pub(super) fn parse(texts: &[Text]) -> Result<Resources, Vec<Problem>> {
    let (mut resources, mut problems) = (Resources::default(), Vec::new());
    for Text { file, text } in texts {
        for (number, (first_line, text)) in (1..).zip(split(text)) {
            let place = Place { file: file.clone(), document: number };
            if let Err(problem) = add(&mut resources, &place, (first_line, text)) {
                problems.push(problem);
            }
        }
    }
    if problems.is_empty() { Ok(resources) } else { Err(problems) }
}

/// The documents that say something, each with the number of lines before it. A line that begins with `---` begins a
/// document, whatever it stands in (YAML 1.2.2, section 9.1.2).
fn split(text: &str) -> Vec<(usize, &str)> {
    let mut starts = vec![(0, 0)];
    let mut offset = 0;
    for (number, line) in text.split_inclusive('\n').enumerate() {
        let rest = line.strip_prefix("---");
        if offset > 0 && rest.is_some_and(|rest| rest.trim_end().is_empty() || rest.starts_with([' ', '\t']))
        {
            starts.push((number, offset));
        }
        offset += line.len();
    }
    let ends = starts.iter().skip(1).map(|(_, offset)| *offset).chain([text.len()]);
    let parts = starts.iter().zip(ends);
    let documents = parts.filter_map(|((line, start), end)| Some((*line, text.get(*start..end)?)));
    documents.filter(|(_, text)| text.lines().any(is_meaningful)).collect()
}

fn is_meaningful(line: &str) -> bool {
    let line = line.strip_prefix("---").unwrap_or(line).trim();
    !line.is_empty() && !line.starts_with('#')
}

fn add(resources: &mut Resources, place: &Place, document: (usize, &str)) -> Result<(), Problem> {
    match kind(place, document)?.as_str() {
        "Service" => resources.services.push(located(place, document)?),
        "Workload" => resources.workloads.push(located(place, document)?),
        "External" => resources.externals.push(located(place, document)?),
        "Forbidden" => resources.forbidden.push(located(place, document)?),
        other => {
            let text = format!("{other:?} is not known; known are {}", KINDS.join(", "));
            return Err(Problem::new(place, "kind", text));
        }
    }
    Ok(())
}

/// What the document says it is comes first: another object would otherwise be told about fields that are right in it.
fn kind(place: &Place, document: (usize, &str)) -> Result<String, Problem> {
    #[derive(Default, Deserialize)]
    #[serde(rename_all = "camelCase", default)]
    struct Head {
        api_version: String,
        kind: String,
    }
    let Head { api_version, kind } = read(place, document)?;
    match (api_version.as_str(), kind.as_str()) {
        (API_VERSION, "") => {
            Err(Problem::new(place, "kind", format!("it is missing; known are {}", KINDS.join(", "))))
        }
        (API_VERSION, _) => Ok(kind),
        (other, _) => {
            Err(Problem::new(place, "apiVersion", format!("it is {other:?}; it must be {API_VERSION}")))
        }
    }
}

fn located<T: DeserializeOwned>(place: &Place, document: (usize, &str)) -> Result<Located<T>, Problem> {
    Ok(Located { place: place.clone(), value: read(place, document)? })
}

fn read<T: DeserializeOwned>(place: &Place, (first_line, text): (usize, &str)) -> Result<T, Problem> {
    let options = serde_saphyr::options! { with_snippet: false };
    serde_saphyr::from_str_with_options(text, options).map_err(|error| {
        let error = error.without_snippet();
        let line = error.location().and_then(|location| usize::try_from(location.line()).ok());
        let line = line.filter(|line| *line > 0);
        let shown = line.and_then(|line| text.lines().nth(line - 1)).unwrap_or_default();
        let shown: String = shown.trim().chars().take(80).collect();
        let field = match line {
            Some(line) => format!("line {}: `{shown}`", first_line + line),
            None => "YAML".to_owned(),
        };
        Problem::new(place, field, said(error))
    })
}

fn said(error: &Error) -> String {
    if let Error::SerdeUnknownField { field, expected, .. } = error {
        return format!("there is no field {field:?} here; allowed are {}", expected.join(", "));
    }
    if let Error::SerdeUnknownVariant { variant, expected, .. } = error {
        return format!("{variant:?} is not allowed; allowed are {}", expected.join(", "));
    }
    let text = error.to_string();
    // The line is told already.
    text.split(" at line ").next().unwrap_or(&text).to_owned()
}
