//! `{"success": true, "resultList": [{"name": …}, …]}`, entry by entry, borrowed from the body.

use std::{borrow::Cow, cell::Cell, fmt};

use serde::{
    Deserialize, Deserializer,
    de::{self, DeserializeSeed, IgnoredAny, MapAccess, SeqAccess, Visitor},
};
use serde_json::{error::Category, value::RawValue};

use super::Malformed;

/// One entry of `resultList`. JSON null and an absent field are both `None`.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Entry<'a> {
    pub(crate) name: Cow<'a, str>,
    pub(crate) description: Option<Cow<'a, str>>,
    pub(crate) project_id: Option<Cow<'a, str>>,
    pub(crate) source_type: Option<Cow<'a, str>>,
    pub(crate) source_id: Option<Cow<'a, str>>,
    pub(crate) source_url: Option<Cow<'a, str>>,
    pub(crate) key_type: Option<Cow<'a, str>>,
    pub(crate) kid: Option<Cow<'a, str>>,
}

/// Hands each entry of a list to `each`, in order.
///
/// Entries are handed on as they are read, so that a large list is never held twice; what came before an error is to
/// be thrown away.
///
/// # Errors
/// Where the body is not an object with `success: true`, no `error` word, and a `resultList` that is null or an array
/// of objects, each with a string `name` and strings or null elsewhere. Fields that are not documented may hold
/// anything.
pub(crate) fn read<'a>(body: &'a [u8], each: impl FnMut(Entry<'a>)) -> Result<(), Malformed> {
    // Text is checked as UTF-8 as a whole, which is faster than string by string. What is not UTF-8 may still be a list
    // where nobody looks; serde_json finds out.
    match str::from_utf8(body) {
        Ok(text) => read_json(serde_json::Deserializer::from_str(text), each),
        Err(_) => read_json(serde_json::Deserializer::from_slice(body), each),
    }
}

fn read_json<'a>(
    mut json: serde_json::Deserializer<impl serde_json::de::Read<'a>>,
    each: impl FnMut(Entry<'a>),
) -> Result<(), Malformed> {
    let place = Place::default();
    json.deserialize_map(List { each, place: &place })
        .and_then(|()| json.end())
        .map_err(|error| place.malformed(&error))
}

/// Where in the body the reader is, and what would be wrong if it stopped there.
#[derive(Default)]
struct Place {
    entry: Cell<Option<usize>>,
    field: Cell<&'static str>,
    problem: Cell<&'static str>,
}

impl Place {
    fn enter_entry(&self, index: usize) {
        self.entry.set(Some(index));
        self.enter("", "expected an object");
    }

    fn leave_entries(&self) {
        self.entry.set(None);
        self.enter("", "");
    }

    fn enter(&self, field: &'static str, expected: &'static str) {
        self.field.set(field);
        self.problem.set(expected);
    }

    /// An error that serde carries outwards; what it says is taken from here, see [`Place::malformed`].
    fn fault<E: de::Error>(&self, field: &'static str, problem: &'static str) -> E {
        self.enter(field, problem);
        E::custom(problem)
    }

    /// serde_json's own messages quote values of the body, so only their kind and position are used.
    fn malformed(&self, error: &serde_json::Error) -> Malformed {
        let (line, column) = (error.line(), error.column());
        Malformed(match (error.classify(), self.entry.get(), self.field.get()) {
            (Category::Eof | Category::Io, ..) => format!("the JSON breaks off at line {line}, column {column}"),
            (Category::Syntax, ..) => format!("not JSON at line {line}, column {column}"),
            (Category::Data, None, "") => "the body: expected an object".to_owned(),
            (Category::Data, None, field) => format!("{field}: {}", self.problem.get()),
            (Category::Data, Some(index), "") => format!("resultList[{index}]: {}", self.problem.get()),
            (Category::Data, Some(index), field) => format!("resultList[{index}].{field}: {}", self.problem.get()),
        })
    }
}

#[derive(Deserialize)]
#[serde(field_identifier, rename_all = "camelCase")]
enum ListField {
    Success,
    ResultList,
    Error,
    #[serde(other)]
    Undocumented,
}

struct List<'p, F> {
    each: F,
    place: &'p Place,
}

impl<'de, F: FnMut(Entry<'de>)> Visitor<'de> for List<'_, F> {
    type Value = ();

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("an object")
    }

    fn visit_map<M: MapAccess<'de>>(mut self, mut object: M) -> Result<(), M::Error> {
        let place = self.place;
        let (mut success, mut list) = (false, false);
        while let Some(field) = object.next_key()? {
            match field {
                ListField::Success if success => return Err(place.fault("success", "given twice")),
                ListField::Success => {
                    place.enter("success", "expected true");
                    success = object.next_value()?;
                    if !success {
                        return Err(place.fault("success", "expected true"));
                    }
                }
                ListField::ResultList if list => return Err(place.fault("resultList", "given twice")),
                ListField::ResultList => {
                    list = true;
                    place.enter("resultList", "expected an array or null");
                    object.next_value_seed(Entries { each: &mut self.each, place })?;
                }
                ListField::Error => {
                    let error: &RawValue = object.next_value()?;
                    if error.get().starts_with('"') && error.get() != "\"\"" {
                        return Err(place.fault("error", "expected no error in an answer"));
                    }
                }
                ListField::Undocumented => drop(object.next_value::<IgnoredAny>()?),
            }
        }
        if !success {
            return Err(place.fault("success", "missing"));
        }
        if !list {
            return Err(place.fault("resultList", "missing"));
        }
        Ok(())
    }
}

/// The value of `resultList`: null or an array.
struct Entries<'p, F> {
    each: F,
    place: &'p Place,
}

impl<'de, F: FnMut(Entry<'de>)> DeserializeSeed<'de> for Entries<'_, F> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<(), D::Error> {
        json.deserialize_any(self)
    }
}

impl<'de, F: FnMut(Entry<'de>)> Visitor<'de> for Entries<'_, F> {
    type Value = ();

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("an array or null")
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_seq<S: SeqAccess<'de>>(mut self, mut array: S) -> Result<(), S::Error> {
        self.place.enter_entry(0);
        let mut index = 0;
        while let Some(entry) = array.next_element_seed(EntrySeed { place: self.place })? {
            (self.each)(entry);
            index += 1;
            self.place.enter_entry(index);
        }
        self.place.leave_entries();
        Ok(())
    }
}

#[derive(Clone, Copy, Deserialize)]
#[serde(field_identifier, rename_all = "camelCase")]
enum EntryField {
    Name,
    Description,
    ProjectId,
    SourceType,
    SourceId,
    SourceUrl,
    Type,
    Kid,
    #[serde(other)]
    Undocumented,
}

impl EntryField {
    fn name(self) -> &'static str {
        match self {
            Self::Name => "name",
            Self::Description => "description",
            Self::ProjectId => "projectId",
            Self::SourceType => "sourceType",
            Self::SourceId => "sourceId",
            Self::SourceUrl => "sourceUrl",
            Self::Type => "type",
            Self::Kid => "kid",
            Self::Undocumented => "",
        }
    }

    fn expected(self) -> &'static str {
        match self {
            Self::Name => "expected a string",
            _ => "expected a string or null",
        }
    }
}

struct EntrySeed<'p> {
    place: &'p Place,
}

impl<'de> DeserializeSeed<'de> for EntrySeed<'_> {
    type Value = Entry<'de>;

    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<Entry<'de>, D::Error> {
        json.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for EntrySeed<'_> {
    type Value = Entry<'de>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("an object")
    }

    fn visit_map<M: MapAccess<'de>>(self, mut object: M) -> Result<Entry<'de>, M::Error> {
        let mut entry = Entry::default();
        let mut seen = Fields::default();
        while let Some(field) = object.next_key::<EntryField>()? {
            if seen.contains(field) {
                return Err(self.place.fault(field.name(), "given twice"));
            }
            self.place.enter(field.name(), field.expected());
            let place_of_value = match field {
                EntryField::Name => {
                    Text(entry.name) = object.next_value()?;
                    seen.insert(field);
                    continue;
                }
                EntryField::Undocumented => {
                    object.next_value::<IgnoredAny>()?;
                    continue;
                }
                EntryField::Description => &mut entry.description,
                EntryField::ProjectId => &mut entry.project_id,
                EntryField::SourceType => &mut entry.source_type,
                EntryField::SourceId => &mut entry.source_id,
                EntryField::SourceUrl => &mut entry.source_url,
                EntryField::Type => &mut entry.key_type,
                EntryField::Kid => &mut entry.kid,
            };
            TextOrNull(*place_of_value) = object.next_value()?;
            seen.insert(field);
        }
        if !seen.contains(EntryField::Name) {
            return Err(self.place.fault("name", "missing"));
        }
        Ok(entry)
    }
}

/// The documented fields that an entry has had so far.
#[derive(Default)]
struct Fields(u16);

impl Fields {
    fn contains(&self, field: EntryField) -> bool {
        self.0 & (1 << field as u16) != 0
    }

    fn insert(&mut self, field: EntryField) {
        self.0 |= 1 << field as u16;
    }
}

/// A JSON string, borrowed where it has no escapes. serde's own `Cow` always copies.
struct Text<'a>(Cow<'a, str>);

impl<'de> Deserialize<'de> for Text<'de> {
    fn deserialize<D: Deserializer<'de>>(json: D) -> Result<Self, D::Error> {
        json.deserialize_str(TextVisitor).map(Self)
    }
}

/// A JSON string or null. serde's own `Option` looks at the first byte twice.
struct TextOrNull<'a>(Option<Cow<'a, str>>);

impl<'de> Deserialize<'de> for TextOrNull<'de> {
    fn deserialize<D: Deserializer<'de>>(json: D) -> Result<Self, D::Error> {
        json.deserialize_any(TextOrNullVisitor).map(Self)
    }
}

struct TextVisitor;

impl<'de> Visitor<'de> for TextVisitor {
    type Value = Cow<'de, str>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a string")
    }

    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Cow<'de, str>, E> {
        Ok(Cow::Borrowed(text))
    }

    fn visit_str<E>(self, text: &str) -> Result<Cow<'de, str>, E> {
        Ok(Cow::Owned(text.to_owned()))
    }
}

struct TextOrNullVisitor;

impl<'de> Visitor<'de> for TextOrNullVisitor {
    type Value = Option<Cow<'de, str>>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a string or null")
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_borrowed_str<E: de::Error>(self, text: &'de str) -> Result<Self::Value, E> {
        TextVisitor.visit_borrowed_str(text).map(Some)
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Self::Value, E> {
        TextVisitor.visit_str(text).map(Some)
    }
}
