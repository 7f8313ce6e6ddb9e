import type { Image } from '../../training/core/image.ts';
import { paletteFile, paletteRows } from '../../training/pictures/png.ts';
import type { Segmented } from './here.web.ts';

/** palettePng: a PNG whose pixels are the class ids, and whose palette is the classes' colours. */
export async function palettePng({ width, height, ids, classes }: Segmented): Promise<Blob> {
  const image: Image = { width, height, channels: 1, data: ids };
  const stream = new Blob([paletteRows(image)]).stream().pipeThrough(new CompressionStream('deflate'));
  const deflated = new Uint8Array(await new Response(stream).arrayBuffer());
  const colors = classes.map(({ color }) => color);
  return new Blob(paletteFile(image, colors, deflated), { type: 'image/png' });
}
