import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'chai';
import { build } from 'vite';
import { z } from 'zod';
import { pageConfig } from '../../scripts/repo/pages.ts';
import { rootDir } from '../../scripts/repo/source-files.ts';
import { contracts } from '../../tasks/contracts.ts';
import { contract } from '../../tasks/task.ts';

const words = { verb: 'Blink', doing: 'Blinking', did: 'Blinked' };
const toy = contract({
  name: 'toy',
  inputs: [{ name: 'image', type: 'image' }],
  sections: {},
  query: z.strictObject({}),
  page: { path: '/blink', link: 'Blink', words },
});

const html = `<!doctype html>
<html lang="en">
  <head>
    <!-- part: head -->
    <title>fettle: blink</title>
    <script type="module" src="./page.web.ts"></script>
  </head>
  <body>
    <!-- part: header -->
    <main id="main" data-state="empty"><!-- part: here --><!-- part: status --></main>
  </body>
</html>
`;
const script = `import { startShell } from ${JSON.stringify(join(rootDir, 'client', 'shell.ts'))};
document.title = startShell('toy').words.doing;
`;

describe('pages of a task that is one more', () => {
  let folder: string;
  let outDir: string;

  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'fettle-toy-'));
    outDir = join(folder, 'dist');
    await writeFile(join(folder, 'page.html'), html);
    await writeFile(join(folder, 'page.web.ts'), script);
    const config = pageConfig([...contracts, toy], { root: rootDir, outDir, folders: { toy: folder } });
    await build({ configFile: false, logLevel: 'error', ...config });
  });

  after(() => rm(folder, { recursive: true, force: true }));

  it('has its page, with the parts of all pages', async () => {
    const page = await readFile(join(outDir, 'blink.html'), 'utf8');
    expect(page).to.contain('<title>fettle: blink</title>');
    expect(page).to.contain('<a href="./blink" aria-current="page">Blink</a>');
    expect(page).to.not.contain('part:');
    const [, source] = /src="\.\/(assets\/blink-[^"]+\.js)"/.exec(page)!;
    expect(await readFile(join(outDir, source!), 'utf8')).to.contain('.title=');
  });

  it('is linked by every other page, and its words are known', async () => {
    const files = (await readdir(outDir)).filter((file) => file.endsWith('.html'));
    expect(files.sort()).to.deep.equal(['blink.html', 'classify.html', 'index.html', 'segment.html', 'write.html']);
    for (const file of files) {
      const page = await readFile(join(outDir, file), 'utf8');
      expect(page, file).to.contain('<a href="./blink"');
      expect(page.match(/aria-current="page"/g), file).to.have.lengthOf(1);
    }
    const assets = (await readdir(join(outDir, 'assets'))).filter(
      (file) => file.startsWith('shell-') && file.endsWith('.js'),
    );
    expect(await readFile(join(outDir, 'assets', assets[0]!), 'utf8')).to.contain('Blinking');
  });

  it('is kept by the service worker', async () => {
    expect(await readFile(join(outDir, 'sw.js'), 'utf8')).to.contain('./blink');
  });
});
