import { SingleBar } from 'cli-progress';

/** Shows how far a command is, on stderr. */
export interface Progress {
  update(done: number, total: number): void;
  stop(): void;
}

/** createProgress: a bar on a terminal; elsewhere a plain line now and then; with `silent` (for `--json`) nothing. */
export function createProgress(what: string, options: { readonly silent?: boolean } = {}): Progress {
  if (options.silent) return { update: () => {}, stop: () => {} };
  return process.stderr.isTTY ? barProgress(what) : lineProgress(what);
}

function barProgress(what: string): Progress {
  const bar = new SingleBar({ format: `${what} {bar} {value}/{total} {eta_formatted}`, stream: process.stderr });
  let started = false;
  return {
    update: (done, total) => {
      if (started) bar.update(done);
      else bar.start(total, done);
      started = true;
    },
    stop: () => bar.stop(),
  };
}

const LINE_INTERVAL_MS = 5000;

function lineProgress(what: string): Progress {
  let last = Date.now();
  return {
    update: (done, total) => {
      if (done < total && Date.now() - last < LINE_INTERVAL_MS) return;
      last = Date.now();
      process.stderr.write(`${what}: ${done} of ${total}\n`);
    },
    stop: () => {},
  };
}
