import { join } from 'node:path';
import { dataFolder } from '../../../scripts/results/data.ts';
import { readRunFiles } from '../../../scripts/results/run-files.ts';
import { ship } from '../../../scripts/results/ship.ts';
import { listImages } from '../../../training/pictures/items.node.ts';
import { restoreCard } from '../card.ts';
import { exportRestore } from '../net.ts';
import type { RestoreRunConfig, RestoreRunResult } from '../recipe.node.ts';

/*
 * Puts what a run of `fettle train restore` has reached into models/zoo/restore/1.
 *   node dist/tasks/restore/results/ship.js [RUN_FOLDER]
 * Cards of shipped models name data and licence, which the run does not know: they are here.
 */

const facts = {
  name: 'restore, version 1',
  data: `A sample of 193 photos (36 breeds, every side at least 256 px) of the Oxford-IIIT Pet data set: O. M. Parkhi, A. Vedaldi, A. Zisserman, C. V. Jawahar,
"Cats and Dogs", CVPR 2012. Licence of the data set: CC BY-SA 4.0; the copyright of each photo stays with its photographer. See docs/data.md.`,
  licence: `The weights are offered under CC BY-SA 4.0, the licence of the data they were trained on, with attribution to the data set's authors above.`,
  command: 'fettle train restore --data $FETTLE_DATA/sr/pets --out runs/restore --seed 1',
};

const licenceText = `The weights in this folder are licensed under the Creative Commons Attribution-ShareAlike 4.0 International licence
(https://creativecommons.org/licenses/by-sa/4.0/legalcode).

They were trained on photos of the Oxford-IIIT Pet data set (O. M. Parkhi, A. Vedaldi, A. Zisserman, C. V. Jawahar, "Cats and
Dogs", CVPR 2012), which is licensed under the same terms. The code around them is licensed under Apache-2.0.
`;

/** What a run of restore wrote beside its weights. */
interface Run {
  readonly config: RestoreRunConfig;
  readonly train: readonly string[];
}

const { run, ...files } = await readRunFiles<Run>(process.argv[2] ?? 'runs/restore');
const { config, train } = run;
const trained = new Set(train);
const heldOut = (await listImages(join(dataFolder(), 'sr/pets'))).filter(({ name }) => !trained.has(name));
const result: RestoreRunResult = { ...files, trained: train.length, heldOut, failures: [] };
const { model, spec } = exportRestore(config.model, result.weights);
const { psnr, input_psnr: input, undamaged_psnr: undamaged } = result.best.metrics;
const target = await ship(
  {
    name: 'restore',
    task: 'restore',
    description: 'JPEG damage, drawn numbers and blur removed; trained on photos of Oxford-IIIT Pet',
    image: spec,
    metrics: { heldOutPsnrDb: psnr!, heldOutInputPsnrDb: input!, undamagedPsnrDb: undamaged! },
  },
  { 'model.onnx': model, 'card.md': restoreCard(facts, config, result), LICENSE: licenceText },
);
process.stdout.write(
  `${target}: epoch ${result.best.epoch}, ${psnr!.toFixed(2)} dB held out (input ${input!.toFixed(2)}), ${model.length} bytes\n`,
);
