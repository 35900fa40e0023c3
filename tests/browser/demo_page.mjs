// Looks at the page of the demo in a headless Chromium: it must move, fit any width, and ask nothing of anybody else.
//
// node demo_page.mjs <address of a page with ten posts a second> <of one with hardly any> <chromium> <folder for screenshots>
import assert from "node:assert/strict";
import { chromium } from "playwright-core";

const [busy, quiet, executablePath, shots] = process.argv.slice(2);
const args = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update", "--disable-sync"];
const browser = await chromium.launch({ executablePath, args });
let failures = 0;

/** Opens the page; collects what must not happen: errors, and requests elsewhere. */
async function open({ url = busy, ...options } = {}) {
  const context = await browser.newContext({ viewport: { width: 1440, height: 900 }, ...options });
  const page = await context.newPage();
  page.bad = [];
  page.on("console", (message) => message.type() === "error" && page.bad.push(message.text()));
  page.on("pageerror", (error) => page.bad.push(String(error)));
  page.on("request", (request) => {
    const target = request.url();
    if (!target.startsWith("data:") && new URL(target).origin !== new URL(url).origin) page.bad.push(`request to ${target}`);
  });
  await page.goto(url);
  await page.waitForSelector('body[data-state="live"]');
  return page;
}

async function check(name, options, run) {
  const page = await open(options);
  try {
    await run(page);
    assert.deepEqual(page.bad, []);
    console.log("ok", name);
  } catch (error) {
    failures += 1;
    console.log("FAILED", name, error.stack ?? error);
  }
  await page.context().close();
}

const ofPosts = '[data-testid="posts"] > li';
const posts = (page, count) =>
  page.waitForFunction(([selector, least]) => document.querySelectorAll(selector).length >= least, [ofPosts, count]);

await check("posts come, newest first, and are counted", { colorScheme: "light" }, async (page) => {
  await posts(page, 5);
  const newest = (selector) => document.querySelector(selector).dataset.id;
  const first = await page.evaluate(newest, ofPosts);
  await page.waitForFunction(([selector, id]) => document.querySelector(selector).dataset.id !== id, [ofPosts, first]);
  // Ten times a second something happens; a page that has just been opened says so too.
  await page.waitForFunction(() => Number(document.querySelector('[data-testid="event-rate"]').textContent) > 4);
  const total = await page.locator('[data-event="update"]').textContent();
  assert.ok(Number(total.replace(/,/g, "")) >= 5, total);
  const post = await page.locator(ofPosts).first().textContent();
  assert.ok(post.trim().length > 20, `a post without author or text: ${post}`);
  await posts(page, 12);
  await page.screenshot({ path: `${shots}/light-1440.png` });
});

await check("the ready-made commands name this server and the token", {}, async (page) => {
  const token = await page.locator('meta[name="flodgatt-token"]').getAttribute("content");
  const commands = await page.getByTestId("commands").textContent();
  assert.ok(!token.includes("{{") && commands.includes(token) && commands.includes(new URL(busy).host), commands);
});

await check("the browser and the server agree on compression, both ways", {}, async (page) => {
  const [extensions, told] = await page.evaluate(() => new Promise((resolve, reject) => {
    const token = document.querySelector('meta[name="flodgatt-token"]').content;
    const socket = new WebSocket(`ws://${location.host}/api/v1/streaming?access_token=${token}`);
    const told = [];
    socket.onopen = () => {
      // Twice, as the second one could refer to the first if that had not been ruled out.
      for (const stream of ["no such stream", "no such stream", "public"]) socket.send(JSON.stringify({ type: "subscribe", stream }));
    };
    socket.onerror = reject;
    socket.onclose = ({ code }) => reject(new Error(`closed with ${code}`));
    socket.onmessage = ({ data }) => {
      told.push(JSON.parse(data));
      if (told.filter(({ event }) => event === "update").length === 3) resolve([socket.extensions, told]);
    };
  }));
  assert.match(extensions, /^permessage-deflate\b/);
  assert.deepEqual(told.slice(0, 2).map(({ status }) => status), [400, 400]);
  for (const { event, payload } of told) if (event === "update") assert.ok(JSON.parse(payload).account.acct);
});

await check("no command is broken inside a word, and each can be read to its end", { viewport: { width: 390, height: 844 } }, async (page) => {
  await page.locator("details.terminal").evaluate((panel) => (panel.open = true));
  const commands = page.locator("#commands code");
  for (const command of await commands.all()) {
    const broken = await command.evaluate((code) => {
      const words = [];
      const texts = document.createTreeWalker(code, NodeFilter.SHOW_TEXT);
      while (texts.nextNode()) {
        for (const { index, 0: word } of texts.currentNode.data.matchAll(/\S+/g)) {
          const place = document.createRange();
          place.setStart(texts.currentNode, index);
          place.setEnd(texts.currentNode, index + word.length);
          if (new Set([...place.getClientRects()].map((box) => Math.round(box.top))).size !== 1) words.push(word);
        }
      }
      return words;
    });
    assert.deepEqual(broken, []);
    const hidden = await command.evaluate((code) => {
      code.scrollLeft = code.scrollWidth;
      return code.scrollWidth - code.clientWidth - code.scrollLeft;
    });
    assert.ok(hidden <= 1, `${hidden} pixels cannot be reached`);
    await command.evaluate((code) => (code.scrollLeft = 0));
  }
  await page.locator("details.terminal").scrollIntoViewIfNeeded();
  await page.screenshot({ path: `${shots}/commands-390.png` });
});

await check("whoever opens the page of a quiet server has something to see, and what is new is tinted", { url: quiet, colorScheme: "light" }, async (page) => {
  await page.locator(`${ofPosts}.fresh`).first().waitFor();
  await posts(page, 3);
  await page.reload();
  await posts(page, 3);
  await page.screenshot({ path: `${shots}/quiet-1440.png` });
});

await check("where many posts come, none is tinted", {}, async (page) => {
  await posts(page, 20);
  const before = await page.locator(ofPosts).first().getAttribute("data-id");
  await page.waitForFunction(([selector, id]) => {
    const newest = document.querySelector(selector);
    return newest.dataset.id !== id && !newest.classList.contains("fresh");
  }, [ofPosts, before]);
});

await check("a stream can be switched on and off", {}, async (page) => {
  await page.locator('[data-stream="user"]').check();
  await page.locator(`${ofPosts} .sources li`, { hasText: /^user$/ }).first().waitFor();
  await page.locator('[data-stream="user"]').uncheck();
});

for (const [width, height] of [[320, 640], [390, 844], [768, 1024], [1440, 900]]) {
  const touch = width < 500;
  await check(`nothing is cut off at ${width} pixels`, { viewport: { width, height }, hasTouch: touch, isMobile: touch, colorScheme: "dark" }, async (page) => {
    await posts(page, 8);
    const [needed, there] = await page.evaluate(() => [document.documentElement.scrollWidth, document.documentElement.clientWidth]);
    assert.ok(needed <= there, `${needed} > ${there}`);
    const overlaps = await page.evaluate(() => {
      const boxes = ["h1", ".state", "#rate", "#sparkline", "#theme"].map((part) => document.querySelector(`.top ${part}`).getBoundingClientRect());
      const shown = boxes.filter((box) => box.width > 0);
      return shown.slice(1).filter((box, index) => box.left < shown[index].right).length;
    });
    assert.equal(overlaps, 0, "parts of the header overlap");
    await page.screenshot({ path: `${shots}/dark-${width}.png` });
  });
}

await browser.close();
process.exit(failures ? 1 : 0);
