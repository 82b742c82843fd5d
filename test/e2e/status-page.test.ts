// The status page in a real browser: it shows what the server did, live, in light and dark, and fits a phone.
import { existsSync } from 'node:fs';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { chromium, type BrowserContext, type Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { seededRandom } from '../../src/lib/base/random.ts';
import { MIB } from '../../src/lib/base/units.ts';
import { ask } from '../support/http.ts';
import { seekfs, startServe, type ServeProcess } from '../support/serve-process.ts';
import { temporaryDirectory } from '../support/temporary-directory.ts';

const CHROMIUM = '/usr/bin/chromium';
const isThere = existsSync(CHROMIUM);
if (!isThere) {
  if (process.env['SEEKFS_PEERS_REQUIRED'] === '1') throw new Error(`no ${CHROMIUM} to test the status page in`);
  process.stderr.write(`skipped, no ${CHROMIUM} to test the status page in\n`);
}
/** Where screenshots go for people to look at; nowhere by default. */
const SCREENSHOTS = process.env['SEEKFS_SCREENSHOTS'];
/** The test's own time limit comes first. */
const PATIENCE_MS = 600_000;
const POLL = { timeout: PATIENCE_MS };
const TOKEN = 'status-token-0123456789abcdef';

let directory: string;
let serve: ServeProcess;
let browser: BrowserContext;

beforeAll(async () => {
  if (!isThere) return;
  directory = await temporaryDirectory('seekfs-status');
  await writeFile(join(directory, 'warm.bin'), seededRandom(1).bytes(6 * MIB));
  await writeFile(join(directory, 'tokens'), `${TOKEN} *\n`);
  const hostile = 'a <img src=x onerror="document.title=1"> name.bin';
  await writeFile(join(directory, hostile), 'x'.repeat(1000));
  await seekfs(directory, 'put', 'dev', 'warm.bin', hostile);
  serve = await startServe(directory, '--workers', '2');
  for (const off of [0, 4 * MIB]) await ask(`${serve.url}/blob?ns=dev&path=warm.bin&off=${off}&len=1000000`);
  browser = await chromium.launchPersistentContext(join(directory, 'browser'), {
    executablePath: CHROMIUM,
    timeout: PATIENCE_MS,
    args: [
      '--no-sandbox',
      '--disable-gpu',
      '--disable-quic',
      '--no-first-run',
      '--disable-background-networking',
    ].concat(['--disable-component-update', '--disable-sync']),
  });
});

afterAll(async () => {
  await browser?.close();
  await serve?.stop();
});

/** Opens the page; `problems` collects what the browser complained about. */
async function open(url: string, view: { width: number; dark: boolean }): Promise<{ page: Page; problems: string[] }> {
  const page = await browser.newPage();
  page.setDefaultTimeout(PATIENCE_MS);
  const problems: string[] = [];
  page.on('console', (message) => {
    if (message.type() === 'error') problems.push(message.text());
  });
  page.on('pageerror', (error) => problems.push(error.message));
  page.on('request', (request) => {
    if (!request.url().startsWith(url) && !request.url().startsWith('data:')) problems.push(`asked ${request.url()}`);
  });
  await page.setViewportSize({ width: view.width, height: 900 });
  await page.emulateMedia({ colorScheme: view.dark ? 'dark' : 'light' });
  await page.goto(url);
  return { page, problems };
}

describe.skipIf(!isThere)('the status page', () => {
  test.each([
    { name: 'wide-light', width: 1200, dark: false },
    { name: 'wide-dark', width: 1200, dark: true },
    { name: 'phone-light', width: 390, dark: false },
    { name: 'phone-dark', width: 360, dark: true },
  ])('shows the state, $name', async ({ name, ...view }) => {
    const { page, problems } = await open(serve.url, view);
    await page.waitForSelector('#state:has-text("live")');
    expect(await page.textContent('#where')).toContain(`store file://${join(directory, 'store')}`.slice(6));
    // The page renews itself, and says less while a worker does not answer at once.
    await expect.poll(() => page.textContent('#versions'), POLL).toMatch(/devv-12/);
    await expect.poll(() => page.textContent('#hit'), POLL).toMatch(/^\d+\.\d %$/);
    const names = ['dev/a <img src=x onerror="document.title=1"> name.bin', 'dev/warm.bin'];
    const shown = page.locator('.file .name');
    await expect.poll(() => shown.allTextContents(), POLL).toEqual(expect.arrayContaining(names));
    expect(await page.title()).toBe('seekfs');
    // Part of the file is cached, part is not: cells of both kinds.
    const opacities = (): Promise<(string | null)[]> =>
      page
        .locator('.file', { hasText: 'warm.bin' })
        .locator('rect:not(.back)')
        .evaluateAll((cells) => cells.map((cell) => cell.getAttribute('fill-opacity')));
    await expect.poll(opacities, POLL).toEqual(expect.arrayContaining(['0', '1']));
    // What is cached to its end fills its bar to the end.
    const ends = await page.locator('svg.heat').evaluateAll((maps) =>
      maps.map((map) => {
        const last = map.lastElementChild!;
        const end = Number(last.getAttribute('x')) + Number(last.getAttribute('width'));
        return end - Number(map.getAttribute('viewBox')!.split(' ')[2]);
      }),
    );
    expect(new Set(ends)).toEqual(new Set([0]));
    const background = await page.evaluate<string>('getComputedStyle(document.body).backgroundColor');
    expect(background).toBe(view.dark ? 'rgb(18, 22, 28)' : 'rgb(246, 247, 249)');
    const overflow = await page.evaluate<number>('document.documentElement.scrollWidth - innerWidth');
    expect(overflow, 'nothing sticks out to the side').toBeLessThanOrEqual(0);
    const hidden = await page.evaluate<number>(
      '(({scrollWidth, clientWidth}) => scrollWidth - clientWidth)(document.querySelector(".scroll"))',
    );
    expect(hidden, 'the table of namespaces is seen whole').toBeLessThanOrEqual(0);
    if (SCREENSHOTS) {
      // Traffic, so that there is something to see.
      for (let count = 0; count < 6; count += 1) {
        await ask(`${serve.url}/blob?ns=dev&path=warm.bin&len=${(count + 1) * 200_000}`);
        await page.waitForTimeout(1000);
      }
      await page.screenshot({ path: join(SCREENSHOTS, `${name}.png`), fullPage: true });
    }
    expect(problems).toEqual([]);
    await page.close();
  });

  test('is live: what is read while it is open shows up', async () => {
    const { page } = await open(serve.url, { width: 800, dark: false });
    const reads = page.locator('.file', { hasText: 'name.bin' }).locator('.num');
    // Asked from here: the page's policy lets nothing evaluate a text inside it, which `waitForFunction` does.
    await expect.poll(() => reads.allTextContents(), POLL).toEqual([expect.stringContaining('0 reads')]);
    await ask(
      `${serve.url}/blob?ns=dev&path=${encodeURIComponent('a <img src=x onerror="document.title=1"> name.bin')}`,
    );
    await expect.poll(() => reads.textContent(), POLL).toContain('1 read');
    expect(await page.textContent('#errors')).toBe('none');
    await mkdir(join(directory, 'store/namespaces/bad'));
    await writeFile(join(directory, 'store/namespaces/bad/HEAD'), 'no version');
    expect((await ask(`${serve.url}/blob?ns=bad&path=x`)).status).toBe(502);
    await expect.poll(() => page.textContent('#errors'), POLL).toMatch(/^manifest_invalid.* blob .*HEAD/);
    await page.close();
  });

  test('asks for a token where there are tokens, and says when the server is gone', async () => {
    const guarded = await startServe(directory, '--workers', '1', '--tokens', join(directory, 'tokens'));
    const { page } = await open(guarded.url, { width: 800, dark: false });
    await page.waitForSelector('#login:visible');
    expect(await page.isVisible('#main')).toBe(false);
    await page.fill('#token', TOKEN);
    await page.click('button');
    await page.waitForSelector('#state:has-text("live")');
    expect(await page.isVisible('#main')).toBe(true);
    await guarded.stop();
    await page.waitForSelector('#state:has-text("not answering")');
    await page.close();
  });
});
