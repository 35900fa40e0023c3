// How a status and a notification look.

const relative = new Intl.RelativeTimeFormat("en", { numeric: "auto", style: "short" });

function ago(date) {
  const seconds = Math.max(0, (Date.now() - date.getTime()) / 1000);
  if (seconds < 5) return "now";
  if (seconds < 60) return `${Math.floor(seconds)} s`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min`;
  if (seconds < 86400) return `${Math.floor(seconds / 3600)} h`;
  return relative.format(-Math.floor(seconds / 86400), "day");
}

function timeElement(text) {
  const date = new Date(text);
  if (Number.isNaN(date.getTime())) return null;
  return make("time", { dateTime: text, title: date.toLocaleString() }, ago(date));
}

/** Brings every relative time below `root` up to date. */
function refreshTimes(root) {
  for (const time of root.querySelectorAll("time")) {
    const text = ago(new Date(time.dateTime));
    if (time.textContent !== text) time.textContent = text;
  }
}

const nameOf = (account) => account?.display_name || account?.username || "Somebody";

function avatarElement(account) {
  const name = nameOf(account);
  if (String(account?.avatar ?? "").startsWith("data:image/")) {
    return make("img", { className: "avatar", src: account.avatar, alt: "", width: 44, height: 44 });
  }
  const initials = [...name.matchAll(/(?:^|\s)(\p{L})/gu)].map((match) => match[1]).slice(0, 2).join("") || name.slice(0, 1);
  let hue = 0;
  for (const character of String(account?.acct ?? name)) hue = (hue * 31 + character.codePointAt(0)) % 360;
  const circle = make("span", { className: "avatar initials", "aria-hidden": "true" }, initials);
  circle.style.setProperty("--hue", hue);
  return circle;
}

function mediaElement(attachments) {
  if (!Array.isArray(attachments) || !attachments.length) return null;
  const figures = attachments.slice(0, 4).map((media) => {
    const canvas = make("canvas", { "aria-hidden": "true" });
    if (!paintBlurhash(canvas, media?.blurhash)) canvas.className = "plain";
    const words = media?.description || "No description";
    return make("figure", {}, canvas, make("figcaption", {}, make("span", { className: "kind" }, media?.type ?? "media"), words));
  });
  return make("div", { className: "media" }, ...figures);
}

function pollElement(poll) {
  if (!Array.isArray(poll?.options)) return null;
  const total = poll.options.reduce((sum, option) => sum + (Number(option?.votes_count) || 0), 0);
  const rows = poll.options.map((option) => {
    const percent = total ? Math.round((100 * (Number(option?.votes_count) || 0)) / total) : 0;
    const fill = make("span", { className: "fill", "aria-hidden": "true" });
    fill.style.inlineSize = `${percent}%`;
    return make("li", {}, fill, make("span", {}, String(option?.title ?? "")), make("strong", {}, `${percent} %`));
  });
  return make("div", { className: "poll" }, make("ul", {}, ...rows), make("p", {}, `${total} vote${total === 1 ? "" : "s"}${poll.expired ? ", closed" : ""}`));
}

function cardElement(card) {
  const href = webAddress(card?.url);
  if (!href) return null;
  const link = { className: "card", href, target: "_blank", rel: "nofollow noopener noreferrer" };
  const small = make("small", {}, card.provider_name || new URL(href).host);
  return make("a", link, small, make("strong", {}, card.title || href), make("span", {}, card.description || ""));
}

function tagsElement(tags, onTag) {
  if (!Array.isArray(tags) || !tags.length) return null;
  const buttons = tags.slice(0, 8).map((tag) => {
    const name = String(tag?.name ?? "");
    return make("li", {}, make("button", { type: "button", title: `Follow #${name}`, onclick: () => onTag(name) }, `#${name}`));
  });
  return make("ul", { className: "tags", "aria-label": "Hashtags" }, ...buttons);
}

/** The inside of a post, everything below the author's line. */
function bodyElements(status, onTag) {
  const content = make("div", { className: "content", lang: status.language || "" }, sanitised(status.content, onTag));
  dropTagLine(content, status.tags);
  const parts = [content, pollElement(status.poll), mediaElement(status.media_attachments), cardElement(status.card)].filter(Boolean);
  if (!status.spoiler_text) return parts;
  const summary = make("summary", {}, make("span", { className: "cw" }, "Content warning"), make("span", { lang: status.language || "" }, status.spoiler_text));
  return [make("details", { className: "warned" }, summary, ...parts)];
}

/** Removes a last paragraph that holds nothing but hashtags: they are listed below the post anyway. */
function dropTagLine(content, tags) {
  const listed = new Set((Array.isArray(tags) ? tags : []).map((tag) => String(tag?.name).toLowerCase()));
  const isListedTag = (node) =>
    node.nodeType === Node.TEXT_NODE ? !node.data.trim() : node.className === "inline-tag" && listed.has(node.textContent.slice(1).toLowerCase());
  const last = content.lastElementChild;
  if (last?.localName === "p" && content.childElementCount > 1 && last.hasChildNodes() && [...last.childNodes].every(isListedTag)) last.remove();
}

function flagsElement(status) {
  const flags = [];
  if (status.visibility && status.visibility !== "public") flags.push(status.visibility);
  if (status.in_reply_to_id) flags.push("reply");
  if (status.account?.bot) flags.push("bot");
  if (status.edited_at) flags.push("edited");
  return flags.map((flag) => make("span", { className: `flag ${flag}` }, flag));
}

/** The whole article for a status; a boost shows what was boosted. `streams`: where it came from. */
function postElement(status, streams, onTag) {
  const shown = status.reblog ?? status;
  const account = shown.account ?? {};
  const boosted = status.reblog ? make("p", { className: "boost" }, make("strong", {}, nameOf(status.account)), " boosted") : null;
  const byline = make("header", {},
    make("span", { className: "who" }, make("strong", {}, nameOf(account)), make("span", { className: "acct" }, `@${account.acct ?? "?"}`)),
    make("span", { className: "when" }, ...flagsElement(shown), timeElement(shown.created_at)));
  const sources = make("ul", { className: "sources", "aria-label": "Received on" }, ...[...streams].map((name) => make("li", {}, name)));
  const language = shown.language ? make("span", { className: "language", title: "Language" }, shown.language) : null;
  const footer = make("footer", {}, tagsElement(shown.tags, onTag), make("span", { className: "origin" }, language, sources));
  return make("article", {}, boosted, avatarElement(account), make("div", { className: "main" }, byline, ...bodyElements(shown, onTag), footer));
}

const DEEDS = {
  mention: "mentioned you", favourite: "liked your post", reblog: "boosted your post", follow: "followed you",
  poll: "ran a poll that has ended", status: "posted", update: "edited a post", follow_request: "asks to follow you",
};

function notificationElement(notification) {
  const html = notification.status?.content;
  const excerpt = html ? sanitised(html, () => {}).textContent.trim().slice(0, 140) : "";
  const line = make("p", {}, make("strong", {}, nameOf(notification.account)), ` ${DEEDS[notification.type] ?? notification.type ?? ""} `, timeElement(notification.created_at));
  const words = excerpt ? make("p", { className: "excerpt", lang: notification.status.language || "" }, excerpt) : null;
  return make("li", { "data-type": notification.type ?? "" }, avatarElement(notification.account), make("div", {}, line, words));
}
