import { writeFile } from 'node:fs/promises';
import type { Command } from 'commander';
import type { TrainedTask, TrainOptions } from '../../tasks/training.node.ts';
import { svgToPng } from '../../training/report/png.node.ts';
import { plotLrFind } from '../../training/report/recorder-plots.ts';
import { note, report } from './cli.ts';
import { placeOf } from './running.ts';

/** `fettle lr-find TASK`: the range test on the net and the data that `fettle train TASK` would begin with, or of texts on posts as for `retrain`. */
export async function lrFind(
  command: Command,
  { load }: TrainedTask,
  options: TrainOptions & { readonly out: string; readonly iterations: number },
): Promise<void> {
  const { out, iterations } = options;
  const training = await load();
  const run = await training.plan(options, { verb: 'lr-find', onNote: note });
  const place = { ...(await placeOf(options)), out, resume: false };
  const { learner, close } = await training.openLearner({ ...run, ...place });
  try {
    const found = await learner.lrFind({ iterations });
    const svg = plotLrFind(found);
    await writeFile(out, /\.svg$/i.test(out) ? svg : await svgToPng(svg));
    const { valley, steep, minimum } = found;
    const rate = (value: number): string => value.toExponential(1);
    report(
      command,
      { suggestion: valley, ...found, plot: out },
      `suggested: --lr ${rate(valley)} (steepest descent ${rate(steep)}, a tenth of the lowest ${rate(minimum)}); ${out}`,
    );
  } finally {
    await close();
  }
}
