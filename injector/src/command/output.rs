//! How findings are shown: for people as aligned tables, with colours on a terminal; for machines as JSON.
//!
//! Invariant: what came from a file or a cluster cannot move the cursor or change colours: control characters are escaped.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::io::IsTerminal;

use clap::{Args, ValueEnum};
use serde::Serialize;

/// Options about output; flatten them into a subcommand's arguments.
#[derive(Args, Clone, Copy, Debug)]
pub struct OutputArgs {
    /// For people, or for machines
    #[arg(long, short, value_enum, default_value = "text", value_name = "FORMAT")]
    pub output: Format,
}

/// What a command found.
pub(super) trait Findings: Serialize {
    /// For people.
    fn text(&self, style: Style) -> String;
}

impl OutputArgs {
    /// What was found, in the form that was asked for.
    pub(super) fn show(self, findings: &impl Findings, style: Style) -> String {
        match self.output {
            Format::Json => json(findings),
            Format::Text => findings.text(style),
        }
    }
}

/// A form of output.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub enum Format {
    /// Tables and sentences
    Text,
    /// One JSON object
    Json,
}

/// How text is written for whoever reads standard output.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Style {
    colour: bool,
}

/// What a text means, and so its colour.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Tone {
    Plain,
    Title,
    Good,
    Doubtful,
    Bad,
    Quiet,
}

impl Style {
    /// Colours on a terminal, unless NO_COLOR asks for none (no-color.org) or the terminal has none.
    pub fn of_stdout() -> Self {
        let set = |name: &str| std::env::var_os(name).is_some_and(|value| !value.is_empty());
        let dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
        Self { colour: std::io::stdout().is_terminal() && !set("NO_COLOR") && !dumb }
    }

    /// Without colours.
    pub fn plain() -> Self {
        Self { colour: false }
    }

    /// With colours.
    pub fn coloured() -> Self {
        Self { colour: true }
    }

    /// The text in its colour (ECMA-48, SGR), control characters escaped.
    pub(super) fn paint(self, tone: Tone, text: &str) -> String {
        let text = escaped(text);
        let code = match tone {
            Tone::Plain => return text.into_owned(),
            Tone::Title => "1",
            Tone::Good => "32",
            Tone::Doubtful => "33",
            Tone::Bad => "31",
            Tone::Quiet => "2",
        };
        if self.colour { format!("\u{1b}[{code}m{text}\u{1b}[0m") } else { text.into_owned() }
    }
}

/// Control characters as Rust writes them; everything else as it is.
pub(super) fn escaped(text: &str) -> Cow<'_, str> {
    if !text.contains(char::is_control) {
        return Cow::Borrowed(text);
    }
    let escape = |c: char| if c.is_control() { c.escape_default().to_string() } else { c.to_string() };
    Cow::Owned(text.chars().map(escape).collect())
}

/// Rows of cells that begin below each other.
#[derive(Default)]
pub(super) struct Table {
    indent: usize,
    rows: Vec<Vec<(Tone, String)>>,
}

impl Table {
    /// A table whose lines are indented by so many spaces.
    pub(super) fn indented(indent: usize) -> Self {
        Self { indent, rows: Vec::new() }
    }

    /// The names of the columns.
    pub(super) fn head<const N: usize>(&mut self, names: [&str; N]) {
        self.row(names.map(|name| (Tone::Quiet, name.to_owned())));
    }

    pub(super) fn row(&mut self, cells: impl IntoIterator<Item = (Tone, String)>) {
        self.rows.push(cells.into_iter().map(|(tone, text)| (tone, escaped(&text).into_owned())).collect());
    }

    pub(super) fn print(&self, style: Style) -> String {
        let columns = self.rows.iter().map(Vec::len).max().unwrap_or_default();
        let width = |column: usize| {
            let cells = self.rows.iter().filter_map(|row| row.get(column));
            cells.map(|(_, text)| text.chars().count()).max().unwrap_or_default()
        };
        let widths: Vec<usize> = (0..columns).map(width).collect();
        let mut output = String::new();
        for row in &self.rows {
            let mut line = " ".repeat(self.indent);
            let mut blank = 0;
            for ((tone, text), width) in row.iter().zip(&widths) {
                if !text.is_empty() {
                    line.push_str(&" ".repeat(blank));
                    line.push_str(&style.paint(*tone, text));
                    blank = 0;
                }
                blank += width - text.chars().count() + 2;
            }
            output.push_str(line.trim_end());
            output.push('\n');
        }
        output
    }
}

/// A line of text after the others.
pub(super) fn line(output: &mut String, text: std::fmt::Arguments<'_>) {
    // Writing to a String cannot fail.
    let _ = writeln!(output, "{text}");
}

/// One JSON value, for people to read too.
pub(super) fn json(value: &impl Serialize) -> String {
    // Findings are structs of text, numbers and lists, which always serialize.
    let mut text = serde_json::to_string_pretty(value).unwrap_or_default();
    text.push('\n');
    text
}

#[cfg(test)]
mod tests {
    use super::{Style, Table, Tone};

    fn table() -> Table {
        let mut table = Table::indented(2);
        table.head(["NAME", "VALUE", "KEY"]);
        table.row([
            (Tone::Plain, "a".to_owned()),
            (Tone::Bad, "wrong\n\u{1b}[2J".to_owned()),
            (Tone::Plain, String::new()),
        ]);
        table.row([
            (Tone::Plain, "longer".to_owned()),
            (Tone::Good, "é".to_owned()),
            (Tone::Plain, "k".to_owned()),
        ]);
        table
    }

    #[test]
    fn cells_stand_below_each_other_and_nothing_moves_the_cursor() {
        assert_eq!(
            table().print(Style::plain()),
            "  NAME    VALUE             KEY\n  a       wrong\\n\\u{1b}[2J\n  longer  é                 k\n"
        );
    }

    #[test]
    fn colours_change_no_column() {
        let coloured = table().print(Style::coloured());
        assert!(coloured.contains("\u{1b}[31mwrong\\n\\u{1b}[2J\u{1b}[0m"), "{coloured:?}");
        let mut bare = coloured;
        for code in ["0", "1", "2", "31", "32", "33"] {
            bare = bare.replace(&format!("\u{1b}[{code}m"), "");
        }
        assert_eq!(bare, table().print(Style::plain()));
    }
}
