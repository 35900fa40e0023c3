mod hostile;
mod links;
mod logs;
mod refusals;
mod security;
mod strange_holders;
mod support;
