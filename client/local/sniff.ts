import type { OutputFormat } from '../api.ts';

/** sniffFormat: the file's own format where we can write it, told from its first bytes, else PNG. */
export async function sniffFormat(file: Blob): Promise<OutputFormat> {
  const head = new Uint8Array(await file.slice(0, 12).arrayBuffer());
  const text = String.fromCharCode(...head);
  if (text.startsWith('\xff\xd8\xff')) return 'jpeg';
  return text.startsWith('RIFF') && text.endsWith('WEBP') ? 'webp' : 'png';
}
