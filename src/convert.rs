//! From the Manager's words to protobuf, losing nothing.

use std::borrow::Cow;

use crate::{
    pb::{Jwk, JwkSourceType, JwkType},
    wire::list::Entry,
};

/// One list entry as a message.
pub(crate) fn jwk(entry: Entry<'_>) -> Jwk {
    // No `..` here: a new field is to stop the build until someone decides what becomes of it.
    let Entry { name, description, project_id, source_type, source_id, source_url, key_type, kid } = entry;
    let (source_type, unrecognized_source_type) = recognize(source_type, source_type_of_word);
    let (key_type, unrecognized_type) = recognize(key_type, key_type_of_word);
    Jwk {
        name: name.into_owned(),
        description: description.map(Cow::into_owned),
        project_id: project_id.map(Cow::into_owned).unwrap_or_default(),
        source_type: source_type.unwrap_or_default().into(),
        source_id: source_id.map(Cow::into_owned),
        source_url: source_url.map(Cow::into_owned),
        r#type: key_type.unwrap_or_default().into(),
        kid: kid.map(Cow::into_owned),
        unrecognized_source_type,
        unrecognized_type,
    }
}

/// The enum value of a word, or the word itself where there is none.
fn recognize<E>(word: Option<Cow<'_, str>>, value_of: fn(&str) -> Option<E>) -> (Option<E>, String) {
    let Some(word) = word else { return (None, String::new()) };
    match value_of(&word) {
        Some(value) => (Some(value), String::new()),
        None => (None, word.into_owned()),
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
    use serde_json::{Value, json};

    use super::*;
    use crate::answer;

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
            let answer = answer::read_list(text.expect("JSON").as_bytes()).expect("a list");
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
