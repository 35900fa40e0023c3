// Watches the streams of a server with masto.js, as Elk and Phanpy do, and prints what it is told, a line of JSON each.
// The token goes as the WebSocket's subprotocol.
//
// node masto.mjs <ws://address> <token> <hashtag> <list>
import { createStreamingAPIClient } from "masto";

const [streamingApiUrl, accessToken, tag, list] = process.argv.slice(2);
const say = (...words) => console.log(JSON.stringify(words));
const client = createStreamingAPIClient({ streamingApiUrl, accessToken });

const streams = {
  user: client.user.subscribe(),
  public: client.public.subscribe(),
  "public media": client.public.remote.media.subscribe(),
  hashtag: client.hashtag.subscribe({ tag }),
  list: client.list.subscribe({ list }),
  direct: client.direct.subscribe(),
};

async function watch(name, subscription) {
  for await (const { event, payload } of subscription) {
    if (event === "notification") say(name, event, payload.type);
    else if (event === "status.update") say(name, event, payload.content);
    else say(name, event, payload?.id ?? payload ?? null);
  }
}

for (const [name, subscription] of Object.entries(streams)) watch(name, subscription);
