//! Which viewers of public feeds and hashtags get a status, and what their custom filters add to it.

mod support;

#[path = "filtering/access.rs"]
mod access;
#[path = "filtering/expressions.rs"]
mod expressions;
#[path = "filtering/failures.rs"]
mod failures;
#[path = "filtering/filter_cache.rs"]
mod filter_cache;
#[path = "filtering/filter_results.rs"]
mod filter_results;
#[path = "filtering/language.rs"]
mod language;
#[path = "filtering/malformed.rs"]
mod malformed;
#[path = "filtering/relations.rs"]
mod relations;
#[path = "filtering/scope.rs"]
mod scope;
#[path = "filtering/table.rs"]
mod table;
#[path = "filtering/texts.rs"]
mod texts;
