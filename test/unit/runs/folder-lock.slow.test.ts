import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { mkdir, readdir, readFile, symlink, writeFile } from 'node:fs/promises';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { expect } from 'chai';
import { lockFolder, lockName } from '../../../training/runs/folder-lock.node.ts';
import { withFolder } from '../../helpers/photos.ts';

const lockModule = new URL('../../../training/runs/folder-lock.node.js', import.meta.url).href;

/** A process that takes the folder and then does `then`; what it prints first is given back. */
async function taker(folder: string, then: string): Promise<{ readonly child: ChildProcess; readonly said: string }> {
  const program = `
    import { lockFolder } from ${JSON.stringify(lockModule)};
    const release = await lockFolder(${JSON.stringify(folder)}).then((one) => { console.log('taken'); return one; },
      ({ code, message }) => { console.log(code + ' ' + message); process.exit(1); });
    ${then}`;
  const child = spawn(process.execPath, ['--input-type=module', '-e', program], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const [said] = (await once(child.stdout!, 'data')) as [Buffer];
  return { child, said: String(said).trim() };
}

const stay = 'setInterval(() => {}, 1000);';

async function kill(child: ChildProcess): Promise<void> {
  child.kill('SIGKILL');
  await once(child, 'exit');
}

const failureOf = (work: Promise<unknown>): Promise<{ code?: string; message: string }> =>
  work.then(
    () => ({ message: 'no error' }),
    (error: { code?: string; message: string }) => error,
  );

describe('the lock of a run folder', function () {
  this.timeout(20_000);

  it('a second process is refused, and told the folder and the process that has it', () =>
    withFolder(async (folder) => {
      const { child, said } = await taker(folder, stay);
      expect(said).to.equal('taken');
      const { code, message } = await failureOf(lockFolder(folder));
      expect(code).to.equal('busy');
      expect(message).to.include(folder).and.to.include(`held by process ${child.pid};`);
      await kill(child);
    }));

  it('the lock of a process that was killed is taken over, and one that ended has left none', () =>
    withFolder(async (folder) => {
      const killed = await taker(folder, stay);
      await kill(killed.child);
      expect(existsSync(join(folder, lockName))).to.equal(true);
      const ended = await taker(folder, 'process.exit(0);');
      expect(ended.said).to.equal('taken');
      if (ended.child.exitCode === null) await once(ended.child, 'exit');
      expect(await readdir(folder)).to.deep.equal([]);
    }));

  it('two runs of one process are kept apart, by whatever path; one after the other is well', () =>
    withFolder(async (folder) => {
      const [real, other] = [join(folder, 'run'), join(folder, 'link')];
      await mkdir(real);
      await symlink(real, other);
      const release = await lockFolder(real);
      expect((await failureOf(lockFolder(other))).message).to.include(`held by process ${process.pid};`);
      await release();
      await (await lockFolder(other))();
      expect(await readdir(real)).to.deep.equal([]);
    }));

  const own = { pid: process.pid, host: hostname(), born: '1' };
  for (const [what, text] of [
    ['of an earlier process with the same pid', JSON.stringify(own)],
    ['that a crash of the machine has cut short', '{"pid": 1'],
  ] as const) {
    it(`a lock ${what} is taken over`, () =>
      withFolder(async (folder) => {
        await writeFile(join(folder, lockName), text);
        const release = await lockFolder(folder);
        expect(JSON.parse(await readFile(join(folder, lockName), 'utf8'))).to.include({ pid: process.pid });
        await release();
        expect(await readdir(folder)).to.deep.equal([]);
      }));
  }

  it('of another machine it is refused, with what to remove', () =>
    withFolder(async (folder) => {
      await writeFile(join(folder, lockName), JSON.stringify({ ...own, host: 'elsewhere' }));
      const { message } = await failureOf(lockFolder(folder));
      expect(message)
        .to.include(`process ${process.pid} of elsewhere`)
        .and.to.include(`remove ${join(folder, lockName)}`);
    }));

  it('of twelve who find the lock of a dead process at once, one gets it', () =>
    withFolder(async (folder) => {
      const killed = await taker(folder, stay);
      await kill(killed.child);
      const all = await Promise.all(Array.from({ length: 12 }, () => taker(folder, stay)));
      const taken = all.filter(({ said }) => said === 'taken');
      for (const { child } of all) if (child.exitCode === null) await kill(child);
      expect(taken).to.have.length(1);
      const others = all.filter(({ said }) => said !== 'taken');
      for (const { said } of others) expect(said).to.match(/^busy /);
    }));
});
