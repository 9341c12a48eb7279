//! The building blocks that a component can serve.

/// A building block; a component's type starts with its prefix.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Block {
    /// `state.*`
    State,
    /// `secretstores.*`
    SecretStore,
    /// `pubsub.*`
    PubSub,
    /// `bindings.*`
    Binding,
    /// `configuration.*`
    Configuration,
    /// `lock.*`
    Lock,
    /// `crypto.*`
    Crypto,
    /// `conversation.*`
    Conversation,
    /// `middleware.http.*`
    Middleware,
    /// `workflow.*`
    Workflow,
}

impl Block {
    /// All of them.
    pub const ALL: [Self; 10] = [
        Self::State,
        Self::SecretStore,
        Self::PubSub,
        Self::Binding,
        Self::Configuration,
        Self::Lock,
        Self::Crypto,
        Self::Conversation,
        Self::Middleware,
        Self::Workflow,
    ];

    /// Splits a lower-case type into its block and its name within it.
    #[must_use]
    pub fn of(type_name: &str) -> Option<(Self, &str)> {
        Self::ALL.into_iter().find_map(|block| {
            let name = type_name.strip_prefix(block.prefix())?.strip_prefix('.')?;
            (!name.is_empty()).then_some((block, name))
        })
    }

    /// What types of this block start with, without the dot.
    #[must_use]
    pub fn prefix(self) -> &'static str {
        match self {
            Self::State => "state",
            Self::SecretStore => "secretstores",
            Self::PubSub => "pubsub",
            Self::Binding => "bindings",
            Self::Configuration => "configuration",
            Self::Lock => "lock",
            Self::Crypto => "crypto",
            Self::Conversation => "conversation",
            Self::Middleware => "middleware.http",
            Self::Workflow => "workflow",
        }
    }

    /// What one component of this block is called in messages.
    #[must_use]
    pub fn noun(self) -> &'static str {
        match self {
            Self::State => "state store",
            Self::SecretStore => "secret store",
            Self::PubSub => "message bus",
            Self::Binding => "binding",
            Self::Configuration => "configuration store",
            Self::Lock => "lock store",
            Self::Crypto => "crypto provider",
            Self::Conversation => "conversation component",
            Self::Middleware => "HTTP middleware",
            Self::Workflow => "workflow component",
        }
    }

    /// All prefixes, for messages.
    pub(super) fn prefixes() -> String {
        Self::ALL
            .map(|block| format!("{}.", block.prefix()))
            .join(", ")
    }
}
