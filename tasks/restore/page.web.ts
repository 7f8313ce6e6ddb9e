import type { OutputFormat, Scale } from '../../client/api.ts';
import { PhotoPage } from '../../client/photo-page.ts';
import { serverOrDevice } from '../../client/place.ts';
import { startShell } from '../../client/shell.ts';
import { Compare } from '../../client/ui/compare.ts';
import { byId } from '../../client/ui/dom.ts';
import { downloadName } from '../../client/ui/words.ts';
import type { hereTask } from './here.web.ts';
import sampleUrl from './sample.jpg?url';

const shell = startShell<typeof hereTask>('restore');
const { client, local } = shell;
const options = byId<HTMLFormElement>('options');
const download = byId<HTMLAnchorElement>('download');
const compare = new Compare(byId('compare'));
let resultUrl = '';

function chosen(): { readonly scale: Scale; readonly format?: OutputFormat } {
  const data = new FormData(options);
  const format = String(data.get('format'));
  return { scale: Number(data.get('scale')) as Scale, ...(format === '' ? {} : { format: format as OutputFormat }) };
}

/** Short side, in pixels, up to which a photo is taken for one of the small damaged ones that the model has learnt to restore at twice the size. */
const smallSide = 160;
let scaleIsChosen = false;
options.addEventListener('change', ({ target }) => {
  if (target instanceof HTMLInputElement && target.name === 'scale') scaleIsChosen = true;
});

const setScale = (scale: Scale): void => {
  (options.elements.namedItem('scale') as RadioNodeList).value = String(scale);
};

/** Sets the size for a new photo, twice its own for a small one, unless the user has chosen. */
async function fitScale(preview: HTMLImageElement): Promise<void> {
  if (scaleIsChosen) return;
  const { src } = preview;
  await preview.decode().catch(() => undefined);
  if (src !== preview.src || preview.naturalWidth === 0) return;
  setScale(Math.min(preview.naturalWidth, preview.naturalHeight) <= smallSide ? 2 : 1);
}

const page = new PhotoPage<Blob>(shell, {
  prepare: (_file, preview) => fitScale(preview),
  run: (file, wish) => {
    const settings = chosen();
    return serverOrDevice(client, wish, {
      server: async (call) => {
        const { image: result, ...facts } = await client.restore(file, { ...settings, ...call });
        return { result, ...facts };
      },
      device: (call) => local.run({ file, device: wish.device, ...settings }, call),
    });
  },
  present: async ({ result }, file, url) => {
    URL.revokeObjectURL(resultUrl);
    resultUrl = URL.createObjectURL(result);
    download.href = resultUrl;
    download.download = downloadName(file.name, 'restored', result.type);
    await compare.show(url, resultUrl);
    return download;
  },
});

/** A parrot as small, compressed and stamped as the default model has learnt to restore, at twice the size. */
async function takeSample(): Promise<void> {
  const blob = await (await fetch(sampleUrl)).blob();
  setScale(2);
  page.take(new File([blob], 'parrot.jpg', { type: blob.type }));
}
byId('sample').addEventListener('click', () => void takeSample().catch((error: unknown) => page.complain(error)));
