import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Command, CommanderError } from 'commander';
import { packageRoot } from '../../server/store/paths.ts';
import type { TrainedTask } from '../../tasks/training.node.ts';
import { FettleError, messageOf } from '../../training/core/errors.ts';
import { wantsJson } from './cli.ts';
import * as crappify from './commands/crappify.ts';
import * as exporting from './commands/export.ts';
import * as models from './commands/models.ts';
import * as serve from './commands/serve.ts';
import * as summary from './commands/summary.ts';
import * as training from './commands/training.ts';

/** The names that lead to a command, without the program's: `models list`. */
const pathOf = (command: Command): string =>
  command.parent === null ? '' : `${pathOf(command.parent)} ${command.name()}`.trimStart();

/** What the command line got wrong, in one sentence that names what there is; commander's own error for help and version. */
function explained(command: Command, error: CommanderError): Error {
  const isHelp = error.code === 'commander.help';
  if (error.exitCode === 0 || (isHelp && !wantsJson(command))) return error;
  const { parent } = command;
  const see = `see ${`fettle ${pathOf(command)}`.trimEnd()} --help`;
  const text = error.message.replace(/^error: /, '').replaceAll(/\s*\n\s*/g, ' ');
  const [, quoted = ''] = /'(.*?)'/.exec(text) ?? [];
  const where = command.parent === null ? '' : `${pathOf(command)}: `;
  if (isHelp || error.code === 'commander.unknownCommand') {
    const names = command.commands.map((one) => one.name()).join(', ');
    return new FettleError('bad-argument', `${where}expected one of ${names}, got ${isHelp ? 'none' : quoted}; ${see}`);
  }
  const others = error.code === 'commander.unknownOption' ? (parent?.commands ?? []) : [];
  const owners = others
    .filter(({ options }) => options.some(({ short, long }) => short === quoted || long === quoted))
    .map((one) => one.name());
  if (owners.length === 0) return new FettleError('bad-argument', `${where}${text.replace(/\.$/, '')}; ${see}`);
  const kind = parent?.parent ? 'task' : 'command';
  const message = `${quoted}: expected the ${kind} ${owners.join(' or ')}, got ${command.name()}; ${see}`;
  return new FettleError('bad-argument', message);
}

/** Errors of a command and of those below it state what is wrong with the line that was typed. */
function explainErrors(command: Command): void {
  command.exitOverride((error) => {
    throw explained(command, error);
  });
  for (const one of command.commands) explainErrors(one);
}

/**
 * createProgram(tasks): the command line, with the commands of these tasks. Each module of commands/ imports what is heavy (ONNX Runtime,
 * sharp) inside its action, so that `fettle --help` is instant. `parseAsync` throws FettleErrors, and CommanderErrors for help and version.
 */
export function createProgram(tasks: readonly TrainedTask[]): Command {
  const { version } = JSON.parse(readFileSync(join(packageRoot, 'package.json'), 'utf8')) as { version: string };
  const root = new Command('fettle')
    .description('Train, fine-tune and serve image and text models on the stock ONNX Runtime.')
    .version(version)
    .option('--json', 'print results as JSON lines, for machines')
    .configureOutput({
      outputError: () => {},
      // What is missing on the line is an error, not a page of help.
      writeErr: (text) => void (wantsJson(root) || process.stderr.write(text)),
    })
    .configureHelp({ showGlobalOptions: true });
  serve.register(root);
  for (const task of tasks) task.commands(root, tasks);
  training.register(root, tasks);
  models.register(root, tasks);
  crappify.register(root);
  summary.register(root);
  exporting.register(root, tasks);
  explainErrors(root);
  return root;
}

/** One clear line on stderr; the stack only of what we did not foresee, and only with FETTLE_DEBUG. */
function reportFailure(error: unknown, json: boolean): void {
  const code = error instanceof FettleError ? error.code : 'internal';
  const message = messageOf(error);
  const line = json ? JSON.stringify({ error: { code, message } }) : `fettle: ${message.replaceAll(/\s*\n\s*/g, ' ')}`;
  process.stderr.write(`${line}\n`);
  if (process.env.FETTLE_DEBUG && error instanceof Error) process.stderr.write(`${error.stack}\n`);
}

/** Runs the command line with the words behind `fettle`; returns the exit code and throws nothing. */
export async function runProgram(args: readonly string[], program: Command): Promise<number> {
  try {
    await program.parseAsync(args, { from: 'user' });
    return 0;
  } catch (error) {
    // Commander has already printed its help or version.
    if (error instanceof CommanderError) return error.exitCode;
    reportFailure(error, program.opts().json === true);
    // 130 is what a shell shows of a command that Ctrl-C ended.
    return error instanceof FettleError && error.code === 'stopped' ? 130 : 1;
  }
}
