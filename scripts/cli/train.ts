import { join } from 'node:path';
import type { Command } from 'commander';
import type { TrainedTask, TrainOptions } from '../../tasks/training.node.ts';
import { note, report } from './cli.ts';
import { placeOf, runPlanned, writeModel } from './running.ts';

/** `fettle train TASK`: the folder of the run has the model at the end. */
export async function train(
  command: Command,
  { name, load }: TrainedTask,
  options: TrainOptions & { readonly out?: string; readonly resume?: boolean },
): Promise<void> {
  const { out = join('runs', name), resume } = options;
  const training = await load();
  const run = await training.plan(options, { verb: 'train', onNote: note });
  const result = await runPlanned(command, training, run, { ...(await placeOf(options)), out, resume });
  const path = await writeModel(out, training.export(result, run).model);
  const { data, text } = training.summarise(result, run);
  report(command, { model: path, ...data }, `${text}; ${path}`);
}
