import { randomInt } from 'node:crypto';
import type { ServedTextTask } from '../../server/serve/task.ts';
import { type GenerateBody, type GenerateEvent, textContract } from './contract.ts';

/** `POST /v1/generate`: texts that continue where a prompt ends. */
export const textTask: ServedTextTask<typeof textContract> = {
  kind: 'text',
  contract: textContract,
  answer: async ({ stream, seed = randomInt(2 ** 32), ...options }, call) => {
    const write = async (onPiece?: (piece: GenerateEvent) => void): Promise<GenerateBody> => {
      const { candidates } = await call.write({ seed, ...options }, onPiece);
      return { model: call.key, seed, candidates };
    };
    if (stream) await call.stream(async (send) => send(await write(send)));
    else call.response.json(await write());
  },
};
