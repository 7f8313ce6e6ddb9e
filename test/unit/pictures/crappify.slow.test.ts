import { spawnSync } from 'node:child_process';
import { mkdir, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect } from 'chai';
import { crappify } from '../../../training/data/crappify.node.ts';
import { damagePlugins } from '../../../training/pictures/damage/registry.node.ts';
import { wavyImage, withFolder, writePhoto } from '../../helpers/photos.ts';

const recipe = { damage: 'lesson', seed: 7 };

/** Every file below a folder with its bytes in base64, by relative name. */
async function contents(folder: string): Promise<Record<string, string>> {
  const names = (await readdir(folder, { recursive: true, withFileTypes: true }))
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name));
  const files = await Promise.all(
    names
      .sort()
      .map(async (path) => [path.slice(folder.length + 1), (await readFile(path)).toString('base64')] as const),
  );
  return Object.fromEntries(files);
}

async function writePhotos(folder: string): Promise<void> {
  for (const [i, name] of ['a.png', 'b.jpg', 'cats/c.png', 'cats/old/d.jpg'].entries()) {
    await writePhoto(folder, name, wavyImage(130, 110, i));
  }
}

const messageOf = (promise: Promise<unknown>): Promise<string> =>
  promise.then(
    () => 'no error',
    (error: Error) => error.message,
  );

describe('crappify', () => {
  it('keeps the relative names, and the bytes do not depend on the number of threads', () =>
    withFolder(async (folder) => {
      const [input, one, three] = ['in', 'one', 'three'].map((name) => join(folder, name)) as [string, string, string];
      await writePhotos(input);
      const seen: string[] = [];
      const onProgress = (done: number, total: number): void => void seen.push(`${done}/${total}`);
      expect(await crappify({ input, output: one, ...recipe, workers: 1, onProgress })).to.deep.equal({
        made: 4,
        skipped: 0,
        failed: [],
      });
      expect(seen).to.deep.equal(['1/4', '2/4', '3/4', '4/4']);
      await crappify({ input, output: three, ...recipe, workers: 3 });
      const made = await contents(one);
      expect(Object.keys(made)).to.have.members(['a.jpg', 'b.jpg', 'cats/c.jpg', 'cats/old/d.jpg', 'crappify.json']);
      expect(await contents(three)).to.deep.equal(made);
    }));

  it('a second run makes only what is missing, and the same', () =>
    withFolder(async (folder) => {
      const [input, output] = [join(folder, 'in'), join(folder, 'out')];
      await writePhotos(input);
      await crappify({ input, output, ...recipe });
      const before = await contents(output);
      const { mtimeMs } = await stat(join(output, 'a.jpg'));
      await rm(join(output, 'cats/c.jpg'));
      await writeFile(join(output, 'cats/c.jpg.part'), 'half of a file');
      expect(await crappify({ input, output, ...recipe })).to.deep.equal({ made: 1, skipped: 3, failed: [] });
      expect(await contents(output)).to.deep.equal(before);
      expect((await stat(join(output, 'a.jpg'))).mtimeMs).to.equal(mtimeMs);
    }));

  it('refuses to mix two recipes, to damage its own output, and names that would become one', () =>
    withFolder(async (folder) => {
      const [input, output] = [join(folder, 'in'), join(folder, 'out')];
      await writePhotos(input);
      await crappify({ input, output, ...recipe });
      expect(await messageOf(crappify({ input, output, damage: 'jpeg', seed: 7 }))).to.include('use another folder');
      const inside = join(input, 'damaged');
      expect(await messageOf(crappify({ input, output: inside, ...recipe }))).to.include('outside of');
      expect(await messageOf(crappify({ input, output: input, ...recipe }))).to.include('outside of');
      await writePhoto(input, 'a.jpg', wavyImage(20, 20, 1));
      expect(await messageOf(crappify({ input, output, ...recipe }))).to.include('got a.jpg and a.png; rename one');
      await mkdir(join(folder, 'empty'));
      expect(await messageOf(crappify({ input: join(folder, 'empty'), output, ...recipe }))).to.include('got none');
      expect(await messageOf(crappify({ input: join(folder, 'none'), output, ...recipe }))).to.include(
        'expected a folder of pictures at',
      );
    }));

  it('the command names unreadable files, exits with 1, and speaks JSON', () =>
    withFolder(async (folder) => {
      const [input, output] = [join(folder, 'in'), join(folder, 'out')];
      await writePhotos(input);
      await writeFile(join(input, 'broken.jpg'), 'not a picture');
      const fettle = fileURLToPath(new URL('../../../scripts/fettle.js', import.meta.url));
      const run = (...args: string[]) =>
        spawnSync(process.execPath, [fettle, 'crappify', ...args], { encoding: 'utf8' });
      const text = run(input, output, '--damage', 'grey,jpeg:quality=30');
      expect(text.stderr).to.match(/^broken\.jpg: .+$/m);
      expect(text.stdout).to.match(/^4 damaged, 0 were there already, 1 could not be read/);
      expect(text.status).to.equal(1);
      await rm(join(input, 'broken.jpg'));
      const json = run(input, output, '--damage', 'grey,jpeg:quality=30', '--json');
      expect(json.status, json.stderr).to.equal(0);
      expect(JSON.parse(json.stdout)).to.deep.include({ made: 0, skipped: 4, failed: [], seed: 7 });
      const help = run('--help').stdout;
      for (const { name, defaults } of damagePlugins) {
        for (const word of [name, ...Object.keys(defaults)]) expect(help).to.include(word);
      }
    })).timeout(20000);
});
