import { classifyInput } from '../../../tasks/classify/infer.ts';
import type { Image } from '../../../training/core/image.ts';
import type { Session } from '../../../training/run/session.ts';
import type { BrightnessSpec } from './contract.ts';

/** brightnessOf: a picture u8 and an open model -> how bright it is, 0..1. */
export async function brightnessOf(
  image: Image,
  { inputName, outputName, side }: BrightnessSpec,
  session: Pick<Session, 'run'>,
): Promise<number> {
  const size = { width: side, height: side, resize: 'squish' } as const;
  const results = await session.run({ [inputName]: classifyInput(image, size) });
  return Number(results[outputName]!.data[0]);
}
