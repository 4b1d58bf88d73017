//! One declaration from which a section's struct, defaults and reference are made.

/// A key of the configuration, for its reference.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Key {
    /// The whole path: `rtmp.listen`.
    pub name: String,
    /// How its values are written: a name of one of the [`forms`](super::forms).
    pub kind: &'static str,
    /// What it does.
    pub about: String,
}

impl Key {
    /// The key `field` of `section`, about which these lines are written.
    #[must_use]
    pub fn new(section: &str, field: &str, kind: &'static str, about: &[&str]) -> Self {
        let about = about
            .iter()
            .map(|line| line.trim())
            .collect::<Vec<_>>()
            .join(" ");
        // A field may be a keyword of Rust.
        let field = field.trim_start_matches("r#");
        Self {
            name: format!("{section}.{field}"),
            kind,
            about,
        }
    }
}

/// A table of the configuration.
pub trait Section: Default {
    /// Its name.
    const NAME: &'static str;

    /// The reference of its keys.
    fn keys() -> Vec<Key>;
}

/// Declares a section: `/// what it does`, `key: Type = default, "form";`. The modules of the
/// [`forms`](crate::config::forms) that it names must be in scope.
#[macro_export]
macro_rules! section {
    (
        $(#[doc = $about:literal])+
        $type:ident: $section:literal {
            $( $(#[doc = $doc:literal])+ $field:ident: $value:ty = $default:expr, $form:tt; )+
        }
    ) => {
        $(#[doc = $about])+
        #[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
        #[serde(default, deny_unknown_fields)]
        pub struct $type {
            $( $(#[doc = $doc])+ #[serde(with = $form)] pub $field: $value, )+
        }

        impl Default for $type {
            fn default() -> Self {
                Self { $( $field: $default, )+ }
            }
        }

        impl $crate::config::Section for $type {
            const NAME: &'static str = $section;

            fn keys() -> Vec<$crate::config::Key> {
                vec![ $( $crate::config::Key::new($section, stringify!($field), $form, &[$($doc),+]), )+ ]
            }
        }
    };
}

pub(super) use section;
