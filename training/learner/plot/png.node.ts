import { writeFile } from 'node:fs/promises';
import sharp from 'sharp';

/** svgToPng: an SVG file -> PNG bytes, `scale` (2) pixels for each of its units. */
export const svgToPng = (svg: string, scale = 2): Promise<Buffer> =>
  sharp(Buffer.from(svg), { density: 72 * scale })
    .png()
    .toBuffer();

/** savePlot: writes a plot as .svg or .png, by the ending of `path`. */
export async function savePlot(svg: string, path: string): Promise<void> {
  await writeFile(path, path.endsWith('.png') ? await svgToPng(svg) : svg);
}
