import { decode } from '../../server/serve/images.ts';
import { greyTrial, inStages, type PictureResult, type ServedPictureTask } from '../../server/serve/task.ts';
import { type ClassifyBody, classifyContract } from './contract.ts';
import { classifyPicture } from './infer.ts';

export interface LabelsResult extends ClassifyBody, PictureResult {}

/** `POST /v1/classify`: a picture in, what it shows out. */
export const classifyTask: ServedPictureTask<typeof classifyContract, LabelsResult> = {
  kind: 'picture',
  contract: classifyContract,
  trial: (spec) => greyTrial(spec, [1, 3, spec.height, spec.width], [1, spec.classes.length]),
  run: ({ bytes, query }, session, spec) =>
    inStages(
      () => decode(bytes),
      (image) => classifyPicture(image, spec, session, query.top),
      (labels) => ({ labels }),
    ),
  reply: (response, { result }) => {
    const body: ClassifyBody = { labels: result.labels };
    response.json(body);
  },
};
