import { type BackboneName, backbones } from '../../models/backbones.ts';
import { type ClassifierHeadOptions, classifier, classifierGroups } from '../../models/classifier.ts';
import { type DynamicUnetConfig, dynamicUnet, unetGroups } from '../../models/dynamic-unet.ts';
import type { Encoder } from '../../models/encoder.ts';
import { ensure } from '../core/errors.ts';
import type { Statistics } from '../core/image.ts';
import type { Loss, Model } from '../learner/compiled.ts';
import { loadWeightsFile } from '../learner/export.ts';
import { splitByPrefix } from '../learner/groups.ts';
import { createLearner, type Learner } from '../learner/learner.ts';
import type { LearnerOptions } from '../learner/options.ts';
import { normaliseChannels } from '../nn/common.ts';
import { crossEntropyLoss } from '../nn/losses.ts';
import type { WeightReport, WeightRules } from '../weights/match.ts';
import type { WeightFile } from '../weights/read.ts';

/** What the learners of pictures have in common. */
interface EncoderLearnerOptions extends Omit<LearnerOptions, 'model' | 'loss' | 'splitter'> {
  /** The name of a backbone (`resnet34`), or an encoder such as `smallEncoder()`. */
  readonly encoder: Encoder | BackboneName;
  /** Number of classes, or of outputs for a loss of your own; the number of the data's `vocab` by default. */
  readonly classes?: number;
  /** Cross-entropy by default. */
  readonly loss?: Loss;
  /** For pictures that come with values 0..1: the net normalises them itself. Omit it where the data block normalises. */
  readonly normalisation?: Statistics;
  /** Weights of the encoder, under its own names: a file of torchvision's, for example. With them the learner starts frozen, as fastai's does. */
  readonly pretrained?: Uint8Array | WeightFile;
  /** How the first convolution is fitted to pictures of other than its channels. */
  readonly inputChannels?: WeightRules['inputChannels'];
  /** Receives what became of every name of `pretrained`. */
  readonly onWeights?: (report: WeightReport) => void;
}

export interface VisionLearnerOptions extends EncoderLearnerOptions {
  readonly head?: Omit<ClassifierHeadOptions, 'classes'>;
}

export interface UnetLearnerOptions extends EncoderLearnerOptions {
  /** Of the decoder: see `dynamicUnet`. */
  readonly unet?: Omit<DynamicUnetConfig, 'classes'>;
}

/** The learner of `net` on the encoder, with its weights; the groups are early layers, late layers and the rest. */
async function encoderLearner(
  where: string,
  options: EncoderLearnerOptions,
  groups: (encoder: Encoder) => readonly (readonly string[])[],
  net: (encoder: Encoder, classes: number) => Model,
): Promise<Learner> {
  const {
    encoder: named,
    classes = options.data.vocab?.length ?? 0,
    loss = crossEntropyLoss,
    normalisation,
    pretrained,
    inputChannels,
    onWeights,
    ...rest
  } = options;
  const encoder = typeof named === 'string' ? backbones[named]?.encoder : named;
  ensure(typeof encoder?.features === 'function', 'bad-argument', () => {
    return `${where}: expected encoder as one of ${Object.keys(backbones).join(', ')} or an encoder, got ${named}`;
  });
  const least = loss === crossEntropyLoss ? 2 : 1;
  ensure(classes >= least, 'bad-argument', () => {
    return `${where}: expected ${least} classes or more, got ${classes}; give data with a vocab, or classes`;
  });
  const model = net(encoder, classes);
  const learner = await createLearner({
    ...rest,
    model: (scope, x) => model(scope, normalisation ? normaliseChannels(x, normalisation) : x),
    loss,
    splitter: splitByPrefix(...groups(encoder)),
  });
  if (pretrained === undefined) return learner;
  const fitting = inputChannels === undefined ? {} : { inputChannels };
  const report = loadWeightsFile(learner, pretrained, { strict: false, prefix: 'encoder.', ...fitting });
  ensure(report.matched.length + report.adapted.length > 0, 'bad-checkpoint', () => {
    const name = learner.state.specs[0]!.name.replace('encoder.', '');
    return `${where}: expected weights of the encoder (${name}, ...), got a file of another net; choose its encoder`;
  });
  onWeights?.(report);
  await learner.freeze();
  return learner;
}

/**
 * visionLearner: fastai's learner of classes of pictures: x f32[N,C,H,W], y int32[N]; an encoder under a new head. Three parameter groups: early
 * layers, late layers, head. With `pretrained` only the head is trained until `unfreeze`, `freezeTo` or `fineTune`. Throws `bad-checkpoint`
 * when none of the file's tensors fits.
 */
export const visionLearner = ({ head = {}, ...options }: VisionLearnerOptions): Promise<Learner> =>
  encoderLearner('visionLearner', options, classifierGroups, (encoder, classes) => {
    return (scope, x) => classifier(scope, x, encoder, { ...head, classes });
  });

/**
 * unetLearner: fastai's learner of classes of pixels: x f32[N,C,H,W], y int32[N,H,W]; a U-Net whose way down is the encoder. With another `loss` (and
 * `classes` 3, say) it makes pictures. Groups, `pretrained` and errors as for {@link visionLearner}.
 */
export const unetLearner = ({ unet = {}, ...options }: UnetLearnerOptions): Promise<Learner> =>
  encoderLearner('unetLearner', options, unetGroups, (encoder, classes) => {
    return (scope, x) => dynamicUnet(scope, x, encoder, { ...unet, classes });
  });
