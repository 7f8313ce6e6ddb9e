import { checkOutput, decode, encode, outputFormat } from '../../server/serve/images.ts';
import { type FileResult, greyTrial, inStages, type ServedPictureTask, sendFile } from '../../server/serve/task.ts';
import { restoreContract } from './contract.ts';
import { restorePicture } from './infer.ts';

/** `POST /v1/restore`: a picture in, the restored picture out. */
export const restoreTask: ServedPictureTask<typeof restoreContract, FileResult> = {
  kind: 'picture',
  contract: restoreContract,
  check: checkOutput,
  trial: (spec) => {
    const side = spec.multipleOf * Math.ceil(32 / spec.multipleOf);
    return greyTrial(spec, [1, 3, side, side], [1, 3, side, side]);
  },
  run: ({ bytes, info, query }, session, spec, hooks) =>
    inStages(
      () => decode(bytes),
      (image) => restorePicture(image, query.scale, spec, session, hooks),
      async (restored) => {
        const { width, height } = restored;
        return { file: await encode(restored, info, query), width, height };
      },
    ),
  reply: (response, { result, info }, query) => sendFile(response, `image/${outputFormat(info, query)}`, result.file),
};
