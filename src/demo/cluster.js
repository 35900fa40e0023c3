// The nodes of the cluster: what they hold, and whether every event comes once, whatever becomes of them.

const REFRESH = 1000;

/** Node name -> {info, element, connection}. */
const nodes = new Map();
/** Channel -> {row, events, at, rate, owner}. */
const flows = new Map();
const checks = { received: 0, lost: 0, doubled: 0, pause: 0, ended: 0 };
let numbers = { event: "", lists: [] };
/** New owners of channels that moved since the last change was asked for. */
let moved = [];

const hostOf = (node) => `${location.hostname}:${node.info.port}`;
const running = () => [...nodes.values()].filter((node) => node.info.state === "runs");
const hueOf = (name) => (Number(name.replace(/\D/g, "")) * 137.5 + 50) % 360;

// ---- checking --------------------------------------------------------------------------------------------------

/** A connection to a node that takes numbers, and finds out which are missing or come again. */
function watchNode(node) {
  const scheme = location.protocol === "https:" ? "wss:" : "ws:";
  const socket = new WebSocket(`${scheme}//${hostOf(node)}/api/v1/streaming?access_token=${encodeURIComponent(token)}`);
  const connection = { socket, last: new Map() };
  node.connection = connection;
  socket.onopen = () => {
    for (const list of numbers.lists) socket.send(JSON.stringify({ type: "subscribe", stream: "list", list }));
  };
  socket.onmessage = (message) => {
    const frame = JSON.parse(message.data);
    if (frame.event === numbers.event) checkNumber(connection.last, frame.stream[1], JSON.parse(frame.payload).number);
  };
  socket.onclose = () => {
    if (connection.last.size) checks.ended += 1;
    node.connection = null;
    // What it took counts; a connection anew counts from its own first event.
    setTimeout(() => node.info.state === "runs" && !node.connection && watchNode(node), 1000);
  };
}

function checkNumber(last, list, number) {
  const now = performance.now();
  const before = last.get(list);
  checks.received += 1;
  if (before && number <= before.number) {
    checks.doubled += 1;
    return;
  }
  if (before) {
    checks.lost += number - before.number - 1;
    checks.pause = Math.max(checks.pause, now - before.at);
  }
  last.set(list, { number, at: now });
}

function showChecks() {
  const now = performance.now();
  const open = [...nodes.values()].filter((node) => node.connection?.socket.readyState === WebSocket.OPEN);
  // A pause that is not over yet.
  for (const node of open) for (const { at } of node.connection.last.values()) checks.pause = Math.max(checks.pause, now - at);
  const show = (name, text) => (document.querySelector(`[data-check="${name}"]`).textContent = text);
  for (const name of ["received", "lost", "doubled"]) show(name, checks[name].toLocaleString("en"));
  show("pause", checks.pause ? `${(checks.pause / 1000).toFixed(2)} s` : "–");
  show("connections", `${open.length} open${checks.ended ? `, ${checks.ended} ended` : ""}`);
  for (const name of ["lost", "doubled"]) {
    document.querySelector(`[data-check="${name}"]`).className = checks[name] ? "bad" : "good";
  }
}

// ---- nodes -----------------------------------------------------------------------------------------------------

const LIVES = { runs: "alive", leaves: "hands over", killed: "killed", left: "stopped" };

function nodeElement(name, port) {
  const element = make("li", { "data-node": name });
  element.style.setProperty("--hue", hueOf(name));
  const kill = make("button", { type: "button", className: "kill", title: "Ends it at once, as kill -9 does", "aria-label": `Kill ${name}` }, "Kill");
  const stop = make("button", { type: "button", className: "stop", title: "Hands over, then ends", "aria-label": `Stop ${name}` }, "Stop");
  kill.onclick = () => change("DELETE", `/${name}`, name, `${name} was killed.`);
  stop.onclick = () => change("POST", `/${name}/leave`, name, `${name} was stopped.`);
  element.append(
    make("p", { className: "name" },
      make("strong", {}, name),
      make("a", { href: `${location.protocol}//${location.hostname}:${port}/`, title: "This page, served by this node" }, `:${port}`),
      make("span", { className: "life" })),
    make("div", { className: "share", title: "Share of the ring, by 10,000 channels" },
      make("div", { className: "track" }, make("div", { className: "fill" })), make("span", { className: "percent" })),
    make("p", { className: "facts" }),
    make("p", { className: "ends" }, stop, kill));
  return element;
}

function showNode(node) {
  const { info, element } = node;
  const alive = info.state === "runs";
  const put = (selector, text) => (element.querySelector(selector).textContent = text);
  element.dataset.life = info.state;
  put(".life", LIVES[info.state] ?? info.state);
  put(".percent", `${(info.share * 100).toFixed(1)} %`);
  element.querySelector(".fill").style.inlineSize = `${(info.share * 100).toFixed(1)}%`;
  const clients = `${info.clients} client${info.clients === 1 ? "" : "s"}`;
  put(".facts", `${clients}, owns ${info.owned}, stands by for ${info.standby}`);
  // Of one that is gone, its name is left, and what became of it.
  for (const part of element.querySelectorAll("p:not(.name), .share")) part.hidden = !alive;
  if (!alive) element.querySelector("a").removeAttribute("href");
  for (const button of element.querySelectorAll("button")) {
    button.disabled = running().length < 2;
    if (button.disabled) button.title = "The last node stays: nobody could add another one";
  }
}

function showNodes(infos) {
  for (const [name, node] of nodes) {
    if (infos.some((info) => info.name === name)) continue;
    node.element.remove();
    nodes.delete(name);
  }
  for (const info of infos) {
    if (!nodes.has(info.name)) {
      const element = nodeElement(info.name, info.port);
      byId("nodes").append(element);
      nodes.set(info.name, { element, connection: null });
    }
    nodes.get(info.name).info = info;
  }
  for (const node of nodes.values()) {
    showNode(node);
    if (node.info.state === "runs" && !node.connection) watchNode(node);
  }
}

// ---- channels --------------------------------------------------------------------------------------------------

function showHolder(cell, name, role, subscribed) {
  const key = `${name} ${subscribed}`;
  if (cell.dataset.holder === key) return;
  cell.dataset.holder = key;
  if (!name) return cell.replaceChildren("–");
  const holder = make("span", { className: `holder ${role}${subscribed ? "" : " late"}` }, name.replace("node-", ""));
  holder.title = `${name}${subscribed ? "" : " is to subscribe, and has not yet"}`;
  holder.style.setProperty("--hue", hueOf(name));
  cell.replaceChildren(holder);
}

function flowOf(channel) {
  const short = channel.replace(/^timeline:/, "");
  const row = make("tr", { "data-channel": channel }, make("td", { title: channel }, make("code", {}, short)), make("td"), make("td"), make("td"));
  return { row, events: null, at: 0, rate: null, owner: null };
}

function showFlows(channels) {
  for (const [name, flow] of flows) {
    if (channels.some(({ channel }) => channel === name)) continue;
    flow.row.remove();
    flows.delete(name);
  }
  for (const [place, { channel, events, owner, standby, subscribed }] of channels.entries()) {
    if (!flows.has(channel)) flows.set(channel, flowOf(channel));
    const flow = flows.get(channel);
    const [, rate, ofOwner, ofStandby] = flow.row.cells;
    const now = performance.now();
    if (flow.events !== null && now > flow.at) {
      const lately = Math.max(0, (events - flow.events) / ((now - flow.at) / 1000));
      flow.rate = flow.rate === null ? lately : flow.rate * 0.7 + lately * 0.3;
      rate.textContent = flow.rate.toFixed(1);
    }
    if (flow.owner && flow.owner !== owner) {
      moved.push(owner);
      flash(flow.row, "moved");
    }
    Object.assign(flow, { events, at: now, owner });
    showHolder(ofOwner, owner, "owner", subscribed.includes(owner));
    showHolder(ofStandby, standby, "standby", subscribed.includes(standby));
    if (byId("flows").rows[place] !== flow.row) byId("flows").insertBefore(flow.row, byId("flows").rows[place] ?? null);
  }
}

// ---- the rest --------------------------------------------------------------------------------------------------

let refreshed = Promise.resolve();
/** Shows how things are; one time after the other, so that nothing goes back to what was. */
function refresh() {
  refreshed = refreshed.then(ask);
  return refreshed;
}

/** Asks the node that this page talks to, or else another one. */
async function ask() {
  const others = running().map(hostOf).filter((host) => host !== serverHost);
  for (const host of [serverHost, ...others]) {
    try {
      const answer = await fetch(`${location.protocol}//${host}/demo/nodes`, { signal: AbortSignal.timeout(3000) });
      const view = await answer.json();
      numbers = view.numbers;
      showNodes(view.nodes);
      showFlows(view.channels);
      byId("add-node").disabled = running().length >= view.most;
      if (host !== serverHost) moveTo(host);
      return;
    } catch {
      // It is gone, most likely; the next one will know.
    }
  }
}

/** The node of this page is gone: another one serves what it shows. */
function moveTo(host) {
  serverHost = host;
  showCommands();
  showMessage(`The node at ${location.host}, from which this page came, is gone. The page goes on with the one at ${host}.`);
  attempts = 0;
  if (socket.readyState !== WebSocket.OPEN) connect();
}

function tell(news) {
  const counts = new Map();
  for (const owner of moved) counts.set(owner, (counts.get(owner) ?? 0) + 1);
  const parts = [...counts].map(([owner, count]) => `${count} ${count === 1 ? "channel" : "channels"} to ${owner}`);
  byId("cluster-news").textContent = parts.length ? `${news} Moved: ${parts.join(", ")}.` : news;
}

/** Changes the nodes; asks one that is not concerned, for the other could not answer any more. */
async function change(method, path, concerned, done) {
  const asked = running().find((node) => node.info.name !== concerned);
  if (!asked) return;
  for (const button of document.querySelectorAll("#cluster button")) button.disabled = true;
  moved = [];
  try {
    const answer = await fetch(`${location.protocol}//${hostOf(asked)}/demo/nodes${path}`, { method });
    const { name, error } = await answer.json();
    await refresh();
    if (error) showMessage(`This was refused: ${error}.`);
    else tell(done ?? `${name} was added.`);
  } catch {
    showMessage("The node that was asked is gone. Try again.");
    await refresh();
  }
}

byId("add-node").onclick = () => change("POST", "", null, null);
document.addEventListener("visibilitychange", () => {
  // A page that is not shown may have been asleep.
  for (const node of nodes.values()) for (const last of node.connection?.last.values() ?? []) last.at = performance.now();
});
(async () => {
  for (;;) {
    await refresh();
    await new Promise((resolve) => setTimeout(resolve, REFRESH));
  }
})();
setInterval(showChecks, 250);
