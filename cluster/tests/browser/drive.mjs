// Drives Chromium for the tests: commands come as lines of JSON, each is answered by one, and all ends with the input.
//
// {"open": URL, "width": 1280, "height": 800, "dark": false}   a page of its own; answers its number
// {"page": 0, "look": "weir.figures()"}                        what an expression is there, promises awaited
// {"page": 0, "script": "player.js"}                           runs a file there
// {"page": 0, "picture": "/tmp/page.png"}                      a picture of the whole page
// {"page": 0, "close": true}                                   closes it, and says what went wrong there: errors of
//                                                              scripts, and what the console shows in red
//
// An answer is {"ok": value} or {"error": text}.

import { createInterface } from "node:readline";
import { appendFileSync, existsSync } from "node:fs";
import { chromium } from "playwright-core";

const CHROMIUM = ["/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome"];
const executablePath = process.env.WEIR_CHROMIUM ?? CHROMIUM.find((path) => existsSync(path));

const browser = await chromium.launch({
  executablePath,
  // Tests run as root in places where the sandbox cannot; shared memory is small in containers.
  args: ["--no-sandbox", "--disable-dev-shm-usage"],
});
const pages = [];
const contexts = new Map();

/** Pages of one shape have their cache in common, as the visits of one person. */
function contextOf({ width = 1280, height = 800, dark = false }) {
  const shape = `${width} ${height} ${dark}`;
  if (!contexts.has(shape)) {
    const viewport = { width, height };
    const colorScheme = dark ? "dark" : "light";
    contexts.set(shape, browser.newContext({ viewport, colorScheme, isMobile: width < 600 }));
  }
  return contexts.get(shape);
}

async function open(command) {
  const context = await contextOf(command);
  const page = await context.newPage();
  const problems = [];
  page.on("pageerror", (error) => problems.push(`script: ${error.message}`));
  page.on("crash", () => problems.push("the page crashed"));
  page.on("console", (message) => {
    log(`${message.type()} ${message.text()}`);
    if (message.type() === "error") {
      problems.push(`console: ${message.text()} ${message.location().url}`);
    }
  });
  await page.goto(command.open, { waitUntil: "commit" });
  return pages.push({ page, problems }) - 1;
}

async function obey(command) {
  if (command.open) {
    return open(command);
  }
  const { page, problems } = pages[command.page];
  if (command.look) {
    return (await page.evaluate(command.look)) ?? null;
  }
  if (command.script) {
    await page.addScriptTag({ path: new URL(command.script, import.meta.url).pathname });
    return null;
  }
  if (command.picture) {
    await page.screenshot({ path: command.picture, fullPage: true });
    return null;
  }
  await page.close();
  return problems;
}

/** Whoever wants to know more: WEIR_BROWSER_LOG names a file for what the console says, much with `debug` in an address. */
function log(text) {
  if (process.env.WEIR_BROWSER_LOG) {
    appendFileSync(process.env.WEIR_BROWSER_LOG, `${new Date().toISOString()} ${text}\n`);
  }
}

const say = (answer) => process.stdout.write(`${JSON.stringify(answer)}\n`);

say({ ok: browser.version() });
for await (const line of createInterface({ input: process.stdin })) {
  try {
    say({ ok: await obey(JSON.parse(line)) });
  } catch (error) {
    say({ error: String(error.message ?? error) });
  }
}
await browser.close();
