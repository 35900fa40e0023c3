// Looks at the page of the demo in a headless Chromium: it must move, fit any width, and ask nothing of anybody else.
//
// node demo_page.mjs <address of the page> <chromium> <folder for screenshots>
import assert from "node:assert/strict";
import { chromium } from "playwright-core";

const [url, executablePath, shots] = process.argv.slice(2);
const args = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update", "--disable-sync"];
const browser = await chromium.launch({ executablePath, args });
let failures = 0;

/** Opens the page; collects what must not happen: errors, and requests elsewhere. */
async function open(options = {}) {
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
  assert.ok(!token.includes("{{") && commands.includes(token) && commands.includes(new URL(url).host), commands);
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
