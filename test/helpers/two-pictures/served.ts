import { z } from 'zod';
import { decode } from '../../../server/serve/images.ts';
import { inStages, type PictureResult, type ServedPictureTask } from '../../../server/serve/task.ts';
import { contract } from '../../../tasks/task.ts';
import type { Image } from '../../../training/core/image.ts';
import { f32, type Tensor } from '../../../training/core/tensor.ts';

// A table with one task, whose model takes two pictures and states two things of them.

const spec = z.object({ content: z.string(), style: z.string(), sum: z.string(), difference: z.string() }).readonly();

export const compareContract = contract({
  name: 'compare',
  inputs: [
    { name: 'image', type: 'image' },
    { name: 'style', type: 'image' },
    { name: 'mask', type: 'image', optional: true },
  ],
  sections: { compare: spec },
  query: z.strictObject({}),
});

export interface CompareBody {
  /** Of the mean values of the two pictures, 0..1. */
  readonly sum: number;
  readonly difference: number;
  /** The names of the files that came. */
  readonly files: readonly string[];
}

/** f32[1,1]. */
const meanOf = ({ data }: Image): Tensor<'float32'> =>
  f32([1, 1], [data.reduce((sum, value) => sum + value / 255, 0) / data.length]);

const compareTask: ServedPictureTask<typeof compareContract, CompareBody & PictureResult> = {
  kind: 'picture',
  contract: compareContract,
  trial: ({ content, style, sum, difference }) => ({
    feeds: { [content]: f32([1, 1], [0.5]), [style]: f32([1, 1], [0.5]) },
    outputs: { [sum]: [1, 1], [difference]: [1, 1] },
  }),
  run: ({ bytes, files }, session, { content, style, sum, difference }) =>
    inStages(
      async () => ({ [content]: meanOf(await decode(bytes)), [style]: meanOf(await decode(files.style!.bytes)) }),
      (feeds) => session.run(feeds),
      (answers) => {
        const [total = 0, less = 0] = [sum, difference].map((name) => Number(answers[name]?.data[0]));
        return { sum: total, difference: less, files: Object.keys(files) };
      },
    ),
  reply: (response, { result: { sum, difference, files } }) => void response.json({ sum, difference, files }),
};

export const servedTasks = [compareTask];
