import type { SegmentBody } from '../../client/api.ts';
import { PhotoPage } from '../../client/photo-page.ts';
import { serverOrDevice } from '../../client/place.ts';
import { startShell } from '../../client/shell.ts';
import { byId } from '../../client/ui/dom.ts';
import { downloadName } from '../../client/ui/words.ts';
import { messageOf } from '../../training/core/errors.ts';
import { paintRle } from '../../training/pictures/masks/rle.ts';
import type { hereTask, Segmented } from './here.web.ts';
import { MaskView } from './mask-view.web.ts';
import { overlayFile, saveAs } from './overlay.web.ts';
import { palettePng } from './palette-png.web.ts';

const shell = startShell<typeof hereTask>('segment');
const { client, local } = shell;
const view = new MaskView(byId('segmented'));

/** The class of every pixel, from the run lengths in the server's answer. */
function painted({ width, height, classes }: SegmentBody): Segmented {
  const ids = new Uint8Array(width * height);
  for (const { id, rle } of classes) if (id > 0) paintRle(ids, rle, id);
  return { width, height, ids, classes };
}

/** What is on the screen, for the buttons. */
let shown: { readonly file: File; readonly mask: Segmented; readonly opens: boolean } | undefined;

new PhotoPage<Segmented>(shell, {
  run: (file, wish) =>
    serverOrDevice(client, wish, {
      server: async (call) => {
        const { body, ...facts } = await client.segment(file, call);
        return { result: painted(body), ...facts };
      },
      device: (call) => local.run({ file, device: wish.device }, call),
    }),
  present: async ({ result }, file, url) => {
    byId('unsaved').textContent = '';
    shown = { file, mask: result, opens: await view.show(url, result) };
    return byId('save-mask');
  },
});

/** Saves what `make` makes of the shown photo, under its name with `what`. Errors are shown below the result, which stays. */
function onSave(id: string, what: string, make: (of: NonNullable<typeof shown>) => Promise<Blob>): void {
  byId(id).addEventListener('click', async () => {
    if (shown === undefined) return;
    byId('unsaved').textContent = '';
    try {
      const blob = await make(shown);
      saveAs(blob, downloadName(shown.file.name, what, blob.type));
    } catch (error) {
      byId('unsaved').textContent = `The ${what} could not be saved: ${messageOf(error)}`;
    }
  });
}
onSave('save-mask', 'mask', ({ mask }) => palettePng(mask));
onSave('save-overlay', 'overlay', async ({ file, mask, opens }) => {
  if (opens) return overlayFile(file, mask, view.opacity);
  // The server opens more kinds of files (TIFF) than browsers do.
  return (await client.segmentImage(file, 'overlay', { opacity: view.opacity })).image;
});
