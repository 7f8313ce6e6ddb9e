import { decode } from '../../../server/serve/images.ts';
import { greyTrial, inStages, type PictureResult, type ServedPictureTask } from '../../../server/serve/task.ts';
import { type BrightnessBody, brightnessContract } from './contract.ts';
import { brightnessOf } from './infer.ts';

export const brightnessTask: ServedPictureTask<typeof brightnessContract, BrightnessBody & PictureResult> = {
  kind: 'picture',
  contract: brightnessContract,
  trial: (spec) => greyTrial(spec, [1, 3, spec.side, spec.side], [1, 1]),
  run: ({ bytes, query: { unit } }, session, spec) =>
    inStages(
      () => decode(bytes),
      (image) => brightnessOf(image, spec, session),
      (share): BrightnessBody => ({ brightness: unit === 'percent' ? 100 * share : share, unit }),
    ),
  reply: (response, { result: { brightness, unit } }) =>
    void response.json({ brightness, unit } satisfies BrightnessBody),
};
