import { readFileSync, rmSync } from 'node:fs';
import { link, readFile, realpath, rename, rm, writeFile } from 'node:fs/promises';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { ensure, FettleError } from '../core/errors.ts';

/** The file that states which process works in a folder. */
export const lockName = 'run.lock';

/** The content of a lock. `born` distinguishes two processes that had the same pid, one after the other; '' where it is unknown. */
interface Holder {
  readonly pid: number;
  readonly host: string;
  readonly born: string;
}

/** Locks that this process holds: they go when it exits. After a kill they stay, and are taken over. */
const held = new Set<string>();
process.on('exit', () => {
  for (const path of held) rmSync(path, { force: true });
});

/**
 * When a process began, in ticks since the machine's start: field 22 of /proc/PID/stat (proc(5)); '' where there is no such
 * file, `never` for one that is over but that its parent has not asked after (state Z).
 */
function bornAt(pid: number): string {
  try {
    const text = readFileSync(`/proc/${pid}/stat`, 'latin1');
    // Field 2, the name, may hold blanks and brackets.
    const fields = text.slice(text.lastIndexOf(')') + 2).split(' ');
    return fields[0] === 'Z' ? 'never' : fields[19]!;
  } catch {
    return '';
  }
}

function isRunning(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    // A process of another user's is there, but may not be signalled.
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}

/** Whether the process that wrote a lock is over. That of another machine's process is not known, so it counts as running. */
function isOver({ pid, host, born }: Holder, path: string): boolean {
  if (host !== hostname()) return false;
  if (!isRunning(pid)) return true;
  const now = bornAt(pid);
  if (born !== '' && now !== '') return born !== now;
  return pid === process.pid && !held.has(path);
}

/** The content of a lock; undefined when a crash of the machine has cut it short. */
function parseHolder(text: string): Holder | undefined {
  try {
    const holder = JSON.parse(text) as Holder;
    return Number.isInteger(holder.pid) && holder.pid > 0 ? holder : undefined;
  } catch {
    return undefined;
  }
}

const unless =
  <T>(code: string, value: T) =>
  (error: NodeJS.ErrnoException): T => {
    if (error.code === code) return value;
    throw error;
  };

/** Makes the lock with its whole text at once; false when there is one. */
async function makeLock(path: string, text: string): Promise<boolean> {
  const temporary = `${path}.${process.pid}.tmp`;
  await writeFile(temporary, text);
  try {
    await link(temporary, path);
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false;
    // Some file systems have no hard links.
    return await writeFile(path, text, { flag: 'wx' }).then(() => true, unless('EEXIST', false));
  } finally {
    await rm(temporary, { force: true });
  }
}

/** Removes the lock with the content `text`. Another, which a process has made in the meantime, is put back. */
async function removeStale(path: string, text: string): Promise<void> {
  const aside = `${path}.stale.${process.pid}.tmp`;
  const moved = await rename(path, aside).then(() => true, unless('ENOENT', false));
  if (!moved) return;
  if ((await readFile(aside, 'utf8')) !== text) await link(aside, path).catch(unless('EEXIST', undefined));
  await rm(aside, { force: true });
}

function refuse(folder: string, path: string, { pid, host }: Holder): never {
  const elsewhere = host === hostname() ? '' : ` of ${host}`;
  const then = elsewhere === '' ? '' : `, or remove ${path} if that one is over`;
  throw new FettleError(
    'busy',
    `run: expected a folder in which no process works, got ${folder}, held by process ${pid}${elsewhere}; wait until it has ended, or choose another folder (--out)${then}`,
  );
}

/**
 * lockFolder: takes an existing folder for this process and gives what lets it go. Throws `busy`, naming folder and pid,
 * when another process, or another run of this one, has it; the lock of a process that is over is taken over.
 */
export async function lockFolder(folder: string): Promise<() => Promise<void>> {
  const path = join(await realpath(folder), lockName);
  const { pid } = process;
  const text = JSON.stringify({ pid, host: hostname(), born: bornAt(pid) } satisfies Holder);
  // More than once, because others may come and go between two looks.
  for (let attempt = 0; attempt < 10; attempt++) {
    if (await makeLock(path, text)) {
      held.add(path);
      return async () => {
        held.delete(path);
        await rm(path, { force: true });
      };
    }
    const found = await readFile(path, 'utf8').catch(unless('ENOENT', undefined));
    if (found === undefined) continue;
    const holder = parseHolder(found);
    if (holder !== undefined && !isOver(holder, path)) refuse(folder, path, holder);
    // Without hard links a lock may be there before its text is.
    if (holder === undefined) await setTimeout(200);
    await removeStale(path, found);
  }
  ensure(
    false,
    'busy',
    () => `run: expected to take ${folder}, got others there again and again; choose another folder`,
  );
}
