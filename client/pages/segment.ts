import { paintRle } from '../../training/data/segment/rle.ts';
import type { SegmentBody } from '../api.ts';
import type { Segmented } from '../local/jobs.ts';
import { PhotoPage } from '../photo-page.ts';
import { serverOrDevice } from '../place.ts';
import { startShell } from '../shell.ts';
import { byId } from '../ui/dom.ts';
import { MaskView } from '../ui/mask-view.ts';
import { overlayFile, saveAs } from '../ui/overlay.ts';
import { palettePng } from '../ui/palette-png.ts';
import { downloadName } from '../ui/words.ts';

const shell = startShell('segment');
const { client, local } = shell;
const view = new MaskView(byId('segmented'));

/** The class of every pixel, from the run lengths in the server's answer. */
function painted({ width, height, classes }: SegmentBody): Segmented {
  const ids = new Uint8Array(width * height);
  for (const { id, rle } of classes) if (id > 0) paintRle(ids, rle, id);
  return { width, height, ids, classes };
}

/** What is on the screen, for the buttons. */
let shown: { readonly file: File; readonly mask: Segmented } | undefined;

const page = new PhotoPage<Segmented>(shell, {
  words: {
    verb: 'Segment',
    doing: 'Naming the pixels',
    did: 'Segmented',
  },
  run: (file, wish) =>
    serverOrDevice(client, wish, {
      server: async (call) => {
        const { body, ...facts } = await client.segment(file, call);
        return { result: painted(body), ...facts };
      },
      device: (call) => local.run('segment', { file, device: wish.device }, call),
    }),
  present: async ({ result }, file, url) => {
    shown = { file, mask: result };
    await view.show(url, result);
    return byId('save-mask');
  },
});

/** Saves what `make` makes of the shown photo, under its name with `what`. */
function onSave(id: string, what: string, make: (file: File, mask: Segmented) => Promise<Blob>): void {
  byId(id).addEventListener('click', async () => {
    if (shown === undefined) return;
    const { file, mask } = shown;
    try {
      const blob = await make(file, mask);
      saveAs(blob, downloadName(file.name, what, blob.type));
    } catch (error) {
      page.complain(error);
    }
  });
}
onSave('save-mask', 'mask', (_file, mask) => palettePng(mask));
onSave('save-overlay', 'overlay', (file, mask) => overlayFile(file, mask, view.opacity));
