mod hostile;
mod links;
mod refusals;
mod security;
mod support;
