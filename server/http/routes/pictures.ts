import { type Request, type Response, Router } from 'express';
import { imagesOf, routeOf } from '../../../tasks/task.ts';
import { runPicture } from '../../serve/pictures.ts';
import type { ServedPictureTask } from '../../serve/task.ts';
import { admit, parseWith, splitModel, working } from '../admit.ts';
import type { Deps } from '../deps.ts';
import { untilClosed } from '../events.ts';
import { uploadedFiles, uploadImages } from '../upload.ts';

/** The route of a task that takes a picture: admit, receive, check, work, answer. */
export function pictureRoutes(deps: Deps, task: ServedPictureTask): Router {
  const router = Router();
  const check = ({ query }: Request): void =>
    void deps.host.pick(task.contract.name, splitModel(query, 'bad-query').model);
  router.post(
    routeOf(task.contract),
    admit(deps, deps.pictures.admission, check),
    uploadImages(imagesOf(task.contract)),
    working((request, response) => answer(deps, task, request, response)),
  );
  return router;
}

async function answer(
  { host, pictures }: Deps,
  task: ServedPictureTask,
  request: Request,
  response: Response,
): Promise<void> {
  const { model, rest } = splitModel(request.query, 'bad-query');
  const query = parseWith(task.contract.query, rest, 'bad-query', 'query');
  const files = uploadedFiles(request, imagesOf(task.contract));
  const loaded = () => host.pick(task.contract.name, model);
  const done = await runPicture(pictures, task, loaded, { files, query }, { signal: untilClosed(response) });
  const { queueMs, timings } = done.result;
  response.set({
    'X-Model': done.key,
    'Server-Timing': serverTiming({ queue: queueMs, ...timings }),
    'Cache-Control': 'no-store',
  });
  if (done.info.frames > 1) response.set('X-First-Frame-Of', String(done.info.frames));
  task.reply(response, done, query);
}

/** Milliseconds by stage as the header has them. */
const serverTiming = (stages: Readonly<Record<string, number>>): string =>
  Object.entries(stages)
    .map(([stage, ms]) => `${stage};dur=${ms.toFixed(1)}`)
    .join(', ');
