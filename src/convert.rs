//! From the Manager's words to protobuf bytes, losing nothing.
//!
//! The bytes are written straight from the entry: as owned messages, a body of many tiny entries would take more than
//! ten times its size.

use prost::encoding::{WireType, encode_varint, encoded_len_varint};

use crate::{
    pb::{JwkSourceType, JwkType},
    wire::list::Entry,
};

/// The number of `ListJwksResponse.jwks`.
const JWKS: u8 = 1;

/// Appends one entry to an encoded `ListJwksResponse`, in less bytes than its JSON had.
pub(crate) fn append_jwk(list: &mut Vec<u8>, entry: &Entry<'_>) {
    let fields = jwk_fields(entry);
    let length = fields.iter().map(|(_, value)| value.encoded_len()).sum::<usize>();
    list.push(key(JWKS, WireType::LengthDelimited));
    append_length(list, length);
    for (number, value) in &fields {
        value.append(list, *number);
    }
}

/// The fields of a `Jwk` by number.
fn jwk_fields<'e>(entry: &'e Entry<'_>) -> [(u8, Value<'e>); 10] {
    // No `..` here: a new field is to stop the build until someone decides what becomes of it.
    let Entry { name, description, project_id, source_type, source_id, source_url, key_type, kid } = entry;
    let (source_type, unrecognized_source_type) = recognize(source_type.as_deref(), source_type_of_word);
    let (key_type, unrecognized_type) = recognize(key_type.as_deref(), key_type_of_word);
    [
        (1, Value::implicit(name)),
        (2, Value::optional(description.as_deref())),
        (3, Value::implicit(project_id.as_deref().unwrap_or_default())),
        (4, source_type.map_or(Value::Absent, |value| Value::Enum(value.into()))),
        (5, Value::optional(source_id.as_deref())),
        (6, Value::optional(source_url.as_deref())),
        (7, key_type.map_or(Value::Absent, |value| Value::Enum(value.into()))),
        (8, Value::optional(kid.as_deref())),
        (9, Value::implicit(unrecognized_source_type)),
        (10, Value::implicit(unrecognized_type)),
    ]
}

/// What a field holds.
enum Value<'e> {
    Absent,
    Text(&'e str),
    Enum(i32),
}

impl<'e> Value<'e> {
    /// A field without presence: the empty string is not written.
    fn implicit(text: &'e str) -> Self {
        if text.is_empty() { Self::Absent } else { Self::Text(text) }
    }

    /// A field with presence: the empty string is written.
    fn optional(text: Option<&'e str>) -> Self {
        text.map_or(Self::Absent, Self::Text)
    }

    fn encoded_len(&self) -> usize {
        match *self {
            Self::Absent => 0,
            Self::Text(text) => 1 + encoded_len_varint(text.len() as u64) + text.len(),
            Self::Enum(_) => 2,
        }
    }

    fn append(&self, message: &mut Vec<u8>, number: u8) {
        match *self {
            Self::Absent => {}
            Self::Text(text) => {
                message.push(key(number, WireType::LengthDelimited));
                append_length(message, text.len());
                message.extend_from_slice(text.as_bytes());
            }
            Self::Enum(value) => {
                message.push(key(number, WireType::Varint));
                encode_varint(value.unsigned_abs().into(), message);
            }
        }
    }
}

/// A field's key; for numbers up to 15 it is one byte.
const fn key(number: u8, wire_type: WireType) -> u8 {
    number << 3 | wire_type as u8
}

/// A length, in most cases a byte.
fn append_length(message: &mut Vec<u8>, length: usize) {
    match u8::try_from(length) {
        Ok(byte @ ..0x80) => message.push(byte),
        _ => encode_varint(length as u64, message),
    }
}

/// The enum value of a word, or the word itself where there is none.
fn recognize<E>(word: Option<&str>, value_of: fn(&str) -> Option<E>) -> (Option<E>, &str) {
    let word = word.unwrap_or_default();
    match value_of(word) {
        Some(value) => (Some(value), ""),
        None => (None, word),
    }
}

fn source_type_of_word(word: &str) -> Option<JwkSourceType> {
    Some(match word {
        "URL" => JwkSourceType::Url,
        "COPY_PASTE" => JwkSourceType::CopyPaste,
        "CERTIFICATE" => JwkSourceType::Certificate,
        "PUBLIC_KEY" => JwkSourceType::PublicKey,
        "PRIVATE_KEY" => JwkSourceType::PrivateKey,
        "KEYSTORE" => JwkSourceType::Keystore,
        "GENERATE" => JwkSourceType::Generate,
        _ => return None,
    })
}

fn key_type_of_word(word: &str) -> Option<JwkType> {
    Some(match word {
        "RSA" => JwkType::Rsa,
        "EC" => JwkType::Ec,
        "OCT" => JwkType::Oct,
        "OKP" => JwkType::Okp,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use proptest::{option, prelude::*};
    use prost::Message as _;
    use serde_json::{Value, json};

    use super::*;
    use crate::{
        answer,
        pb::{Jwk, ListJwksResponse},
    };

    /// What the Manager must have written for this message; null and absent are one.
    fn json_of(jwk: &Jwk) -> Value {
        let word = |unspecified: bool, name: &str, prefix: &str, unrecognized: &str| match unspecified {
            true if unrecognized.is_empty() => Value::Null,
            true => json!(unrecognized),
            false => json!(name.strip_prefix(prefix).expect("the enum's prefix")),
        };
        let source_type = jwk.source_type();
        let key_type = jwk.r#type();
        json!({
            "name": jwk.name,
            "description": jwk.description,
            "projectId": jwk.project_id,
            "sourceType": word(
                source_type == JwkSourceType::Unspecified,
                source_type.as_str_name(),
                "JWK_SOURCE_TYPE_",
                &jwk.unrecognized_source_type,
            ),
            "sourceId": jwk.source_id,
            "sourceUrl": jwk.source_url,
            "type": word(
                key_type == JwkType::Unspecified,
                key_type.as_str_name(),
                "JWK_TYPE_",
                &jwk.unrecognized_type,
            ),
            "kid": jwk.kid,
        })
    }

    fn source_word() -> impl Strategy<Value = Option<String>> {
        let words: &[_] =
            &["URL", "COPY_PASTE", "CERTIFICATE", "PUBLIC_KEY", "PRIVATE_KEY", "KEYSTORE", "GENERATE", "url", "HSM"];
        option::of(prop_oneof![prop::sample::select(words).prop_map(str::to_owned), ".+"])
    }

    fn type_word() -> impl Strategy<Value = Option<String>> {
        let words: &[_] = &["RSA", "EC", "OCT", "OKP", "AKP", "rsa", "UNSPECIFIED"];
        option::of(prop_oneof![prop::sample::select(words).prop_map(str::to_owned), ".+"])
    }

    prop_compose! {
        fn entry()(
            name in any::<String>(),
            project_id in any::<String>(),
            optional in prop::array::uniform4(option::of(any::<String>())),
            source_type in source_word(),
            key_type in type_word(),
        ) -> Value {
            let [description, source_id, source_url, kid] = optional;
            json!({
                "name": name, "description": description, "projectId": project_id, "sourceType": source_type,
                "sourceId": source_id, "sourceUrl": source_url, "type": key_type, "kid": kid,
            })
        }
    }

    proptest! {
        #[test]
        fn a_list_becomes_messages_and_back_without_loss(entries in prop::collection::vec(entry(), 0..8), pretty: bool) {
            let body = json!({"success": true, "resultList": entries});
            let text = if pretty { serde_json::to_string_pretty(&body) } else { serde_json::to_string(&body) };
            let text = text.expect("JSON");
            let encoded = answer::read_list(text.as_bytes()).expect("a list");
            prop_assert!(encoded.len() < text.len());

            let answer = ListJwksResponse::decode(&*encoded).expect("protobuf");
            prop_assert_eq!(answer.encode_to_vec(), encoded, "as prost would have written it");
            prop_assert_eq!(answer.jwks.iter().map(json_of).collect::<Vec<_>>(), entries);
        }
    }

    #[test]
    fn each_word_has_its_value() {
        let source = ["URL", "COPY_PASTE", "CERTIFICATE", "PUBLIC_KEY", "PRIVATE_KEY", "KEYSTORE", "GENERATE"];
        for (number, word) in (1..).zip(source) {
            assert_eq!(source_type_of_word(word).map(i32::from), Some(number), "{word}");
        }
        for (number, word) in (1..).zip(["RSA", "EC", "OCT", "OKP"]) {
            assert_eq!(key_type_of_word(word).map(i32::from), Some(number), "{word}");
        }
    }
}
