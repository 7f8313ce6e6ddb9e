import type { Request, RequestHandler } from 'express';
import multer, { MulterError } from 'multer';
import type { TaskInput } from '../../tasks/task.ts';
import { messageOf } from '../../training/core/errors.ts';
import { RequestError } from '../errors.ts';
import { limits } from '../serve/images.ts';

/** One file in the field of each input, kept in memory: nothing is ever written to a temporary file. */
export function uploadImages(inputs: readonly TaskInput[]): RequestHandler {
  const names = inputs.map(({ name }) => name);
  const files = names.length;
  const receive = multer({
    storage: multer.memoryStorage(),
    limits: {
      fileSize: limits.uploadBytes,
      files,
      fields: 4,
      parts: 4 + files,
      fieldNameSize: 100,
      fieldSize: 1000,
      fieldNestingDepth: 1,
      headerPairs: 20,
    },
  }).fields(names.map((name) => ({ name, maxCount: 1 })));
  const where = files === 1 ? `the field ${names[0]}` : `each of the fields ${names.join(', ')}`;
  return (request, response, next) => {
    if (!request.is('multipart/form-data')) {
      const text = `expected multipart/form-data with the picture in ${where}`;
      return next(new RequestError('unsupported-media-type', text));
    }
    receive(request, response, (error: unknown) => next(error === undefined ? undefined : explain(error, where)));
  };
}

function explain(error: unknown, where: string): RequestError {
  const { code, field = 'image' } = error instanceof MulterError ? error : {};
  if (code === 'LIMIT_FILE_SIZE')
    return new RequestError('file-too-large', `${field}: expected at most 40 MB, got more`);
  return new RequestError('bad-upload', `expected one file in ${where} and nothing else, got: ${messageOf(error)}`);
}

/** uploadedFiles: the bytes that came, by the name of their input. Throws `bad-upload` where one that must come did not. */
export function uploadedFiles({ files }: Request, inputs: readonly TaskInput[]): Record<string, Uint8Array> {
  const found: Record<string, Uint8Array> = {};
  for (const { name, optional = false } of inputs) {
    const bytes = (files as { readonly [name: string]: readonly Express.Multer.File[] } | undefined)?.[name]?.[0]
      ?.buffer;
    if (bytes !== undefined) found[name] = bytes;
    else if (!optional) throw new RequestError('bad-upload', `expected a file in the field ${name}, got none`);
  }
  return found;
}
