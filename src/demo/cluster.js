// The nodes of the cluster: what they hold, and whether every event comes once, whatever becomes of them.

const REFRESH = 1000;
/** How long a connection that has numbers of all channels settles before its pauses count. */
const SETTLING = 1000;
/** How many of the nodes that are gone are told of. */
const GONE = 3;

/** Node name -> {info, element, connection}. */
const nodes = new Map();
/** Channel -> {row, events, at, rate, owner}. */
const flows = new Map();
const checks = { received: 0, lost: 0, doubled: 0, pause: 0, ended: 0 };
/** What was changed last, and the longest pause since. */
let since = null;
let numbers = { event: "", lists: [], beat_milliseconds: 0 };
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
  const connection = { socket, last: new Map(), settled: Infinity };
  node.connection = connection;
  socket.onopen = () => {
    for (const list of numbers.lists) socket.send(JSON.stringify({ type: "subscribe", stream: "list", list }));
  };
  socket.onmessage = (message) => {
    const frame = JSON.parse(message.data);
    if (frame.event === numbers.event) checkNumber(connection, frame.stream[1], JSON.parse(frame.payload).number);
  };
  socket.onclose = () => {
    if (connection.last.size) checks.ended += 1;
    node.connection = null;
    // What it took counts; a connection anew counts from its own first event.
    setTimeout(() => node.info.state === "runs" && !node.connection && watchNode(node), 1000);
  };
}

function checkNumber(connection, list, number) {
  const now = performance.now();
  const { last } = connection;
  const before = last.get(list);
  checks.received += 1;
  if (before && number <= before.number) {
    checks.doubled += 1;
    return;
  }
  if (before) {
    checks.lost += number - before.number - 1;
    checkPause(connection, before.at, now);
  }
  last.set(list, { number, at: now });
  if (last.size === numbers.lists.length) connection.settled = Math.min(connection.settled, now + SETTLING);
}

/** How much later a number comes than it was due. */
function checkPause({ settled }, before, now) {
  if (before < settled) return;
  const pause = now - before - numbers.beat_milliseconds;
  checks.pause = Math.max(checks.pause, pause);
  if (since) since.pause = Math.max(since.pause, pause);
}

const seconds = (milliseconds) => `${(Math.max(0, milliseconds) / 1000).toFixed(2)} s`;

function showChecks() {
  const now = performance.now();
  const open = [...nodes.values()].filter((node) => node.connection?.socket.readyState === WebSocket.OPEN);
  // A pause that is not over yet.
  for (const { connection } of open) for (const { at } of connection.last.values()) checkPause(connection, at, now);
  const show = (name, text) => (document.querySelector(`[data-check="${name}"]`).textContent = text);
  for (const name of ["received", "lost", "doubled"]) show(name, checks[name].toLocaleString("en"));
  const counts = open.some(({ connection }) => connection.settled < now);
  if (counts) show("pause", seconds(checks.pause));
  if (counts && since) show("pause-since", seconds(since.pause));
  show("connections", `${open.length} open${checks.ended ? `, ${checks.ended} ended` : ""}`);
  for (const name of ["lost", "doubled"]) {
    document.querySelector(`[data-check="${name}"]`).className = checks[name] ? "bad" : "good";
  }
}

// ---- nodes -----------------------------------------------------------------------------------------------------

const LIVES = { runs: "alive", leaves: "hands over", killed: "killed", left: "stopped" };
const LAST = "The last node stays: nobody could add another one";

function nodeElement(name, port) {
  const element = make("li", { "data-node": name });
  element.style.setProperty("--hue", hueOf(name));
  const kill = make("button", { type: "button", className: "kill", "aria-label": `Kill ${name}` }, "Kill");
  const stop = make("button", { type: "button", className: "stop", "aria-label": `Stop ${name}` }, "Stop");
  kill.onclick = () => change("DELETE", `/${name}`, name, "killed");
  stop.onclick = () => change("POST", `/${name}/leave`, name, "stopped");
  element.append(
    make("p", { className: "name" },
      make("strong", {}, name),
      make("a", { href: `${location.protocol}//${location.hostname}:${port}/`, title: "This page, served by this node" }, `:${port}`),
      make("span", { className: "life" })),
    make("div", { className: "track" }, make("div", { className: "fill" })),
    make("p", { className: "facts" },
      make("span", { className: "percent", title: "The share of all channels that it is to own, by a sample of 10,000" }),
      make("span", { className: "clients" }),
      make("span", { className: "held", title: "Of the channels that somebody watches now; they are listed under “Who holds which channel”" })),
    make("p", { className: "ends" }, stop, kill));
  return element;
}

function showNode(node) {
  const { info, element } = node;
  const alive = info.state === "runs";
  const put = (selector, text) => (element.querySelector(selector).textContent = text);
  element.dataset.life = info.state;
  put(".life", LIVES[info.state] ?? info.state);
  const clients = `${info.clients} client${info.clients === 1 ? "" : "s"}`;
  const channels = `${info.owned} channel${info.owned === 1 ? "" : "s"}`;
  put(".percent", alive ? `${(info.share * 100).toFixed(1)}\u00a0% of the ring` : "its channels go to the others");
  put(".clients", alive ? clients : "");
  put(".held", alive ? `owns ${channels}, stands by for ${info.standby}` : "");
  element.querySelector(".fill").style.inlineSize = `${(info.share * 100).toFixed(1)}%`;
  if (!alive) element.querySelector("a").removeAttribute("href");
  const last = running().length < 2;
  for (const [button, title] of [[".kill", "Ends it at once, as kill -9 does"], [".stop", "Hands over, then ends"]]) {
    const shown = element.querySelector(button);
    shown.disabled = last || !alive;
    shown.title = last ? LAST : title;
  }
}

/** Of those that are gone, what became of the last few. */
function showGone() {
  const gone = [...nodes.values()].map((node) => node.info).filter((info) => info.ended_seconds_ago !== null);
  // The one that was started last of those that ended in the same second.
  const lately = gone.reverse().sort((a, b) => a.ended_seconds_ago - b.ended_seconds_ago).slice(0, GONE);
  byId("gone").replaceChildren(...lately.map(({ name, state, ended_seconds_ago: ago }) =>
    make("li", { "data-node": name, "data-life": state }, `${name}: ${LIVES[state]} ${ago < 120 ? `${ago} s` : `${Math.floor(ago / 60)} min`} ago`)));
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
      nodes.set(info.name, { element, connection: null });
    }
    nodes.get(info.name).info = info;
  }
  for (const node of nodes.values()) {
    if (node.info.ended_seconds_ago !== null) node.element.remove();
    else if (!node.element.isConnected) byId("nodes").append(node.element);
    showNode(node);
    if (node.info.state === "runs" && !node.connection) watchNode(node);
  }
  showGone();
  byId("last-node").hidden = running().length > 1;
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
  const of = make("td", { title: channel }, make("code", {}, short));
  if (numbers.lists.some((list) => short === `list:${list}`)) of.append(make("small", {}, "numbers"));
  const row = make("tr", { "data-channel": channel }, of, make("td"), make("td"), make("td"));
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
      byId("add-node").title = byId("add-node").disabled ? `${view.most} nodes are enough for one process` : "";
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

/** Measures the longest pause from now on, for what is done now. */
function showSince(name, deed) {
  const shown = document.querySelector('[data-testid="since"]');
  shown.hidden = !since;
  shown.querySelector("dt").textContent = `longest pause since you ${deed} ${name}`;
}

/** Changes the nodes; asks one that is not concerned, for the other could not answer any more. */
async function change(method, path, concerned, deed) {
  const asked = running().find((node) => node.info.name !== concerned);
  if (!asked) return;
  for (const button of document.querySelectorAll("#cluster button")) button.disabled = true;
  moved = [];
  const before = since;
  since = { pause: 0 };
  try {
    const answer = await fetch(`${location.protocol}//${hostOf(asked)}/demo/nodes${path}`, { method });
    const { name, error } = await answer.json();
    if (error) since = before;
    else showSince(name, deed);
    await refresh();
    if (error) showMessage(`This was refused: ${error}.`);
    else tell(`${name} was ${deed}.`);
  } catch {
    showMessage("The node that was asked is gone. Try again.");
    await refresh();
  }
}

byId("add-node").onclick = () => change("POST", "", null, "added");
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
