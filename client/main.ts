import { ApiError, createClient, type OutputFormat, type Scale } from './api.ts';
import { type WebDevice, webDeviceNames } from './devices.ts';
import { createLocalRestorer, LocalError } from './local.ts';
import { keepOffline } from './offline.ts';
import { type Restored, restorePhoto, type Wish } from './restore.ts';
import sampleUrl from './sample.jpg?url';
import { Compare } from './ui/compare.ts';
import { onPhoto } from './ui/photo.ts';
import { deviceWords, downloadName, errorWords, placeWords, progressWords } from './ui/words.ts';
import { xhrSend } from './xhr.ts';

type State = 'empty' | 'busy' | 'done' | 'error';

const byId = <T extends HTMLElement>(id: string): T => {
  const found = document.getElementById(id);
  if (found === null) throw new Error(`page: expected an element #${id}`);
  return found as T;
};

const main = byId('main');
const options = byId<HTMLFormElement>('options');
const bar = byId<HTMLProgressElement>('bar');
const download = byId<HTMLAnchorElement>('download');
const preview = byId<HTMLImageElement>('preview');
const compare = new Compare(byId('compare'));
const client = createClient({ send: xhrSend });
const local = createLocalRestorer();

/** `?device=webgl` has this device restore, on that backend: for trying things out. */
const asked = new URLSearchParams(location.search).get('device') ?? '';
const forced: WebDevice | undefined = Object.hasOwn(webDeviceNames, asked) ? (asked as WebDevice) : undefined;

let photo: File | undefined;
let running: AbortController | undefined;
let photoUrl = '';
let resultUrl = '';

function show(state: State): void {
  main.dataset.state = state;
}

/** Says it to those who listen; what is said is on the screen too. */
function say(text: string): void {
  byId('status').textContent = text;
}

function wishOf(signal: AbortSignal): Wish {
  const chosen = new FormData(options);
  const format = String(chosen.get('format'));
  return {
    on: chosen.has('here') ? 'device' : 'auto',
    device: forced ?? 'auto',
    scale: Number(chosen.get('scale')) as Scale,
    ...(format === '' ? {} : { format: format as OutputFormat }),
    signal,
    onProgress: (progress) => {
      if (signal.aborted) return;
      const text = progressWords(progress);
      if (byId('doing').textContent !== text) byId('doing').textContent = text;
      if (progress.fraction === undefined) bar.removeAttribute('value');
      else bar.value = progress.fraction;
    },
    onFallback: (why) => say(`Restoring on this device: ${why}.`),
  };
}

async function restore(file: File): Promise<void> {
  running?.abort();
  const mine = new AbortController();
  running = mine;
  bar.removeAttribute('value');
  byId('doing').textContent = 'Starting …';
  show('busy');
  byId('cancel').focus();
  say(`Restoring ${file.name}.`);
  try {
    const restored = await restorePhoto(client, local, file, wishOf(mine.signal));
    if (!mine.signal.aborted) await present(file, restored);
  } catch (error) {
    if (!mine.signal.aborted) complain(error);
  }
}

async function present(file: File, restored: Restored): Promise<void> {
  URL.revokeObjectURL(resultUrl);
  resultUrl = URL.createObjectURL(restored.image);
  download.href = resultUrl;
  download.download = downloadName(file.name, restored.image.type);
  byId('place').textContent = placeWords(restored);
  tellWhy(restored);
  show('done');
  await compare.show(photoUrl, resultUrl);
  download.focus({ preventScroll: true });
  say(placeWords(restored));
  if (restored.place.kind === 'server' && restored.place.model !== kept) void refreshOffline();
}

function tellWhy({ place }: Restored): void {
  const reasons = place.kind === 'device' ? deviceWords(place) : [];
  byId('details').hidden = reasons.length === 0;
  byId('reasons').replaceChildren(
    ...reasons.map((reason) => Object.assign(document.createElement('li'), { textContent: reason })),
  );
}

function complain(error: unknown): void {
  const { problem, advice, code } = errorWords(error);
  byId('problem').textContent = problem;
  byId('advice').textContent = advice;
  byId('code').textContent = code;
  const here = byId('failed').querySelector<HTMLElement>('[data-do=here]');
  if (here !== null) here.hidden = error instanceof LocalError;
  if (!(error instanceof ApiError || error instanceof LocalError)) console.error(error);
  show('error');
  byId('failed').querySelector<HTMLElement>('[data-do=again]')?.focus();
  say('');
}

function take(file: File): void {
  photo = file;
  URL.revokeObjectURL(photoUrl);
  photoUrl = URL.createObjectURL(file);
  preview.src = photoUrl;
  void fitScale(file).then(() => (file === photo ? restore(file) : undefined));
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
async function fitScale(file: File): Promise<void> {
  if (scaleIsChosen) return;
  await preview.decode().catch(() => undefined);
  if (file !== photo || preview.naturalWidth === 0) return;
  setScale(Math.min(preview.naturalWidth, preview.naturalHeight) <= smallSide ? 2 : 1);
}

/** A parrot as small, compressed and stamped as the default model has learnt to restore, at twice the size. */
async function takeSample(): Promise<void> {
  const blob = await (await fetch(sampleUrl)).blob();
  setScale(2);
  take(new File([blob], 'parrot.jpg', { type: blob.type }));
}

function startOver(): void {
  running?.abort();
  show('empty');
  say('');
  byId<HTMLInputElement>('file').value = '';
  byId('file').focus();
}

const here = options.elements.namedItem('here') as HTMLInputElement;
const actions: Record<string, () => void> = {
  again: () => photo && void restore(photo),
  here: () => {
    here.checked = true;
    if (photo) void restore(photo);
  },
  new: startOver,
};
for (const button of main.querySelectorAll<HTMLElement>('[data-do]')) {
  button.addEventListener('click', () => actions[button.dataset.do ?? '']?.());
}
byId('cancel').addEventListener('click', startOver);
byId('sample').addEventListener('click', () => void takeSample().catch(complain));
options.addEventListener('submit', (event) => event.preventDefault());
if (forced !== undefined) here.checked = true;
onPhoto(byId<HTMLInputElement>('file'), take);
for (const type of ['load', 'error'] as const) {
  preview.addEventListener(type, () => preview.classList.toggle('unseen', type === 'error'));
}

/** The model that is kept for offline use. */
let kept = '';

async function refreshOffline(): Promise<void> {
  const state = await keepOffline(client);
  const sign = byId('offline');
  kept = state.ready ? state.model : '';
  sign.hidden = !state.ready;
  sign.textContent = state.ready ? 'Works offline' : '';
  sign.title = state.ready ? `This page, its runtime and ${state.model} are kept on this device` : '';
  if (!state.ready) console.info(`Not available offline: ${state.reason}`);
}
void refreshOffline();
