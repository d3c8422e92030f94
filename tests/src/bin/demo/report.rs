//! How the report looks: plain text of at most a hundred columns.

/// A numbered section's heading.
pub(crate) fn section(number: u8, title: &str) {
    println!("\n{number}. {title}\n");
}

/// A paragraph, wrapped and indented.
pub(crate) fn say(text: &str) {
    wrapped("   ", "   ", text);
}

/// A named fact, wrapped under itself.
pub(crate) fn fact(name: &str, text: &str) {
    wrapped(&format!("   {name:<11}  "), &" ".repeat(16), text);
}

/// A numbered item, wrapped under itself.
pub(crate) fn item(number: &str, text: &str) {
    wrapped(&format!("   {number:>3}  "), &" ".repeat(8), text);
}

/// Rows under a heading, columns two blanks apart.
pub(crate) fn table(heading: &[&str], rows: &[Vec<String>]) {
    let heading: Vec<String> = heading.iter().map(|name| (*name).to_owned()).collect();
    let all = || std::iter::once(&heading).chain(rows);
    let width =
        |column: usize| all().filter_map(|row| row.get(column)).map(String::len).max().unwrap_or_default();
    for row in all() {
        let cells: Vec<String> = row
            .iter()
            .enumerate()
            .map(|(column, cell)| format!("{cell:<width$}", width = width(column)))
            .collect();
        println!("   {}", cells.join("  ").trim_end());
    }
}

fn wrapped(first: &str, rest: &str, text: &str) {
    const COLUMNS: usize = 96;
    let mut line = first.to_owned();
    let mut empty = true;
    for word in text.split_whitespace() {
        if !empty && line.len() + 1 + word.len() > COLUMNS {
            println!("{line}");
            line = rest.to_owned();
            empty = true;
        }
        if !empty {
            line.push(' ');
        }
        line.push_str(word);
        empty = false;
    }
    println!("{line}");
}
