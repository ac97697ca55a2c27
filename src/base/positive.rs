//! Whole numbers of one or more, for `#[serde(with = "crate::base::positive")]`.

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// Reads a whole number and refuses 0.
pub fn deserialize<'de, T: TryFrom<u64>, D: Deserializer<'de>>(deserializer: D) -> Result<T, D::Error> {
    let number = u64::deserialize(deserializer)?;
    let unexpected = de::Unexpected::Unsigned(number);
    let error = || de::Error::invalid_value(unexpected, &"a whole number, 1 or more");
    if number == 0 { Err(error()) } else { T::try_from(number).map_err(|_| error()) }
}

/// Writes the number.
pub fn serialize<T: Serialize, S: Serializer>(number: &T, serializer: S) -> Result<S::Ok, S::Error> {
    number.serialize(serializer)
}
