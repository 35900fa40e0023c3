// Looks at the page of a demo with three nodes in a headless Chromium: nodes are killed, stopped and added by its buttons,
// the first of them the one that served the page, and it counts no event lost or doubled.
//
// node demo_cluster.mjs <address of the page> <chromium> <folder for screenshots>
import assert from "node:assert/strict";
import { chromium } from "playwright-core";

const [url, executablePath, shots] = process.argv.slice(2);
const args = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update", "--disable-sync"];
const browser = await chromium.launch({ executablePath, args });

async function open(options) {
  const context = await browser.newContext({ viewport: { width: 1440, height: 900 }, ...options });
  const page = await context.newPage();
  page.bad = [];
  page.on("pageerror", (error) => page.bad.push(String(error)));
  page.on("console", (message) => {
    // The browser says so whenever a node is gone.
    const gone = message.text().includes("net::ERR_CONNECTION_") || message.text().includes("WebSocket connection to");
    if (message.type() === "error" && !gone) page.bad.push(message.text());
  });
  page.on("request", (request) => {
    const target = new URL(request.url());
    if (target.protocol !== "data:" && target.hostname !== new URL(url).hostname) page.bad.push(`request to ${target}`);
  });
  await page.goto(url);
  return page;
}

const number = (text) => Number(text.replace(/\D/g, ""));
const check = async (page, name) => (await page.locator(`[data-check="${name}"]`).textContent()).trim();
const life = (page, name, state) => page.locator(`[data-node="${name}"][data-life="${state}"]`).waitFor();

/** Waits until there are so many connections, and numbers have come by all of them. */
async function flows(page, connections) {
  await page.waitForFunction((wanted) => {
    const open = [...nodes.values()].filter((node) => node.connection?.socket.readyState === WebSocket.OPEN);
    return open.length === wanted && open.every((node) => node.connection.last.size === numbers.lists.length);
  }, connections);
  const before = number(await check(page, "received"));
  // Each connection gets fifty a second.
  await page.waitForFunction(
    ([before, more]) => Number(document.querySelector('[data-check="received"]').textContent.replace(/\D/g, "")) > before + more,
    [before, 60 * connections],
  );
  assert.equal(await check(page, "lost"), "0");
  assert.equal(await check(page, "doubled"), "0");
}

async function fits(page) {
  const [needed, there] = await page.evaluate(() => [document.documentElement.scrollWidth, document.documentElement.clientWidth]);
  assert.ok(needed <= there, `${needed} > ${there}`);
}

const shot = (page, name) => page.screenshot({ path: `${shots}/${name}.png` });

try {
  const page = await open({ colorScheme: "light" });
  await flows(page, 3);
  await page.waitForFunction(() => document.querySelectorAll("#flows tr").length >= 11);
  const shares = await page.locator("#nodes .percent").allTextContents();
  assert.ok(Math.abs(shares.reduce((sum, share) => sum + parseFloat(share), 0) - 100) < 0.5, shares.join());
  await page.locator("#flows .holder.owner").first().waitFor();
  await fits(page);
  await shot(page, "cluster-light-1440");

  await page.getByRole("button", { name: "Kill node-2" }).click();
  await life(page, "node-2", "killed");
  await flows(page, 2);
  await page.getByTestId("cluster-news").filter({ hasText: /node-2 was killed. Moved: \d+ channels? to node-[13]/ }).waitFor();
  await page.getByTestId("gone").filter({ hasText: /^node-2: killed \d+ s ago$/ }).waitFor();
  const since = page.getByTestId("since");
  await since.filter({ hasText: /longest pause since you killed node-2\s*\d+\.\d\d s/ }).waitFor();
  await shot(page, "cluster-killed-1440");

  await page.getByRole("button", { name: "Add a node" }).click();
  await life(page, "node-4", "runs");
  await flows(page, 3);
  await since.filter({ hasText: "longest pause since you added node-4" }).waitFor();
  await shot(page, "cluster-added-1440");

  // The one that served the page.
  await page.getByRole("button", { name: "Kill node-1" }).click();
  await life(page, "node-1", "killed");
  await page.getByTestId("message").filter({ hasText: "The page goes on" }).waitFor();
  await page.waitForSelector('body[data-state="live"]');
  await flows(page, 2);
  await shot(page, "cluster-moved-1440");

  await page.getByRole("button", { name: "Add a node" }).click();
  await life(page, "node-5", "runs");
  await page.getByRole("button", { name: "Stop node-3" }).click();
  await life(page, "node-3", "left");
  await flows(page, 2);
  await shot(page, "cluster-stopped-1440");
  await page.locator(".explained summary").click();
  await page.emulateMedia({ colorScheme: "dark", reducedMotion: "reduce" });
  for (const [width, height] of [[1440, 900], [1024, 768], [768, 1024], [390, 844], [320, 640]]) {
    await page.setViewportSize({ width, height });
    await fits(page);
    await shot(page, `cluster-dark-${width}`);
  }
  await page.setViewportSize({ width: 390, height: 844 });
  await page.locator(".explained summary").click();
  await page.locator(".flows").evaluate((panel) => (panel.open = true));
  await page.locator(".flows").scrollIntoViewIfNeeded();
  await shot(page, "cluster-flows-390");

  await page.getByRole("button", { name: "Kill node-4" }).click();
  await life(page, "node-4", "killed");
  assert.ok(await page.getByRole("button", { name: "Kill node-5" }).isDisabled(), "the last node cannot be killed");
  assert.equal(await page.locator("#gone li").count(), 3, "the last few that are gone are told of");
  await page.getByText("The last node cannot be stopped or killed").waitFor();
  await page.evaluate(() => scrollTo(0, 0));
  const [top, height] = await page.locator('[data-node="node-5"]').evaluate((node) => [node.getBoundingClientRect().bottom, innerHeight]);
  assert.ok(top <= height, "the living node is on the first screen");
  await flows(page, 1);
  const line = await page.locator("#nodes .percent").evaluate((text) => text.getClientRects().length === 1 && text.offsetHeight < 30);
  assert.ok(line, "the share is one line");
  await fits(page);
  await shot(page, "cluster-last-390");
  await page.setViewportSize({ width: 1440, height: 900 });
  await shot(page, "cluster-last-1440");
  await page.getByRole("button", { name: "Add a node" }).click();
  await life(page, "node-6", "runs");
  await page.waitForFunction(() => document.querySelector('[data-node="node-5"] .kill').title.startsWith("Ends it"));
  await page.getByText("The last node cannot be stopped or killed").waitFor({ state: "hidden" });
  await flows(page, 2);
  await page.setViewportSize({ width: 390, height: 844 });
  await page.emulateMedia({ colorScheme: "light" });
  await shot(page, "cluster-light-390");
  await page.evaluate(() => {
    const [list, { number }] = [...running()[0].connection.last][0];
    const connection = () => ({ last: new Map([[list, { number, at: performance.now() }]]), settled: Infinity });
    checkNumber(connection(), list, number + 3);
    checkNumber(connection(), list, number);
  });
  await page.locator('[data-check="lost"].bad', { hasText: /^2$/ }).waitFor();
  await page.locator('[data-check="doubled"].bad', { hasText: /^1$/ }).waitFor();
  console.log("pause", await check(page, "pause"), "received", await check(page, "received"));
  assert.deepEqual(page.bad, []);
} catch (error) {
  console.log("FAILED", error.stack ?? error);
  process.exitCode = 1;
}
await browser.close();
