import { join } from 'node:path';
import { writeDurably } from '../../training/core/durable.node.ts';
import type { Learner } from '../../training/learner/learner.ts';
import type { Callback } from '../../training/loop/fit-loop.ts';
import { plotTopLosses, showResults } from '../../training/report/cells.node.ts';
import { plotConfusion } from '../../training/report/confusion.ts';
import { confusionOver } from '../../training/report/interpret.ts';
import { svgToPng } from '../../training/report/png.node.ts';
import type { SegmentData } from './folder.node.ts';

/* What a run of segmentation draws: validation pictures after each epoch, and at the end where the best weights go wrong. */

/** How the masks of these data are drawn. */
const looks = ({ classes, voidId }: SegmentData) => ({
  names: classes.map(({ name }) => name),
  colors: classes.map(({ color }) => color),
  ignoreId: voidId,
});

/** A picture of the first validation pictures under their masks and the predicted ones, after each epoch. */
export const pictureCallback = (out: string, data: SegmentData, learner: () => Learner): Callback => ({
  name: 'picture',
  // While the averaged weights are in place (see `ema`).
  order: 60,
  numbers: ['params', 'buffers'],
  afterValidate: async ({ row }) => {
    const svg = await showResults(learner(), { count: 4, columns: 2, ...looks(data) });
    // The epochs of an earlier phase are in the history.
    const epoch = learner().history.rows.length + row!.epoch;
    await writeDurably(join(out, `epoch-${String(epoch).padStart(3, '0')}.png`), await svgToPng(svg));
  },
});

/** Draws which class was taken for which (share of each row's pixels) and the worst validation pictures, with the weights of the learner. */
export async function drawMistakes(out: string, data: SegmentData, learner: Learner): Promise<void> {
  const look = looks(data);
  const confusion = await confusionOver(learner, { ignore: data.voidId });
  await writeDurably(
    join(out, 'confusion.png'),
    await svgToPng(plotConfusion(confusion, look.names, { shares: true })),
  );
  const worst = await plotTopLosses(learner, { count: 6, columns: 2, ...look });
  await writeDurably(join(out, 'top-losses.png'), await svgToPng(worst));
}
