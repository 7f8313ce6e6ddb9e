import { readHeader } from '../../training/pictures/decode.node.ts';
import { type Size, shortSideOf } from '../../training/pictures/sizes.ts';
import type { Transform } from '../../training/pictures/transforms/augment.ts';
import type { MaskedItem, SegmentData } from './folder.node.ts';
import { segmentSize } from './infer.ts';
import { type SegmentRunConfig, segmentRunDefaults } from './recipe.node.ts';

/** Any pictures: things may be turned a little, near or far, in another light. */
const anyPictures: readonly Transform[] = [
  { kind: 'flip', p: 0.5 },
  { kind: 'rotate', degrees: [-20, 20], p: 0.75 },
  { kind: 'zoom', scale: [0.8, 1.5], p: 0.75 },
  { kind: 'brightness', change: [0.3, 0.7], p: 0.75 },
  { kind: 'contrast', scale: [0.7, 1 / 0.7], p: 0.75 },
  { kind: 'tint', change: [0.42, 0.58], p: 0.5 },
  { kind: 'saturation', scale: [0.3, 1.5], p: 0.5 },
];

/** Pictures without an up and a down: from above, under a microscope, of a table. */
export const anyWayUp = (augmentation: readonly Transform[]): readonly Transform[] => [
  { kind: 'dihedral', p: 1 },
  { kind: 'rotate', degrees: [-45, 45], p: 0.75 },
  ...augmentation.filter(({ kind }) => kind !== 'flip' && kind !== 'rotate'),
];

/**
 * Pictures whose colours say nothing about the classes. A net that sees a few things only memorises their colours; here no two
 * looks at one agree in them, which leaves form and texture.
 */
export const anyColors = (augmentation: readonly Transform[]): readonly Transform[] => [
  ...augmentation.filter(({ kind }) => !['brightness', 'contrast', 'tint', 'saturation'].includes(kind)),
  { kind: 'brightness', change: [0.2, 0.8], p: 0.9 },
  { kind: 'contrast', scale: [0.5, 2], p: 0.9 },
  { kind: 'tint', change: [0.1, 0.9], p: 0.9 },
  { kind: 'saturation', scale: [0, 1.5], p: 0.9 },
];

const landscape = (shortSide: number): Size => segmentSize({ width: 4, height: 3 }, shortSide);

/** Some tens of photos, starting from a trained model: minutes on two cores. Sizes are of 4:3 photos; see {@link fitToPhotos}. */
export const segmentRetrainDefaults: SegmentRunConfig = {
  ...segmentRunDefaults,
  // Whole photos: what distinguishes things may be their outline, which a crop cuts.
  stages: [
    { epochs: 24, size: landscape(112) },
    { epochs: 12, size: landscape(144) },
    { epochs: 6, size: landscape(192) },
  ],
  passes: 1,
  validSize: landscape(192),
  lr: 4e-3,
  pctStart: 0.2,
  balance: 0.5,
  emaDecay: 0.99,
  augmentation: anyPictures,
  fineTune: { freezeEpochs: 1, lrMult: 3 },
};

/** Updates between two looks at the held-out photos. */
const updatesPerEpoch = 60;

/** The middle one of the photos' shapes, width / height. */
async function medianShape(items: readonly MaskedItem[]): Promise<number> {
  const shapes: number[] = [];
  for (const { path } of items) {
    // What cannot be read is named when all pairs are looked at.
    const size = await readHeader(path).catch(() => undefined);
    if (size !== undefined) shapes.push(size.width / size.height);
  }
  shapes.sort((a, b) => a - b);
  return shapes[shapes.length >> 1] ?? 4 / 3;
}

/**
 * fitToPhotos: `config` for these photos: its sizes in the shape that most of them have, no batch larger than all of them, and as many
 * passes as make an epoch of some tens of updates.
 */
export async function fitToPhotos(config: SegmentRunConfig, { train }: SegmentData): Promise<SegmentRunConfig> {
  const shape = await medianShape(train);
  const shaped = (size: Size): Size => segmentSize({ width: 1000 * shape, height: 1000 }, shortSideOf(size));
  const batchSize = Math.max(1, Math.min(config.batchSize, train.length));
  return {
    ...config,
    stages: config.stages.map((stage) => ({ ...stage, size: shaped(stage.size) })),
    validSize: shaped(config.validSize),
    batchSize,
    passes: Math.max(1, Math.round(updatesPerEpoch / Math.max(1, Math.floor(train.length / batchSize)))),
  };
}
