import type { RequestHandler } from 'express';
import multer, { MulterError } from 'multer';
import { messageOf } from '../../training/core/errors.ts';
import { RequestError } from '../errors.ts';
import { limits } from '../serve/images.ts';

const receive = multer({
  storage: multer.memoryStorage(),
  limits: {
    fileSize: limits.uploadBytes,
    files: 1,
    fields: 4,
    parts: 5,
    fieldNameSize: 100,
    fieldSize: 1000,
    fieldNestingDepth: 1,
    headerPairs: 20,
  },
}).single('image');

/** One file in the field `image`, kept in memory: nothing is ever written to a temporary file. */
export const uploadImage: RequestHandler = (request, response, next) => {
  if (!request.is('multipart/form-data')) {
    return next(
      new RequestError('unsupported-media-type', 'expected multipart/form-data with the picture in the field image'),
    );
  }
  receive(request, response, (error: unknown) => next(error === undefined ? undefined : explain(error)));
};

function explain(error: unknown): RequestError {
  const code = error instanceof MulterError ? error.code : undefined;
  if (code === 'LIMIT_FILE_SIZE') return new RequestError('file-too-large', 'image: expected at most 40 MB, got more');
  const text = messageOf(error);
  return new RequestError('bad-upload', `expected one file in the field image and nothing else, got: ${text}`);
}
