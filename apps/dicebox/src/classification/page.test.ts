import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { text } from 'node:stream/consumers';
import { requireProgram, withParts } from '@morpheo/real-parts';
import { eventually } from '@morpheo/service/testing';
import ava, { type ExecutionContext } from 'ava';
import { type Browser, type BrowserContextOptions, chromium, type Page } from 'playwright-core';
import sharp from 'sharp';
import { FakeTrainings } from '../testing/fake-trainings.ts';
import { KEY, openDicebox } from '../testing/open-dicebox.ts';

const test = withParts(ava, 'chromium');
/** For what never comes; a busy machine takes far less. */
const PATIENCE_MS = 120_000;

let browser: Browser;
test.before(async () => {
  browser = await chromium.launch({
    executablePath: requireProgram('chromium'),
    // Its sandbox is not to be had by root; the pages are our own.
    args: process.getuid?.() === 0 ? ['--no-sandbox'] : [],
  });
});
test.after.always(async () => await browser?.close());

/** A sensory service at another address, and what was stored there. */
async function openSensory() {
  const stored: { key: unknown; version: unknown; body: { category: string; data: string } }[] = [];
  const server = createServer(async (request, response) => {
    response.setHeader('access-control-allow-origin', String(request.headers.origin));
    response.setHeader('access-control-allow-headers', 'content-type,api-access-key,api-version');
    if (request.method === 'OPTIONS') return response.writeHead(204).end();
    const { 'api-access-key': key, 'api-version': version } = request.headers;
    const body = JSON.parse(await text(request));
    if (body.category === 'a/b') return response.writeHead(400).end('<h1>Bad Request</h1><p>No slashes.</p>');
    stored.push({ key, version, body });
    return response.end('{"sensory_store":true}');
  });
  await once(server.listen(0, '127.0.0.1'), 'listening');
  // A server that listens on a port has an address of this form.
  const { port } = server.address() as AddressInfo;
  return { stored, url: `http://127.0.0.1:${port}`, [Symbol.dispose]: () => void server.close() };
}

/** The page in a browser of its own, before a service with a network in use; what it complains of fails the test. */
async function open(t: ExecutionContext, options: BrowserContextOptions = {}, isEmpty = false) {
  const trainings = new FakeTrainings();
  if (!isEmpty) trainings.train({ accuracy: 0.875 });
  const sensory = await openSensory();
  const dicebox = await openDicebox({
    ...{ compute: trainings.compute, storage: trainings.storage, serve: ['classification'] },
    classification: {
      ...{
        set: { name: 'greys', width: 4, height: 4 },
        rule: { adopt: 'better', margin: 0 },
        version: '0.3.0',
      },
      ...{ answerMs: 60_000, watchMs: 5, sensory: sensory.url },
    },
  });
  const context = await browser.newContext(options);
  context.setDefaultTimeout(PATIENCE_MS);
  const page = await context.newPage();
  const complaints: string[] = [];
  page.on('console', (message) => complaints.push(message.text()));
  page.on('pageerror', (error) => complaints.push(String(error)));
  t.teardown(async () => {
    await context.close();
    await dicebox[Symbol.asyncDispose]();
    sensory[Symbol.dispose]();
  });
  await page.goto(dicebox.url);
  return { page, complaints, sensory, dicebox };
}

async function giveKey(page: Page, key = KEY): Promise<void> {
  await page.fill('#key', key);
  await page.click('text=Use');
}

async function draw(page: Page): Promise<void> {
  const box = await page.locator('#canvas').boundingBox();
  if (box === null) throw new Error('There is no canvas');
  await page.mouse.move(box.x + 20, box.y + box.height / 2);
  await page.mouse.down();
  await page.mouse.move(box.x + box.width - 20, box.y + box.height / 2, { steps: 5 });
  await page.mouse.up();
}

test('Who has the key draws, sees what the network says, and stores the picture with its right category', async (t) => {
  const { page, complaints, sensory } = await open(t);
  await giveKey(page);
  await draw(page);
  await page.locator('#bars li').nth(3).waitFor();
  t.is(await page.textContent('#says'), 'black, 75.0 %');
  t.is(await page.locator('#bars progress').first().getAttribute('value'), '0.75');
  t.regex(
    (await page.textContent('#network')) ?? '',
    /87.5 % of held-out pictures right, weights [0-9a-f]{12}; \d+ ms/,
  );
  t.deepEqual(
    await page
      .locator('#categories option')
      .evaluateAll((all) => all.map((one) => one.getAttribute('value'))),
    ['black', 'dark', 'light', 'white'],
  );
  await page.fill('#category', 'dark');
  await page.click('#store-form button');
  await page.locator('text=Stored as dark.').waitFor();
  t.like(sensory.stored[0], { key: KEY, version: '0.3.0' });
  const { data, ...about } = sensory.stored[0]?.body ?? { data: '' };
  t.deepEqual(about, { name: 'greys', width: 4, height: 4, category: 'dark' });
  t.like(await sharp(Buffer.from(data, 'base64')).metadata(), { format: 'png', width: 280, height: 280 });
  t.deepEqual(complaints, []);
});

test('The key is in no source and in no place that outlives the tab, and it can be forgotten', async (t) => {
  const { page, dicebox } = await open(t);
  await giveKey(page);
  await page.locator('#forget').waitFor();
  const sources = ['/', '/page/main.js', '/page/service.js', '/page/drawing.js', '/page/page.css'];
  for (const path of sources) {
    const answer = await fetch(`${dicebox.url}${path}`);
    t.is(answer.status, 200);
    t.false((await answer.text()).includes(KEY));
  }
  const kept = () =>
    page.evaluate(() => [JSON.stringify(localStorage), document.cookie, JSON.stringify(sessionStorage)]);
  const [local, cookies, session] = await kept();
  t.deepEqual([local, cookies], ['{}', '']);
  t.true(session?.includes(KEY));
  await page.click('text=Forget');
  t.deepEqual(await kept(), ['{}', '', '{}']);
  await page.click('#classify');
  t.is(await page.textContent('#problem'), 'Type the key first.');
});

test('The page may load and call nothing but this service and the sensory service', async (t) => {
  const { dicebox, sensory } = await open(t);
  const policy = (await fetch(dicebox.url)).headers.get('content-security-policy') ?? '';
  t.is(
    policy,
    `default-src 'none'; script-src 'self'; style-src 'self'; img-src data:; connect-src 'self' ${sensory.url}; ` +
      `base-uri 'none'; form-action 'none'; frame-ancestors 'none'`,
  );
});

test('A picture is drawn, classified and cleared by the keyboard alone', async (t) => {
  const { page } = await open(t);
  await page.focus('#key');
  await page.keyboard.type(KEY);
  await page.keyboard.press('Enter');
  await page.locator('#forget').waitFor();
  // From the key to the canvas by Tab alone: the buttons of the key stand between.
  for (let n = 0; n < 3; n++) await page.keyboard.press('Tab');
  t.is(await page.evaluate(() => document.activeElement?.id), 'canvas');
  await page.keyboard.press(' ');
  for (let n = 0; n < 6; n++) await page.keyboard.press('ArrowRight');
  t.is(await page.getAttribute('#canvas', 'aria-label'), 'Drawing area, pen down at column 20, row 14');
  await page.keyboard.press(' ');
  await page.locator('#bars li').nth(3).waitFor();
  const white = () =>
    page.evaluate(() => {
      const canvas = document.querySelector('canvas');
      const data = canvas?.getContext('2d')?.getImageData(0, 0, 280, 280).data ?? [];
      return data.filter((value, at) => at % 4 === 0 && value > 128).length;
    });
  t.true((await white()) > 60 * 10);
  await page.keyboard.press('Delete');
  t.is(await white(), 0);
  t.is(await page.textContent('#says'), 'Nothing is classified yet.');
});

test('A picture that is chosen or dropped is classified as it is, and stored so', async (t) => {
  const { page, sensory } = await open(t);
  await giveKey(page);
  await page.locator('#forget').waitFor();
  const white = { r: 255, g: 255, b: 255 };
  const jpeg = await sharp({ create: { width: 50, height: 20, channels: 3, background: white } })
    .jpeg()
    .toBuffer();
  await page.setInputFiles('#file', { name: 'white.jpg', mimeType: 'image/jpeg', buffer: jpeg });
  await page.locator('text=white, 75.0 %').waitFor();
  await page.fill('#category', 'white');
  await page.click('#store-form button');
  await page.locator('text=Stored as white.').waitFor();
  t.is(sensory.stored[0]?.body.data, jpeg.toString('base64'));
  await page.setInputFiles('#file', {
    name: 'x.png',
    mimeType: 'image/png',
    buffer: Buffer.from('no picture'),
  });
  await page.locator('text=x.png cannot be read as a picture.').waitFor();
  const grey = sharp({
    create: { width: 9, height: 9, channels: 3, background: { r: 150, g: 150, b: 150 } },
  });
  const transfer = await page.evaluateHandle(
    (bytes) => {
      const files = new DataTransfer();
      files.items.add(new File([Uint8Array.from(bytes)], 'grey.png', { type: 'image/png' }));
      return files;
    },
    [...(await grey.png().toBuffer())],
  );
  await page.dispatchEvent('#canvas', 'drop', { dataTransfer: transfer });
  await page.locator('text=light, 75.0 %').waitFor();
  t.true(await page.locator('#problem').isHidden());
});

test('What a service refuses is told in its own words', async (t) => {
  const { page } = await open(t);
  await giveKey(page, 'another key');
  await eventually(t, async (is) => is.regex((await page.textContent('#problem')) ?? '', /[Cc]redentials/));
  await giveKey(page);
  await page.fill('#category', 'a/b');
  await page.click('#store-form button');
  await page.locator('text=No slashes.').waitFor();
  t.is(await page.textContent('#stored'), '');
});

test('Without a network the page says what to do, and stores pictures all the same', async (t) => {
  const { page, sensory } = await open(t, {}, true);
  await giveKey(page);
  await page.locator('text=No network is in use yet: store pictures, and order a training.').waitFor();
  await page.fill('#category', 'first');
  await page.click('#store-form button');
  await page.locator('text=Stored as first.').waitFor();
  t.like(sensory.stored[0]?.body, { name: 'greys', category: 'first', width: 4, height: 4 });
});

test('At the address of the sensory service a picture that is stored becomes one of its set', async (t) => {
  await using dicebox = await openDicebox();
  const context = await browser.newContext();
  context.setDefaultTimeout(PATIENCE_MS);
  const page = await context.newPage();
  await page.goto(dicebox.url);
  await giveKey(page);
  await page.fill('#category', 'cat');
  await page.click('#store-form button');
  await page.locator('text=Stored as cat.').waitFor();
  await page.fill('#category', 'x/y');
  await page.click('#store-form button');
  await page.locator('text=The category "x/y" should be 1 to 100 characters').waitFor();
  await context.close();
  t.deepEqual(await (await dicebox.ask('/api/sensory/category')).json(), {
    category_map: { cat: 0 },
  });
});

for (const colorScheme of ['light', 'dark'] as const) {
  test(`The page fits a phone, by touch, with ${colorScheme} colours that can be read`, async (t) => {
    const { page } = await open(t, { colorScheme, hasTouch: true, viewport: { width: 320, height: 640 } });
    await giveKey(page);
    await page.tap('#canvas');
    await page.locator('#bars li').nth(3).waitFor();
    t.deepEqual(await page.evaluate(() => [document.documentElement.scrollWidth, innerWidth]), [320, 320]);
    const contrast = await page.evaluate(() => {
      const lightOf = (color: string) => {
        const [red = 0, green = 0, blue = 0] = (color.match(/[\d.]+/g) ?? []).map((part) => {
          const share = Number(part) / 255;
          return share <= 0.04045 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4;
        });
        return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
      };
      return ['#says', '#network', '#classify', '#clear', '#store-title'].map((selector) => {
        const element = document.querySelector(selector) ?? document.body;
        let ground: Element = element;
        while (
          getComputedStyle(ground).backgroundColor === 'rgba(0, 0, 0, 0)' &&
          ground.parentElement !== null
        )
          ground = ground.parentElement;
        const lights = [getComputedStyle(element).color, getComputedStyle(ground).backgroundColor].map(
          lightOf,
        );
        return (Math.max(...lights) + 0.05) / (Math.min(...lights) + 0.05);
      });
    });
    // WCAG 2.2, 1.4.3.
    t.true(
      contrast.every((one) => one >= 4.5),
      contrast.map((one) => one.toFixed(1)).join(' '),
    );
  });
}
