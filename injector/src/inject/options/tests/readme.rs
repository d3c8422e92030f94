//! The README's table of annotations is the table of keys.

use super::super::draft::Class;
use super::super::proxy_config::FIELDS;
use super::super::registry::keys;

/// `UPDATE_GOLDEN=1` writes the table anew.
#[test]
fn the_readme_has_the_table_of_keys() {
    const BEGIN: &str = "<!-- annotations: written by `UPDATE_GOLDEN=1 cargo test -p injector readme` -->\n";
    const END: &str = "<!-- /annotations -->\n";
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../README.md");
    let text = std::fs::read_to_string(path).unwrap();
    let (before, rest) = text.split_once(BEGIN).expect("the README has the table's beginning");
    let (found, after) = rest.split_once(END).expect("the README has the table's end");
    let wanted = table();
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(path, [before, BEGIN, &wanted, END, after].concat()).unwrap();
        return;
    }
    assert!(found == wanted, "the README's table of annotations differs; now:\n{wanted}");
}

fn table() -> String {
    let code = |name: &&str| format!("`{name}`");
    let cell = |text: &str| text.replace('|', "\\|");
    let mut table = "| annotation | also | allowed | who | effect |\n|---|---|---|---|---|\n".to_owned();
    let fields = FIELDS.iter();
    let rows: Vec<_> = keys().chain(fields).collect();
    for key in rows.iter().filter(|key| key.class != Class::WithoutEffect) {
        let also: Vec<String> = key.also.iter().map(code).collect();
        let (form, effect) = (cell(key.form), cell(key.effect));
        table +=
            &format!("| `{}` | {} | {form} | {} | {effect} |\n", key.name, also.join(", "), key.class.told());
    }
    table +=
        "\nKnown, and without effect here; each is told as a warning:\n\n| annotation | why |\n|---|---|\n";
    for key in rows.iter().filter(|key| key.class == Class::WithoutEffect) {
        table += &format!("| `{}` | {} |\n", key.name, cell(key.effect));
    }
    table
}
