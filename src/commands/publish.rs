//! Publishing by hand.

use std::io::Read;

use anyhow::Context;
use clap::Args;

use crate::{config::Config, domain::Event, upstream};

/// What to publish.
#[derive(Debug, Args)]
pub struct PublishOptions {
    /// The channel, without namespace, such as timeline:public
    channel: String,
    /// The message, such as {"event":"update","payload":{…}}; read from standard input if missing
    message: Option<String>,
}

/// Publishes one message at the configured Redis and says how many subscribers got it.
pub async fn publish(options: PublishOptions) -> anyhow::Result<()> {
    let environment = super::environment()?;
    let config = Config::read(&environment).map_err(|error| super::hinted(&environment, error))?;
    let message = match options.message {
        Some(message) => message,
        None => {
            let mut message = String::new();
            std::io::stdin().read_to_string(&mut message).context("cannot read the message from standard input")?;
            message
        }
    };
    Event::read(&message).context("the server would drop this message")?;
    let subscribers = upstream::publish(&config.redis, &options.channel, &message).await;
    let subscribers = subscribers.map_err(|error| super::hinted(&environment, error))?;
    let noun = if subscribers == 1 { "subscriber" } else { "subscribers" };
    let (channel, address) = (format!("{}{}", config.redis.prefix(), options.channel), &config.redis.address);
    println!("published to {subscribers} {noun} of {channel} at {address}");
    if subscribers == 0 {
        let namespace = config.redis.namespace.as_deref().unwrap_or("not set");
        println!(
            "nobody is subscribed: no client watches a stream of this channel, or the server uses another Redis or \
             another REDIS_NAMESPACE (here {namespace})"
        );
    }
    Ok(())
}
