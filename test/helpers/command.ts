import { type ChildProcess, spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { expect } from 'chai';

const cli = fileURLToPath(new URL('../../scripts/fettle.js', import.meta.url));

export interface Finished {
  /** The exit code; -1 when a signal ended it. */
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

export interface FettleOptions {
  readonly cwd: string;
  /** Sees the process and all that it has written to stderr, each time that something comes. */
  readonly onStderr?: (child: ChildProcess, text: string) => void;
}

/** Runs the command line. */
export function fettle({ cwd, onStderr }: FettleOptions, ...args: readonly string[]): Promise<Finished> {
  const child = spawn(process.execPath, [cli, ...args], { cwd, stdio: ['ignore', 'pipe', 'pipe'] });
  let [stdout, stderr] = ['', ''];
  child.stdout.on('data', (text: Buffer) => {
    stdout += text;
  });
  child.stderr.on('data', (text: Buffer) => {
    stderr += text;
    onStderr?.(child, stderr);
  });
  return new Promise((resolve) => {
    child.on('close', (code) => resolve({ code: code ?? -1, stdout, stderr }));
  });
}

/** Runs the command line with `--json`; what it prints must be one line. */
export async function fettleJson(cwd: string, ...args: readonly string[]): Promise<Record<string, unknown>> {
  const { code, stdout, stderr } = await fettle({ cwd }, '--json', ...args);
  expect(code, stderr).to.equal(0);
  expect(stdout.trim().split('\n'), stderr).to.have.length(1);
  return JSON.parse(stdout) as Record<string, unknown>;
}
