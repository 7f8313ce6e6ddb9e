import { join } from 'node:path';
import { pino } from 'pino';
import sharp from 'sharp';
import { startServer } from '../../server/main.ts';
import { packageRoot } from '../../server/store/paths.ts';
import { downloaded, largestDifference, restoreIn } from '../../test/client/setup.ts';
import { openBrowser } from '../../test/helpers/browser.ts';

/*
 * One picture through the server and through each backend of the browser, with the model that serves: the largest
 * difference of the four PNGs from the server's, 0..255.
 *   npm run build && node dist/scripts/results/backends.js
 */

const photo = await sharp(join(packageRoot, 'tasks', 'restore', 'sample.jpg'))
  .png()
  .toBuffer();
const server = await startServer({ port: 0, log: pino({ level: 'warn' }) });
const form = new FormData();
form.set('image', new Blob([new Uint8Array(photo)]), 'photo.png');
const reply = await fetch(`${server.url}/v1/restore`, { method: 'POST', body: form });
const expected = new Uint8Array(await reply.arrayBuffer());
const browser = await openBrowser({ viewport: { width: 1000, height: 720 } });
const page = await browser.context.newPage();
page.setDefaultTimeout(300_000);
for (const device of ['wasm', 'webgl', 'webgpu']) {
  await page.goto(`${server.url}/?device=${device}`);
  await page.locator('label', { hasText: '×1' }).click();
  const place = await restoreIn(page, photo);
  const difference = await largestDifference(await downloaded(page), expected);
  process.stdout.write(`${JSON.stringify({ model: reply.headers.get('x-model'), device, difference, place })}\n`);
}
await browser.close();
await server.close();
