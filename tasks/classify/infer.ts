import { ensure } from '../../training/core/errors.ts';
import type { Image } from '../../training/core/image.ts';
import { type Tensor, tensor } from '../../training/core/tensor.ts';
import { frameFor, frameMatrix } from '../../training/pictures/transforms/frame.ts';
import { overWhite } from '../../training/pictures/transforms/opaque.ts';
import { samplePlanes, unitTable } from '../../training/pictures/transforms/resample.ts';
import type { Session } from '../../training/run/session.ts';
import type { ClassifyModelSpec } from './contract.ts';

/*
 * From a picture to what a classifier takes, and from its probabilities back to labels: the same code in training, on the server
 * and in the browser.
 */

/** Planes of R, G and B of a grey picture's one. */
function repeatGrey(data: Float32Array, plane: number): void {
  data.copyWithin(plane, 0, plane);
  data.copyWithin(2 * plane, 0, plane);
}

/**
 * classifyInput: a picture u8, grey, RGB, or RGBA (put on white) -> f32[1,3,H,W] 0..1 of the model's size: the pixels that a validation
 * sample of a data block with the same `resize` has.
 */
export function classifyInput(
  image: Image,
  spec: Pick<ClassifyModelSpec, 'width' | 'height' | 'resize'>,
): Tensor<'float32'> {
  const { width, height, resize } = spec;
  const opaque = image.channels === 4 ? overWhite(image) : image;
  const data = new Float32Array(3 * width * height);
  const matrix = frameMatrix(frameFor(image, spec, resize), spec);
  const tables = Array.from({ length: opaque.channels }, () => unitTable);
  samplePlanes(opaque, { matrix, size: { width, height }, padding: 'reflection' }, tables, data);
  if (opaque.channels === 1) repeatGrey(data, width * height);
  return tensor('float32', [1, 3, height, width], data);
}

/** A class and how probable it is, 0..1. */
export interface LabelProbability {
  readonly label: string;
  readonly probability: number;
}

/** topLabels: probabilities f32[1,K] of K classes -> the `top` most likely (all, if there are fewer), most likely first; of equal ones in the order of the classes. */
export function topLabels(
  { data }: Tensor<'float32'>,
  classes: readonly string[],
  top: number,
): readonly LabelProbability[] {
  ensure(data.length === classes.length, 'bad-shape', () => {
    return `topLabels: expected a probability for each of ${classes.length} classes, got ${data.length}`;
  });
  ensure(
    Number.isInteger(top) && top > 0,
    'bad-argument',
    () => `topLabels: expected a whole number from 1, got ${top}`,
  );
  return classes
    .map((label, id) => ({ label, probability: data[id]! }))
    .sort((a, b) => b.probability - a.probability)
    .slice(0, top);
}

/** classifyPicture: a picture u8 and an open classifier -> the `top` most likely labels, most likely first. */
export async function classifyPicture(
  image: Image,
  spec: ClassifyModelSpec,
  session: Pick<Session, 'run'>,
  top: number,
): Promise<readonly LabelProbability[]> {
  const results = await session.run({ [spec.inputName]: classifyInput(image, spec) });
  return topLabels(results[spec.outputName] as Tensor<'float32'>, spec.classes, top);
}
