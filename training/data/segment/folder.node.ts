import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { ensure } from '../../core/errors.ts';
import type { SegmentClass } from '../../core/model-config.ts';
import type { FileItem } from '../blocks/types.ts';

/** A photo and the picture of its class ids. */
export interface MaskedItem extends FileItem {
  /** Path of the mask. */
  readonly mask: string;
}

/** A segmentation data set on disk, in the parts that its authors made. */
export interface SegmentData {
  readonly train: readonly MaskedItem[];
  readonly valid: readonly MaskedItem[];
  readonly test: readonly MaskedItem[];
  readonly classes: readonly SegmentClass[];
  /** Id of pixels that no class claims. */
  readonly voidId: number;
}

const byte = z.number().int().min(0).max(255);
const classFile = z.object({
  void: byte,
  classes: z.array(z.object({ id: byte, name: z.string().min(1), rgb: z.tuple([byte, byte, byte]) })),
});

/** Classes by id, the void one left out; throws `bad-data` unless the ids are 0, 1, ... */
async function readClasses(folder: string): Promise<Pick<SegmentData, 'classes' | 'voidId'>> {
  const path = join(folder, 'classes.json');
  const parsed = classFile.safeParse(JSON.parse(await readFile(path, 'utf8')));
  ensure(parsed.success, 'bad-data', () => {
    return `${path}: expected { void, classes: [{ id, name, rgb }] }, got ${z.prettifyError(parsed.error!)}`;
  });
  const { void: voidId, classes } = parsed.data;
  const named = classes.filter(({ id }) => id !== voidId).sort((a, b) => a.id - b.id);
  ensure(
    named.length > 1 && named.every(({ id }, i) => id === i),
    'bad-data',
    () => `${path}: expected at least two classes of ids 0, 1, ..., got ${named.map(({ id }) => id)}`,
  );
  return { classes: named.map(({ name, rgb }) => ({ name, color: rgb })), voidId };
}

/** The pairs of one list file: a photo and its mask per line, both relative to the folder. */
async function readList(folder: string, file: string): Promise<MaskedItem[]> {
  const text = await readFile(join(folder, file), 'utf8');
  const lines = text.split(/\r?\n/).filter((line) => line.trim() !== '');
  return lines.map((line, i) => {
    const [photo, mask, ...rest] = line.trim().split(/\s+/);
    ensure(
      photo !== undefined && mask !== undefined && rest.length === 0,
      'bad-data',
      () => `${join(folder, file)}, line ${i + 1}: expected a photo and its mask, got '${line}'`,
    );
    return { name: photo, path: join(folder, photo), mask: join(folder, mask) };
  });
}

/**
 * readSegmentFolder: a data set in CamVid's form: `train.txt`, `val.txt` and `test.txt` with a photo and its mask per line, masks
 * of class ids, and `classes.json` with names and colours. The split is the authors' own. Throws `bad-data`.
 */
export async function readSegmentFolder(folder: string): Promise<SegmentData> {
  const [train, valid, test] = await Promise.all(
    ['train.txt', 'val.txt', 'test.txt'].map((file) => readList(folder, file)),
  );
  return { train: train!, valid: valid!, test: test!, ...(await readClasses(folder)) };
}
