import { createHash } from 'node:crypto';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { zooDir } from '../../server/store/paths.ts';
import type { ModelConfig } from '../../tasks/config.ts';

/** A version's config.json without what is known from its files. */
type Described<C = ModelConfig> = C extends unknown ? Omit<C, 'version' | 'createdAt' | 'files'> : never;

/** ship: writes version 1 of a model into the zoo of the package: its files (model.onnx, card.md, LICENSE) and config.json. Returns the folder. */
export async function ship(config: Described, files: Readonly<Record<string, Uint8Array | string>>): Promise<string> {
  const target = join(zooDir, config.name, '1');
  await mkdir(target, { recursive: true });
  const entries: Record<string, { readonly sha256: string; readonly sizeBytes: number }> = {};
  for (const [name, content] of Object.entries(files)) {
    const bytes = Buffer.from(content);
    entries[name] = { sha256: createHash('sha256').update(bytes).digest('hex'), sizeBytes: bytes.length };
    await writeFile(join(target, name), bytes);
  }
  const { name, task, ...rest } = config;
  const described = { name, task, version: 1, createdAt: new Date().toISOString(), ...rest, files: entries };
  await writeFile(join(target, 'config.json'), `${JSON.stringify(described, null, 2)}\n`);
  return target;
}
