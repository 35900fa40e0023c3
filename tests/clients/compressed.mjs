// Watches `user` over WebSockets that offer compression in several ways, with ws, on which masto.js is built, and prints what
// it is told, a line of JSON each. Requests are compressed too.
//
// node compressed.mjs <ws://address> <token>
import WebSocket from "ws";

const [address, token] = process.argv.slice(2);
const say = (...words) => console.log(JSON.stringify(words));

const offers = {
  plain: false,
  default: true,
  "small windows": { serverMaxWindowBits: 12, clientMaxWindowBits: 9 },
  "no takeover": { serverNoContextTakeover: true, clientNoContextTakeover: true },
  "too small a window": { serverMaxWindowBits: 9 },
};

for (const [name, offer] of Object.entries(offers)) {
  const perMessageDeflate = offer && { threshold: 0, ...offer };
  const socket = new WebSocket(address, token, { perMessageDeflate });
  socket.on("open", () => {
    say(name, "extensions", socket.extensions);
    // Twice, as the second one could refer to the first if that had not been ruled out.
    for (let turn = 0; turn < 2; turn += 1) socket.send(JSON.stringify({ type: "subscribe", stream: "user" }));
    socket.send(JSON.stringify({ type: "subscribe", stream: "no such stream" }));
  });
  socket.on("message", (message) => {
    const { event, payload, error } = JSON.parse(message);
    if (error) say(name, "error", error);
    else say(name, event, event === "delete" ? payload : JSON.parse(payload).content);
  });
  socket.on("error", (error) => say(name, "failed", String(error)));
  socket.on("close", (code) => say(name, "closed", code));
}
