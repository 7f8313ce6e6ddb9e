import { createProgram, runProgram } from '../../scripts/cli/program.ts';
import { trained } from '../../tasks/trained.node.ts';
import type { TrainedTask } from '../../tasks/training.node.ts';
import type { Finished } from './command.ts';

/** Runs the command line in this process, for commands that start nothing; the current folder is the repository. */
export const fettleHere = (...args: readonly string[]): Promise<Finished> => fettleWith(trained, ...args);

/** The same with other tasks. */
export async function fettleWith(tasks: readonly TrainedTask[], ...args: readonly string[]): Promise<Finished> {
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
    return { code: await runProgram(args, createProgram(tasks)), ...written };
  } finally {
    for (const [i, name] of streams.entries()) process[name].write = writes[i]!;
  }
}

/** What `fettle … --help` prints; null for a command that does not exist. */
export const helpOf = (...path: readonly string[]): string | null => helpWith(trained, ...path);

/** The same with other tasks. */
export function helpWith(tasks: readonly TrainedTask[], ...path: readonly string[]): string | null {
  let command = createProgram(tasks);
  for (const name of path) {
    const found = command.commands.find((one) => one.name() === name);
    if (found === undefined) return null;
    command = found;
  }
  const parts: string[] = [];
  command.configureOutput({ writeOut: (part) => void parts.push(part) }).outputHelp();
  return parts.join('');
}
