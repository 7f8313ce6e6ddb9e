import { holdsPixels } from '../../client/local/codec.ts';
import { element } from '../../client/ui/dom.ts';
import { ensure } from '../../training/core/errors.ts';
import type { Segmented } from './here.web.ts';

/** What the other classes turn into while one is to be seen: black, mostly opaque. */
const darkened = [0, 0, 0, 150] as const;

/** RGBA of every class by id, as one number in the machine's order of bytes, so that a pixel is written at once. */
function colorsOf({ classes }: Segmented, one: number | undefined): Uint32Array {
  const rgba = classes.flatMap(({ color }, id) => (one === undefined || id === one ? [...color, 255] : darkened));
  return new Uint32Array(Uint8Array.from(rgba).buffer);
}

/**
 * drawClasses: the classes' colours on the whole canvas, whatever its size (of several pixels the middle one). Where only `one` class is
 * to be seen, the others are darkened.
 */
export function drawClasses(canvas: HTMLCanvasElement | OffscreenCanvas, mask: Segmented, one?: number): void {
  const context = canvas.getContext('2d') as CanvasRenderingContext2D | OffscreenCanvasRenderingContext2D | null;
  if (context === null) throw new Error(`canvas: expected ${canvas.width} x ${canvas.height} pixels to fit, got none`);
  const { width, height } = canvas;
  const colors = colorsOf(mask, one);
  const columns = Int32Array.from({ length: width }, (_, x) => Math.floor(((x + 0.5) * mask.width) / width));
  const row = new ImageData(width, 1);
  const pixels = new Uint32Array(row.data.buffer);
  for (let y = 0; y < height; y++) {
    const start = Math.floor(((y + 0.5) * mask.height) / height) * mask.width;
    for (let x = 0; x < width; x++) pixels[x] = colors[mask.ids[start + columns[x]!]!]!;
    context.putImageData(row, 0, y);
  }
}

/** overlayFile: the photo with the classes' colours over it, `opacity` 0..1, at its own size; a JPEG where the photo is one, else a PNG. */
export async function overlayFile(file: Blob, mask: Segmented, opacity: number): Promise<Blob> {
  const { width, height, ids, classes } = mask;
  const canvas = new OffscreenCanvas(width, height);
  drawClasses(canvas, mask);
  const context = canvas.getContext('2d')!;
  const holds = holdsPixels(context, (pixel) => classes[ids[pixel]!]!.color);
  ensure(holds, 'unsupported', () => {
    return `overlayFile: expected ${width} x ${height} pixels to fit this browser's canvas, got nothing; use a smaller photo`;
  });
  // The colours lose what is not theirs, then the photo goes behind them: one canvas is enough.
  context.globalCompositeOperation = 'destination-in';
  context.fillStyle = `rgb(0 0 0 / ${opacity})`;
  context.fillRect(0, 0, width, height);
  context.globalCompositeOperation = 'destination-over';
  const photo = await createImageBitmap(file, { imageOrientation: 'from-image' });
  context.drawImage(photo, 0, 0, width, height);
  photo.close();
  return canvas.convertToBlob({ type: file.type === 'image/jpeg' ? 'image/jpeg' : 'image/png', quality: 0.92 });
}

/** saveAs: has the browser save the bytes under a name. */
export function saveAs(blob: Blob, name: string): void {
  const href = URL.createObjectURL(blob);
  element('a', { href, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(href), 60_000);
}
