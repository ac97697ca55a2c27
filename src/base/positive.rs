//! Whole numbers of one or more, for `#[serde(with = "crate::base::positive")]`.

use std::fmt;
use std::marker::PhantomData;

use serde::de::{Deserializer, Error, Unexpected, Visitor};
use serde::{Serialize, Serializer};

/// Reads a whole number and refuses 0.
pub fn deserialize<'de, T: TryFrom<u64>, D: Deserializer<'de>>(deserializer: D) -> Result<T, D::Error> {
    deserializer.deserialize_u64(Positive(PhantomData))
}

/// Writes the number.
pub fn serialize<T: Serialize, S: Serializer>(number: &T, serializer: S) -> Result<S::Ok, S::Error> {
    number.serialize(serializer)
}

struct Positive<T>(PhantomData<T>);

impl<T: TryFrom<u64>> Visitor<'_> for Positive<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a whole number, 1 or more")
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<T, E> {
        let error = || E::invalid_value(Unexpected::Unsigned(number), &self);
        if number == 0 { Err(error()) } else { T::try_from(number).map_err(|_| error()) }
    }
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    #[derive(Deserialize, Debug)]
    struct Size(#[serde(with = "crate::base::positive")] u8);

    #[test]
    fn refuses_what_counts_nothing() {
        let read = |text| serde_json::from_str::<Size>(text);
        assert_eq!(read("255").unwrap().0, 255);
        for wrong in ["0", "-1", "256", "1.5", "\"x\""] {
            let message = read(wrong).unwrap_err().to_string();
            assert!(message.contains("expected a whole number, 1 or more"), "{message}");
        }
    }
}
