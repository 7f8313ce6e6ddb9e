import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Command, CommanderError } from 'commander';
import { packageRoot } from '../../server/store/paths.ts';
import * as classify from '../../tasks/classify/cli.node.ts';
import * as restore from '../../tasks/restore/cli.node.ts';
import * as segment from '../../tasks/segment/cli.node.ts';
import * as generate from '../../tasks/text/cli.node.ts';
import { FettleError, messageOf } from '../../training/core/errors.ts';
import * as crappify from './commands/crappify.ts';
import * as exporting from './commands/export.ts';
import * as models from './commands/models.ts';
import * as retrain from './commands/retrain.ts';
import * as serve from './commands/serve.ts';
import * as summary from './commands/summary.ts';
import * as train from './commands/train.ts';

/**
 * One file of commands/ per command, each exporting `register(program)`. They import what is heavy (ONNX Runtime,
 * sharp) inside their action, so that `fettle --help` is instant.
 */
const commands: readonly { readonly register: (program: Command) => void }[] = [
  serve,
  restore,
  segment,
  classify,
  models,
  crappify,
  train,
  retrain,
  generate,
  summary,
  exporting,
];

/** The command line as commander has it, not yet run. */
export function createProgram(): Command {
  const { version } = JSON.parse(readFileSync(join(packageRoot, 'package.json'), 'utf8')) as { version: string };
  const program = new Command('fettle')
    .description('Train, fine-tune and serve image and text models on the stock ONNX Runtime.')
    .version(version)
    .option('--json', 'print results as JSON lines, for machines')
    .showHelpAfterError('(fettle --help tells what there is)')
    .exitOverride();
  for (const command of commands) command.register(program);
  return program;
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
export async function runProgram(args: readonly string[], program: Command = createProgram()): Promise<number> {
  try {
    await program.parseAsync(args, { from: 'user' });
    return 0;
  } catch (error) {
    // Commander has already printed its own help, version or usage line.
    if (error instanceof CommanderError) return error.exitCode;
    reportFailure(error, program.opts().json === true);
    // 130 is what a shell shows of a command that Ctrl-C ended.
    return error instanceof FettleError && error.code === 'stopped' ? 130 : 1;
  }
}
