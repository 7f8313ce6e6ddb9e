import { writeFile } from 'node:fs/promises';
import { extname } from 'node:path';
import { ensure } from '../core/errors.ts';
import { sharp } from '../pictures/sharp.node.ts';

/** svgToPng: an SVG file -> PNG bytes, `scale` (2) pixels for each of its units. */
export const svgToPng = (svg: string, scale = 2): Promise<Buffer> =>
  sharp(Buffer.from(svg), { density: 72 * scale })
    .png()
    .toBuffer();

/** savePlot: writes a plot as .svg or .png, by the ending of `path`. */
export async function savePlot(svg: string, path: string): Promise<void> {
  const ending = extname(path).toLowerCase();
  ensure(ending === '.png' || ending === '.svg', 'bad-argument', () => {
    return `savePlot: expected a path that ends in .svg or .png, got ${path}`;
  });
  await writeFile(path, ending === '.png' ? await svgToPng(svg) : svg);
}
