import { report, withOptions } from '../../../scripts/cli/cli.ts';
import { option, trainOptions, whole } from '../../../scripts/cli/options.ts';
import { openRunner, type PictureOptions, pictureOptions } from '../../../scripts/cli/pictures.ts';
import type { TrainedTask } from '../../../tasks/training.node.ts';

/** A task that is one more row, for tests: it learns from a table of colours how bright a picture is. */
export const brightnessTask: TrainedTask = {
  name: 'brightness',
  makes: 'a model that states how bright a picture is',
  options: () => [
    ...trainOptions({ data: 'a table of r,g,b,brightness', batch: 'lines per step', workers: 'unused' }),
    option('--held-out <n>', 'lines at the end that are held out', whole(1, 1000), 4),
  ],
  served: new URL('./served.js', import.meta.url),
  commands: (program, all) => {
    const command = program.command('brightness').description('how bright a picture is').argument('<in>', 'a picture');
    withOptions(command, ...pictureOptions('brightness'));
    command.action(async (input: string, options: PictureOptions) => {
      const runner = await openRunner((await import('./serve.node.ts')).brightnessTask, options, all);
      try {
        const { brightness } = (await runner.run(input, { unit: 'share' })).result;
        report(command, { brightness }, brightness.toFixed(3));
      } finally {
        await runner.close();
      }
    });
  },
  contract: async () => (await import('./contract.ts')).brightnessContract,
  load: async () => (await import('./train.node.ts')).brightnessTraining,
};
