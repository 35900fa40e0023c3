// The connection, and everything that moves.

const byId = (id) => document.getElementById(id);
const KEPT_POSTS = 100;
const KEPT_NOTIFICATIONS = 30;
const SECONDS_SHOWN = 60;
const token = document.querySelector('meta[name="flodgatt-token"]').content;

// ---- posts -----------------------------------------------------------------------------------------------------

/** Status id -> {status, streams, element, gone}. An element is missing while the post waits to be shown. */
const posts = new Map();
/** Ids of posts to be shown, oldest first. */
let waiting = [];
const pause = { button: false, hover: false };
const isPaused = () => pause.button || pause.hover;
let unannounced = 0;
/** When the last posts came. */
let arrivals = [];
/** At more posts in a second than this, a tint for what is new would colour everything. */
const CALM = 5;
const isCalm = () => arrivals.length <= CALM || performance.now() - arrivals[0] > 1000;

function streamName(stream) {
  return stream[0].startsWith("hashtag") ? `#${stream[1]}` : stream[0];
}

function onUpdate(status, stream) {
  if (typeof status.id !== "string") return;
  const known = posts.get(status.id);
  if (known) {
    // The same status on another stream.
    if (!known.streams.has(stream)) {
      known.streams.add(stream);
      known.element?.querySelector(".sources").append(make("li", {}, stream));
    }
    return;
  }
  posts.set(status.id, { status, streams: new Set([stream]), element: null, gone: false });
  waiting.push(status.id);
  for (const id of waiting.splice(0, Math.max(0, waiting.length - KEPT_POSTS))) posts.delete(id);
  unannounced += 1;
  arrivals = [...arrivals.slice(-CALM), performance.now()];
  scheduleShow();
}

function onEdit(status) {
  // A boost shows the boosted status, so one edit may concern several posts.
  for (const post of posts.values()) {
    const shown = post.status.reblog ?? post.status;
    // The same edit comes once per stream.
    if (shown.id !== status.id || shown.edited_at === status.edited_at || post.gone) continue;
    if (post.status.reblog) post.status.reblog = status;
    else post.status = status;
    if (post.element) {
      fillPost(post);
      flash(post.element, "changed");
    }
  }
}

function onDelete(id) {
  for (const [own, post] of posts) {
    if (own !== id && post.status.reblog?.id !== id) continue;
    if (!post.element) {
      posts.delete(own);
      waiting = waiting.filter((other) => other !== own);
    } else if (!post.gone) {
      post.gone = true;
      post.element.classList.add("gone");
      post.element.querySelector(".when").prepend(make("span", { className: "flag deleted" }, "deleted"));
      setTimeout(() => removeGone(own), 2200);
    }
  }
  showWaitingCount();
}

/** Takes a deleted post away, unless somebody is reading: then it goes when the list moves on. */
function removeGone(id) {
  const post = posts.get(id);
  if (!post?.gone || isPaused()) return;
  post.element.classList.add("leaving");
  setTimeout(() => {
    post.element.remove();
    posts.delete(id);
  }, 350);
}

function fillPost(post) {
  post.element.replaceChildren(postElement(post.status, post.streams, followTag));
}

let showScheduled = false;
/** Shows new posts a few times a second at most, however fast they come. */
function scheduleShow() {
  if (showScheduled) return;
  showScheduled = true;
  setTimeout(() => {
    showScheduled = false;
    if (isPaused()) showWaitingCount();
    else showWaiting();
  }, 120);
}

function showWaiting() {
  const list = byId("posts");
  const className = isCalm() ? "fresh" : "";
  for (const id of waiting) {
    const post = posts.get(id);
    post.element = make("li", { className, "data-id": id });
    fillPost(post);
    list.prepend(post.element);
  }
  waiting = [];
  while (list.childElementCount > KEPT_POSTS) {
    posts.delete(list.lastElementChild.dataset.id);
    list.lastElementChild.remove();
  }
  byId("posts-empty").hidden = list.childElementCount > 0;
  showWaitingCount();
}

function showWaitingCount() {
  const button = byId("waiting");
  button.hidden = !(isPaused() && waiting.length);
  button.textContent = `${waiting.length}${waiting.length === KEPT_POSTS ? " or more" : ""} new post${waiting.length === 1 ? "" : "s"}`;
}

function flash(element, name) {
  element.classList.remove(name, "fresh");
  void element.offsetWidth; // restarts the animation
  element.classList.add(name);
}

function setPause(change) {
  Object.assign(pause, change);
  document.body.dataset.paused = String(isPaused());
  byId("pause").setAttribute("aria-pressed", String(pause.button));
  byId("pause").textContent = pause.button ? "Resume" : "Pause";
  if (isPaused()) return showWaitingCount();
  showWaiting();
  for (const [id, post] of posts) if (post.gone) removeGone(id);
}

// ---- notifications, counts, rate -------------------------------------------------------------------------------

function onNotification(notification) {
  const list = byId("notifications");
  list.prepend(notificationElement(notification));
  while (list.childElementCount > KEPT_NOTIFICATIONS) list.lastElementChild.remove();
}

const totals = { update: 0, "status.update": 0, delete: 0, notification: 0, other: 0 };
/** Events in each of the last seconds; the last entry is the running one. */
const perSecond = new Array(SECONDS_SHOWN + 1).fill(0);

function count(event) {
  const kind = event in totals ? event : "other";
  totals[kind] += 1;
  perSecond[SECONDS_SHOWN] += 1;
}

function showCounts() {
  for (const cell of document.querySelectorAll("[data-event]")) cell.textContent = totals[cell.dataset.event].toLocaleString("en");
  byId("other-total").hidden = totals.other === 0;
}

let secondsOpen = 0;

function everySecond() {
  perSecond.shift();
  perSecond.push(0);
  secondsOpen += 1;
  // The mean of the last five seconds, as far as there are so many.
  const last = perSecond.slice(-1 - Math.min(5, secondsOpen), -1);
  const lately = last.reduce((sum, value) => sum + value, 0) / last.length;
  byId("rate").textContent = lately.toFixed(lately < 100 ? 1 : 0);
  const done = perSecond.slice(0, -1);
  const top = Math.max(4, ...done);
  const points = done.map((value, index) => `${((120 * index) / (SECONDS_SHOWN - 1)).toFixed(1)} ${(26 - (24 * value) / top).toFixed(1)}`);
  document.querySelector("#sparkline .stroke").setAttribute("d", `M${points.join("L")}`);
  document.querySelector("#sparkline .area").setAttribute("d", `M0 28L${points.join("L")}L120 28Z`);
  refreshTimes(document);
}

/** Tells screen readers how things go, seldom enough to be bearable. */
function announce() {
  if (!unannounced || isPaused()) return;
  byId("announcer").textContent = `${unannounced} new post${unannounced === 1 ? "" : "s"} in the last 20 seconds`;
  unannounced = 0;
}

// ---- connection ------------------------------------------------------------------------------------------------

let socket = null;
/** Where the server is; the page of a cluster changes it when that node is gone. */
let serverHost = location.host;
let attempts = 0;
let retryAt = 0;
let retryTimer = 0;
/** The tag that the server was asked for, to take leave of it when another is wanted. */
let followed = null;

function setState(state, text) {
  document.body.dataset.state = state;
  byId("state-wait").textContent = "";
  if (byId("state-text").textContent !== text) byId("state-text").textContent = text; // said aloud on change only
}

function streamingAddress(scheme) {
  return `${scheme}//${serverHost}/api/v1/streaming`;
}

function connect() {
  clearTimeout(retryTimer);
  setState(attempts ? "reconnecting" : "connecting", attempts ? "Reconnecting" : "Connecting");
  const opening = new WebSocket(`${streamingAddress(location.protocol === "https:" ? "wss:" : "ws:")}?access_token=${encodeURIComponent(token)}`);
  socket = opening;
  opening.onopen = () => {
    setState("live", "Live");
    followed = null;
    for (const input of document.querySelectorAll("[data-stream]")) if (input.checked) subscribe(input);
  };
  opening.onmessage = (message) => onFrame(message.data);
  opening.onclose = () => socket === opening && retryLater();
}

/** Waits longer after each failure, up to 15 s, and never as long as the others do. */
function retryLater() {
  const wait = Math.min(15000, 500 * 2 ** attempts) * (0.7 + 0.6 * Math.random());
  attempts += 1;
  retryAt = Date.now() + wait;
  retryTimer = setTimeout(connect, wait);
  showRetry();
}

function showRetry() {
  if (socket.readyState !== WebSocket.CLOSED) return;
  setState("reconnecting", "Reconnecting");
  byId("state-wait").textContent = `in ${Math.max(1, Math.ceil((retryAt - Date.now()) / 1000))} s`;
}

function send(type, stream, tag) {
  if (socket?.readyState !== WebSocket.OPEN) return;
  socket.send(JSON.stringify(tag === undefined ? { type, stream } : { type, stream, tag }));
}

function subscribe(input) {
  if (input.dataset.stream !== "hashtag") return send("subscribe", input.dataset.stream);
  followed = wantedTag();
  if (followed) send("subscribe", "hashtag", followed);
}

function onSwitch(input) {
  if (input.checked) return subscribe(input);
  if (input.dataset.stream !== "hashtag") return send("unsubscribe", input.dataset.stream);
  if (followed) send("unsubscribe", "hashtag", followed);
  followed = null;
}

const wantedTag = () => byId("tag").value.trim().replace(/^#+/, "");

function onTagChange() {
  const input = document.querySelector('[data-stream="hashtag"]');
  if (!input.checked || wantedTag() === followed) return;
  if (followed) send("unsubscribe", "hashtag", followed);
  subscribe(input);
}

function followTag(name) {
  byId("tag").value = name;
  const input = document.querySelector('[data-stream="hashtag"]');
  if (input.checked) return onTagChange();
  input.checked = true;
  subscribe(input);
}

const handlers = {
  update: onUpdate,
  "status.update": onEdit,
  delete: onDelete,
  notification: onNotification,
};

function onFrame(text) {
  let frame;
  let payload;
  try {
    frame = JSON.parse(text);
    if (frame.error) return showMessage(`The server refused: ${frame.error}`);
    payload = frame.event === "delete" || typeof frame.payload !== "string" ? frame.payload : JSON.parse(frame.payload);
  } catch {
    return showMessage("The server sent something that this page cannot read.");
  }
  attempts = 0; // only events prove that the connection works
  count(frame.event);
  showCounts();
  if (Object.hasOwn(handlers, frame.event) && payload) handlers[frame.event](payload, streamName(frame.stream ?? ["?"]));
}

let messageTimer = 0;
function showMessage(text) {
  const message = byId("message");
  message.textContent = text;
  message.hidden = false;
  clearTimeout(messageTimer);
  messageTimer = setTimeout(() => (message.hidden = true), 8000);
}

// ---- the rest --------------------------------------------------------------------------------------------------

function showCommands() {
  const http = streamingAddress(location.protocol);
  const ws = streamingAddress(location.protocol === "https:" ? "wss:" : "ws:");
  const bearer = `-H 'Authorization: Bearer ${token}'`;
  const query = `access_token=${encodeURIComponent(token)}`;
  const commands = [
    ["Public, as server-sent events", `curl -N ${bearer} '${http}/public'`],
    ["Home and notifications, WebSocket", `websocat '${ws}?${query}&stream=user'`],
    ["One hashtag", `curl -N ${bearer} '${http}/hashtag?tag=coffee'`],
    ["Subscribe by message", `echo '{"type":"subscribe","stream":"public:local"}' | websocat -n '${ws}?${query}'`],
  ];
  byId("commands").replaceChildren(...commands.map(([title, command]) => commandElement(title, command)));
}

function commandElement(title, command) {
  // Lines break between words only; one that is too long is scrolled.
  const words = command.split(" ").flatMap((word) => [" ", make("span", {}, word)]).slice(1);
  const code = make("code", { tabIndex: 0 }, ...words);
  const copy = make("button", { type: "button", "aria-label": `Copy: ${title}` }, "Copy");
  copy.onclick = async () => {
    try {
      await navigator.clipboard.writeText(command);
      copy.textContent = "Copied";
    } catch {
      getSelection().selectAllChildren(code); // no clipboard without HTTPS: the user can press the keys
      copy.textContent = "Selected";
    }
    setTimeout(() => (copy.textContent = "Copy"), 1500);
  };
  return make("li", {}, make("p", {}, title, copy), make("pre", {}, code));
}

function toggleTheme() {
  const root = document.documentElement;
  const dark = (root.dataset.theme ?? (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light")) === "dark";
  root.dataset.theme = dark ? "light" : "dark";
}

function start() {
  for (const input of document.querySelectorAll("[data-stream]")) input.onchange = () => onSwitch(input);
  byId("tag").onchange = onTagChange;
  byId("pause").onclick = () => setPause({ button: !pause.button, hover: false });
  byId("waiting").onclick = () => setPause({ button: false, hover: false });
  byId("theme").onclick = toggleTheme;
  byId("turn-on-user").onclick = () => {
    const input = document.querySelector('[data-stream="user"]');
    if (!input.checked) input.click();
  };
  const hover = (over) => (event) => event.pointerType === "mouse" && byId("hover-pause").checked && setPause({ hover: over });
  byId("posts").onpointerenter = hover(true);
  byId("posts").onpointerleave = hover(false);
  byId("hover-pause").onchange = () => setPause({ hover: false });
  // A phone shows the timeline first; the panels open on demand.
  if (matchMedia("(max-width: 47.99rem)").matches) for (const panel of document.querySelectorAll("details.panel")) panel.open = false;
  addEventListener("online", () => socket?.readyState === WebSocket.CLOSED && connect());
  setInterval(everySecond, 1000);
  setInterval(showRetry, 500);
  setInterval(announce, 20000);
  showCommands();
  connect();
}

start();
