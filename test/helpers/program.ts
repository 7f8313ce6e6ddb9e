import { createProgram, runProgram } from '../../scripts/cli/program.ts';
import type { Finished } from './command.ts';

/** Runs the command line in this process, for commands that start nothing; the current folder is the repository. */
export async function fettleHere(...args: readonly string[]): Promise<Finished> {
  const written = { stdout: '', stderr: '' };
  const streams = ['stdout', 'stderr'] as const;
  const writes = streams.map((name) => process[name].write);
  for (const name of streams) {
    process[name].write = (text: Uint8Array | string): boolean => {
      written[name] += text;
      return true;
    };
  }
  try {
    return { code: await runProgram(args), ...written };
  } finally {
    for (const [i, name] of streams.entries()) process[name].write = writes[i]!;
  }
}

/** What `fettle … --help` prints; null for a command that does not exist. */
export function helpOf(...path: readonly string[]): string | null {
  let command = createProgram();
  for (const name of path) {
    const found = command.commands.find((one) => one.name() === name);
    if (found === undefined) return null;
    command = found;
  }
  const parts: string[] = [];
  command.configureOutput({ writeOut: (part) => void parts.push(part) }).outputHelp();
  return parts.join('');
}
