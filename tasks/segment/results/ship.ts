import { ship } from '../../../scripts/results/ship.ts';
import type { SegmentData } from '../folder.node.ts';
import { exportSegment } from '../net.ts';
import type { SegmentScore } from '../score.node.ts';
import type { SegmentRun } from './camvid.ts';

const dataText = `CamVid in SegNet's form: 701 frames of four videos of Cambridge, 480 x 360, 11 classes and void; 367 to train on, 101 to validate, 233 to test, the
published split. G. J. Brostow, J. Shotton, J. Fauqueur, R. Cipolla, "Segmentation and Recognition Using Structure from Motion Point Clouds", ECCV 2008;
G. J. Brostow, J. Fauqueur, R. Cipolla, "Semantic Object Classes in Video", Pattern Recognition Letters 2009. The data is given for research. No other
pictures and no pretrained weights were used.`;

const licenceText = `Research only.

The weights in this folder were trained on CamVid (G. J. Brostow, J. Shotton, J. Fauqueur, R. Cipolla; University of Cambridge), which is given for
research, without a licence that would allow more. Use them for research and for trying the software out, not in a product. They are
part of the repository and not of the npm package. The code around them is licensed under Apache-2.0.
`;

const percent = (share: number): string => `${(100 * share).toFixed(1)} %`;

/** Seconds of all epochs, as hours. */
const hours = ({ rows }: SegmentRun): string => (rows.reduce((sum, row) => sum + row.seconds, 0) / 3600).toFixed(1);

/** A run's recipe as a sentence or two; `index` is its place in the row of runs that continue each other. */
function recipe(run: SegmentRun, index: number): string {
  const { rows, best } = run;
  const { config } = run.run;
  const { stages, passes, batchSize, augmentation = [] } = config;
  const total = stages.reduce((sum, stage) => sum + stage.epochs, 0);
  const list = stages
    .map(({ epochs, size, zoom }) => {
      const enlarged = zoom === undefined ? '' : ` (enlarged ${zoom.join(' to ')} times about a random place)`;
      return `${epochs * passes} passes at ${size.width} x ${size.height}${enlarged}`;
    })
    .join(', ');
  const done = `${rows.length * passes} of the ${total * passes} passes`;
  const ended = rows.length === total ? '' : ` The run was ended after ${done}.`;
  const kinds = augmentation.map(({ kind }) => kind).join(', ') || 'flip, zoom, brightness, contrast';
  return `${index + 1}. From ${index === 0 ? 'random weights' : `the weights of run ${index}`}, seed ${config.seed}: ${list}; batches of ${batchSize}; AdamW, one-cycle, highest rate ${config.lr}, weight decay ${config.wd};
   random ${kinds}; cross-entropy without void pixels, label smoothing ${config.labelSmoothing}, class weights (median share / share)^${config.balance}; the weights are an exponential
   mean (decay ${config.emaDecay}) of those of the steps, taken after pass ${(best.epoch + 1) * passes}, which had the best mean IoU on the validation part (${percent(best.metrics.iou!)}).${ended} ${hours(run)} hours
   on one thread of a shared CPU.`;
}

/** The commands of runs that continue each other. */
const commands = (runs: readonly SegmentRun[]): string =>
  runs
    .map(({ run: { config } }, i) => {
      const from = i === 0 ? '' : ` --from runs/segment-${i}/model.onnx`;
      return `fettle train segment --data $FETTLE_DATA/camvid${from} --out runs/segment-${i + 1} --threads 1 --seed ${config.seed}`;
    })
    .join('\n');

function card(runs: readonly SegmentRun[], { classes }: SegmentData, valid: SegmentScore, test: SegmentScore): string {
  const rows = classes.map(({ name }, id) => `| ${name} | ${percent(valid.iou[id]!)} | ${percent(test.iou[id]!)} |`);
  return `# segment, version 1

Gives every pixel of a street scene one of ${classes.length} classes. fastai's DynamicUnet on a small residual encoder.

## Data
${dataText}

## Training
\`\`\`
${commands(runs)}
\`\`\`
${runs.length === 1 ? '' : `The command's defaults (stages, zoom, colours, rate) became better from run to run; they were in each:\n`}
${runs.map(recipe).join('\n')}

## Numbers
Against the published masks at their own size, 480 x 360; void pixels do not count. Pictures go through the net with a short side of ${valid.shortSide} px, the
best of three on the validation part; the test part was not used for model selection.

The two parts measure different things. All validation frames are of the drive \`0016E5\`, of which the training part has 204 others: they measure known streets. Of
the test frames 171 are of a drive without training frames, and 62 of one at dusk: they show what to expect elsewhere.

| | val (${valid.pictures}) | test (${test.pictures}) |
|---|---|---|
| pixel accuracy | ${percent(valid.accuracy)} | ${percent(test.accuracy)} |
| mean IoU | ${percent(valid.meanIou)} | ${percent(test.meanIou)} |
${rows.join('\n')}

For comparison, on the test part: SegNet-style upsampling 86.8 %, FC-DenseNet56 88.9 % accuracy (from scratch, full size, on graphics cards). The lesson's 94.1 % is on
another class set, on its validation part, and with an encoder pretrained on ImageNet.

## Limits
Four videos of one town, by day (and dusk): other towns, seasons, weather, night and cameras may go wrong, and what belongs to none of the ${classes.length} classes gets one of them all the
same. Thin and rare things (poles, signs, people, bicycles) are missed often, see the table. Not for driving, nor for anything where a mistake harms.

## Licence
Research only, as the data is; see LICENSE.
`;
}

/** Puts the best weights of the last of the runs, which continue each other, into models/zoo/segment/1. */
export async function shipSegment(
  runs: readonly SegmentRun[],
  data: SegmentData,
  valid: SegmentScore,
  test: SegmentScore,
): Promise<void> {
  const run = runs.at(-1)!;
  const net = { ...run.run.config.model, classes: data.classes.length };
  const { model, spec } = exportSegment(net, run.weights, { classes: data.classes, shortSide: valid.shortSide });
  const metrics = {
    valAccuracy: valid.accuracy,
    valMeanIou: valid.meanIou,
    testAccuracy: test.accuracy,
    testMeanIou: test.meanIou,
  };
  const description = 'street scenes, a class for every pixel; trained on CamVid, research only';
  const target = await ship(
    { name: 'segment', task: 'segment', description, segment: spec, metrics },
    { 'model.onnx': model, 'card.md': card(runs, data, valid, test), LICENSE: licenceText },
  );
  process.stdout.write(`${target}: ${model.length} bytes\n`);
}
