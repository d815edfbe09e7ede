//! A list of JWKs as a table for people.

use comfy_table::{Table, presets::UTF8_FULL_CONDENSED};

use crate::pb::Jwk;

/// A row for each entry; a field that is absent shows as a dash, and control characters show escaped.
pub(crate) fn table(jwks: &[Jwk]) -> Table {
    let mut table = Table::new();
    table.load_style(UTF8_FULL_CONDENSED).set_header(["NAME", "TYPE", "KID", "SOURCE", "FROM", "DESCRIPTION"]);
    table.add_rows(jwks.iter().map(|jwk| {
        let from = jwk.source_url.as_deref().or(jwk.source_id.as_deref());
        [
            printable(&jwk.name),
            word(jwk.r#type().as_str_name(), "JWK_TYPE_", &jwk.unrecognized_type),
            jwk.kid.as_deref().map_or_else(dash, printable),
            word(jwk.source_type().as_str_name(), "JWK_SOURCE_TYPE_", &jwk.unrecognized_source_type),
            from.map_or_else(dash, printable),
            jwk.description.as_deref().map_or_else(dash, printable),
        ]
    }));
    table
}

fn word(enum_value: &str, prefix: &str, unrecognized: &str) -> String {
    match enum_value.trim_start_matches(prefix) {
        "UNSPECIFIED" if unrecognized.is_empty() => dash(),
        "UNSPECIFIED" => printable(unrecognized),
        word => word.to_owned(),
    }
}

fn dash() -> String {
    "-".to_owned()
}

/// Names come from the upstream; what would steer a terminal is written out instead.
fn printable(text: &str) -> String {
    text.chars().flat_map(|char| if char.is_control() { char.escape_default().collect() } else { vec![char] }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn absent_fields_are_dashes_and_control_characters_are_escaped() {
        let jwk = Jwk { name: "a\u{1b}[31mb".into(), unrecognized_type: "AKP".into(), ..Jwk::default() };
        let text = table(&[jwk]).to_string();
        let row: Vec<_> = text.lines().nth(3).expect("a row").split(['│', '┆']).map(str::trim).collect();
        assert_eq!(row, ["", r"a\u{1b}[31mb", "AKP", "-", "-", "-", "-", ""]);
    }
}
