//! Values that pass through the injector untouched.

use std::{fmt, marker::PhantomData, str::FromStr};

/// A `T` kept as the text it was written in.
///
/// The injector passes such a value on verbatim, even one it cannot read: the sidecar's image may be of another
/// version and know better. The sidecar's command line refuses what is not a `T`.
pub struct Written<T> {
    text: String,
    value: PhantomData<fn() -> T>,
}

impl<T: FromStr> Written<T> {
    /// Takes the text without reading it.
    #[must_use]
    pub fn unchecked(text: impl Into<String>) -> Self {
        Self {
            text: text.into(),
            value: PhantomData,
        }
    }

    /// Reads the value.
    ///
    /// # Errors
    /// `T`'s, which a value that came through the command line cannot have.
    pub fn get(&self) -> Result<T, T::Err> {
        self.text.parse()
    }

    /// The text as it was written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

impl<T: FromStr> FromStr for Written<T> {
    type Err = T::Err;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let _: T = text.parse()?;
        Ok(Self::unchecked(text))
    }
}

impl<T> fmt::Display for Written<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

// Derives would ask the same of `T`, which is only a name here.
impl<T> Clone for Written<T> {
    fn clone(&self) -> Self {
        Self {
            text: self.text.clone(),
            value: PhantomData,
        }
    }
}

impl<T> PartialEq for Written<T> {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl<T> Eq for Written<T> {}

impl<T> fmt::Debug for Written<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.text, f)
    }
}
