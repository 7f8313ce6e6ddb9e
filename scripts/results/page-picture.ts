/*
 * docs/images/page.png: the page with its sample photo restored by the model that serves.
 * npm run build && node dist/scripts/results/page-picture.js
 */
import { mkdirSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { pino } from 'pino';
import { startServer } from '../../server/main.ts';
import { packageRoot } from '../../server/store/paths.ts';
import { openBrowser } from '../../test/helpers/browser.ts';

const file = join(packageRoot, 'docs', 'images', 'page.png');
const server = await startServer({ port: 0, log: pino({ level: 'warn' }) });
const browser = await openBrowser({ viewport: { width: 1000, height: 720 } });
const page = await browser.context.newPage();
await page.goto(server.url);
await page.getByText('Works offline').waitFor();
await page.getByRole('button', { name: 'Try a damaged one' }).click();
await page
  .getByText(/^Restored by the server/)
  .first()
  .waitFor();
await page.locator('#download').blur();
mkdirSync(dirname(file), { recursive: true });
await page.screenshot({ path: file });
await browser.close();
await server.close();
console.log(`wrote ${file}`);
