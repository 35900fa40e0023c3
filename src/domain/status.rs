//! What screening has to know of a status.

use super::{
    AccountId,
    json::{Object, Value},
};

/// The facts of a status (Mastodon's `Status` entity, the payload of `update` and `status.update`) that decide who gets
/// it. Read once per event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Status {
    /// `account.id`: who published it. The author of a reblogged status does not matter.
    pub author: AccountId,
    /// Whether the author is an account of this instance.
    pub origin: Origin,
    /// The author's domain: what stands between the first and the second `@` of `account.acct`, as it is spelled there.
    /// `None` if there is nothing.
    pub domain: Option<String>,
    /// The accounts in `mentions`, in their order; none if that is missing or no array.
    pub mentions: Vec<AccountId>,
    /// `language`, exactly as given; `None` if it is missing, null or no string.
    pub language: Option<String>,
    /// Whether there is a key `filtered`, whatever its value: custom filters were applied already.
    pub is_filtered: bool,
    /// Whether it is for this instance only: `local_only`, as the statuses of glitch-soc and its kin have it, is something
    /// that ECMAScript calls true.
    pub local_only: bool,
    /// What custom filters look at.
    pub texts: StatusTexts,
}

/// Where the author of a status is at home.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Origin {
    /// On this instance: `account.username` and `account.acct` are equal.
    Local,
    /// On another one, or unknown because there is no `account.username`.
    Remote,
}

/// The texts of a status that custom filters look at, not yet freed of HTML. What is missing or no string is empty here,
/// or absent from the lists.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StatusTexts {
    /// `spoiler_text`, the content warning: plain text.
    pub spoiler: String,
    /// `content`: HTML.
    pub content: String,
    /// The titles of `poll.options`.
    pub options: Vec<String>,
    /// The descriptions in `media_attachments`.
    pub descriptions: Vec<String>,
}

/// Why a payload cannot be screened. Such a status reaches nobody, as nobody's blocks could be held against it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StatusError {
    /// The payload is something else than an object.
    #[error("the payload is no object")]
    NotAnObject,
    /// `account` is missing or no object.
    #[error("the status has no account")]
    NoAccount,
    /// `account.acct` is missing or no string.
    #[error("the author has no acct")]
    NoAcct,
    /// `account.id` is missing, or neither a string nor a number that is a 64-bit integer.
    #[error("the author's id is no 64-bit integer")]
    AuthorId,
    /// The `id` of an element of `mentions` is missing, or neither a string nor a number that is a 64-bit integer.
    #[error("the id of a mentioned account is no 64-bit integer")]
    MentionId,
}

impl Status {
    /// Reads the payload of an `update` or `status.update`.
    pub fn read(payload: Value<'_>) -> Result<Self, StatusError> {
        let status = payload.object().ok_or(StatusError::NotAnObject)?;
        let account = object(&status, "account").ok_or(StatusError::NoAccount)?;
        let acct = text(&account, "acct").ok_or(StatusError::NoAcct)?;
        let is_local = text(&account, "username").is_some_and(|username| username == acct);
        Ok(Self {
            author: id(&account).ok_or(StatusError::AuthorId)?,
            origin: if is_local { Origin::Local } else { Origin::Remote },
            domain: acct.split('@').nth(1).filter(|domain| !domain.is_empty()).map(str::to_owned),
            mentions: mentions(&status)?,
            language: text(&status, "language"),
            is_filtered: status.contains("filtered"),
            local_only: status.get("local_only").is_some_and(Value::is_truthy),
            texts: StatusTexts::read(&status),
        })
    }
}

impl StatusTexts {
    fn read(status: &Object<'_>) -> Self {
        let options = object(status, "poll").map(|poll| texts(&poll, "options", "title"));
        Self {
            spoiler: text(status, "spoiler_text").unwrap_or_default(),
            content: text(status, "content").unwrap_or_default(),
            options: options.unwrap_or_default(),
            descriptions: texts(status, "media_attachments", "description"),
        }
    }
}

/// A mention that is not even an object has no id either: whom it means cannot be known.
fn mentions(status: &Object<'_>) -> Result<Vec<AccountId>, StatusError> {
    let mention = |value: Value<'_>| value.object().and_then(|mention| id(&mention)).ok_or(StatusError::MentionId);
    elements(status, "mentions").into_iter().map(mention).collect()
}

fn id(account: &Object<'_>) -> Option<AccountId> {
    account.get("id")?.integer().map(AccountId)
}

fn object<'a>(parent: &Object<'a>, key: &str) -> Option<Object<'a>> {
    parent.get(key)?.object()
}

fn text(parent: &Object<'_>, key: &str) -> Option<String> {
    parent.get(key)?.text().map(String::from)
}

/// The elements of an array; none if there is no array.
fn elements<'a>(parent: &Object<'a>, key: &str) -> Vec<Value<'a>> {
    parent.get(key).and_then(Value::elements).unwrap_or_default()
}

/// The strings under one key of all the objects in an array.
fn texts(parent: &Object<'_>, array: &str, key: &str) -> Vec<String> {
    elements(parent, array).into_iter().filter_map(|element| text(&element.object()?, key)).collect()
}

#[cfg(test)]
mod tests;
