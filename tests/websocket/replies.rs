//! What is said to a subscription or an unsubscription that fails.

use serde_json::{Value, json};

use super::support::*;

const NO_SCOPES: &str = "Access token does not have the required scopes";

fn request(kind: &str, mut parameters: Value) -> Value {
    parameters["type"] = json!(kind);
    parameters
}

async fn expect_unsubscription_error(ws: &mut Ws) {
    assert_eq!(ws.next_json().await, json!({"error": "Error unsubscribing from channel"}));
}

#[tokio::test]
async fn a_subscription_that_fails_is_answered_with_error_and_status() {
    let scene = Scene::start().await;
    let bob = scene.db.account("bob").await;
    let foreign = scene.db.list(bob.account_id).await;
    let mut ws = scene.ws("/").await;
    for (parameters, message, status) in [
        (json!({"stream": "nonsense"}), "Unknown stream type", 400),
        (json!({}), "Unknown stream type", 400),
        (json!({"stream": "hashtag"}), "Missing tag name parameter", 400),
        (json!({"stream": "list"}), "Missing list name parameter", 400),
        (json!({"stream": "list", "list": foreign}), "Not authorized to stream this list", 401),
    ] {
        ws.send_json(request("subscribe", parameters)).await;
        ws.expect_error(message, status).await;
    }
    scene.db.execute("ALTER TABLE lists RENAME TO elsewhere").await;
    ws.send_json(request("subscribe", json!({"stream": "list", "list": foreign}))).await;
    ws.expect_error("An unexpected error occurred", 500).await;
    ws.send_json(request("unsubscribe", json!({"stream": "list", "list": foreign}))).await;
    expect_unsubscription_error(&mut ws).await;
}

#[tokio::test]
async fn scopes_are_checked_before_the_stream_name_and_its_parameters() {
    let scene = Scene::start().await;
    let notifications = scene.db.person("bob").scopes("read:notifications").await;
    let nothing = scene.db.person("carol").null_scopes().await;
    let statuses = scene.db.person("dora").scopes("read:statuses").await;
    let mut ws = Ws::open(&scene.server, "/", &notifications.token).await;
    for parameters in
        [json!({}), json!({"stream": "nonsense"}), json!({"stream": "hashtag"}), json!({"stream": "list"})]
    {
        ws.send_json(request("subscribe", parameters)).await;
        ws.expect_error(NO_SCOPES, 401).await;
    }
    let mut ws = Ws::open(&scene.server, "/?stream=user:notification", &nothing.token).await;
    ws.expect_error(NO_SCOPES, 401).await;
    let mut ws = Ws::open(&scene.server, "/?stream=user:notification", &statuses.token).await;
    ws.expect_error(NO_SCOPES, 401).await;
    ws.subscribe("nonsense").await;
    ws.expect_error("Unknown stream type", 400).await;
}

#[tokio::test]
async fn an_unsubscription_checks_name_and_parameters_but_no_scopes() {
    let scene = Scene::start().await;
    let nobody = scene.db.person("nobody").null_scopes().await;
    let own = scene.db.list(nobody.account_id).await;
    let foreign = scene.db.list(scene.alice.account_id).await;
    let mut ws = Ws::open(&scene.server, "/", &nobody.token).await;
    for refused in [
        json!({}),
        json!({"stream": "nonsense"}),
        json!({"stream": 1}),
        json!({"stream": "hashtag"}),
        json!({"stream": "hashtag", "tag": 0}),
        json!({"stream": "list"}),
        json!({"stream": "list", "list": foreign}),
        json!({"stream": "list", "list": 4711}),
        json!({"stream": "list", "list": "x"}),
    ] {
        ws.send_json(request("unsubscribe", refused)).await;
        expect_unsubscription_error(&mut ws).await;
    }
    for silent in [
        json!({"stream": "public"}),
        json!({"stream": "user:notification"}),
        json!({"stream": "hashtag", "tag": "a"}),
        json!({"stream": "list", "list": own}),
    ] {
        ws.send_json(request("unsubscribe", silent)).await;
    }
    // Not `silent_so_far`: without scopes its second message has another answer, which is fine with it.
    ws.silent_so_far().await;
}

#[tokio::test]
async fn a_list_that_was_deleted_or_given_away_can_still_be_left() {
    let scene = Scene::start().await;
    let list = scene.db.list(scene.alice.account_id).await;
    let parameters = json!({"stream": "list", "list": list});
    let mut ws = scene.ws("/").await;
    ws.send_json(request("subscribe", parameters.clone())).await;
    scene.wait_for_channels(&[&format!("timeline:list:{list}")]).await;
    scene.db.execute(format!("DELETE FROM lists WHERE id = {list}")).await;
    ws.send_json(request("unsubscribe", parameters.clone())).await;
    ws.silent_so_far().await;
    scene.wait_for_channels(&[]).await;
    // Now it is neither subscribed nor there.
    ws.send_json(request("unsubscribe", parameters)).await;
    expect_unsubscription_error(&mut ws).await;
}

#[tokio::test]
async fn an_unsubscription_that_fails_leaves_everything_as_it_is() {
    let scene = Scene::start().await;
    let mut ws = scene.ws("/?stream=hashtag&tag=a").await;
    scene.wait_for_channels(&["timeline:hashtag:a"]).await;
    ws.send_json(request("unsubscribe", json!({"stream": "hashtag"}))).await;
    expect_unsubscription_error(&mut ws).await;
    ws.silent_until(&scene.redis, "timeline:hashtag:a").await;
}
