//! Enums of bare words.

/// `as_str`, and serde by it, for an enum whose every variant is one word. Serde's own derive makes an enum's
/// reader of four parts; this is one, and the words stand once.
#[macro_export]
macro_rules! words {
    ($name:ident { $($variant:ident = $word:literal,)+ }) => {
        impl $name {
            /// The word for it, as it stands in JSON, records and answers.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $word,)+ }
            }

            /// What a word means; `None` where it is none of these.
            pub fn named(word: &str) -> Option<Self> {
                match word {
                    $($word => Some(Self::$variant),)+
                    _ => None,
                }
            }
        }

        impl ::serde::Serialize for $name {
            fn serialize<S: ::serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(self.as_str())
            }
        }

        impl<'de> ::serde::Deserialize<'de> for $name {
            fn deserialize<D: ::serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = <::std::string::String as ::serde::Deserialize>::deserialize(deserializer)?;
                Self::named(&text)
                    .ok_or_else(|| ::serde::de::Error::unknown_variant(&text, &[$($word,)+]))
            }
        }
    };
}

#[cfg(test)]
mod tests {
    use crate::{Side, TimeInForce};

    #[test]
    fn words_read_back_and_others_are_named() {
        let json = serde_json::to_string(&[TimeInForce::PostOnly, TimeInForce::Gtc]).unwrap();
        assert_eq!(json, r#"["postOnly","gtc"]"#);
        let read: [TimeInForce; 2] = serde_json::from_str(&json).unwrap();
        assert_eq!(read, [TimeInForce::PostOnly, TimeInForce::Gtc]);
        let error = serde_json::from_str::<Side>(r#""hold""#).unwrap_err();
        assert!(
            error
                .to_string()
                .starts_with("unknown variant `hold`, expected `buy` or `sell`"),
            "{error}"
        );
    }
}
