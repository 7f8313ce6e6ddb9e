import { mkdir, open, readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect } from 'chai';
import { syncFolder, writeDurably, writeSynced } from '../../../training/core/durable.node.ts';
import { withFolder } from '../../helpers/photos.ts';

/** The system refuses to sync the files for which `refuses` holds, as some do for folders; returns how often it refused. */
async function withSync(refuses: (isFolder: boolean) => boolean, run: () => Promise<void>): Promise<number> {
  const file = await open('/dev/null', 'r');
  const handle = Object.getPrototypeOf(file) as { sync: (this: typeof file) => Promise<void> };
  await file.close();
  const { sync } = handle;
  let refused = 0;
  handle.sync = async function () {
    if (!refuses((await this.stat()).isDirectory())) return sync.call(this);
    refused += 1;
    throw Object.assign(new Error('EINVAL: invalid argument, fsync'), { code: 'EINVAL' });
  };
  await run().finally(() => {
    handle.sync = sync;
  });
  return refused;
}

describe('durable writes', () => {
  it('replace a file whole and leave no other, also by many writers at once', async () => {
    await withFolder(async (folder) => {
      const path = join(folder, 'log.csv');
      await writeDurably(path, 'one');
      await Promise.all(Array.from({ length: 8 }, (_, i) => writeDurably(path, Uint8Array.of(48 + i))));
      expect(await readFile(path, 'utf8')).to.match(/^[0-7]$/);
      expect(await readdir(folder)).to.deep.equal(['log.csv']);
    });
  });

  it('work where folders cannot be synced', async () => {
    await withFolder(async (folder) => {
      const path = join(folder, 'file');
      const refused = await withSync(
        (isFolder) => isFolder,
        async () => {
          await writeDurably(path, 'whole');
          await syncFolder(folder);
          await syncFolder(join(folder, 'absent'));
        },
      );
      expect([refused, await readFile(path, 'utf8')]).to.deep.equal([2, 'whole']);
    });
  });

  it('fail, keep the old content and leave nothing temporary where the file cannot be synced or renamed', async () => {
    await withFolder(async (folder) => {
      const path = join(folder, 'file');
      await writeSynced(path, 'old');
      const fails = async (): Promise<void> => {
        expect(await writeDurably(path, 'new').catch((error: unknown) => error)).to.have.property('code', 'EINVAL');
      };
      expect(await withSync((isFolder) => !isFolder, fails)).to.equal(1);
      expect(await readFile(path, 'utf8')).to.equal('old');
      await mkdir(join(folder, 'taken'));
      expect(await writeDurably(join(folder, 'taken'), 'new').catch((error: unknown) => error)).to.be.an('error');
      expect((await readdir(folder)).sort()).to.deep.equal(['file', 'taken']);
    });
  });
});
