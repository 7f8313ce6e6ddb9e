import { ApiError, type GenerateBody, type GenerateEvent } from '../../client/api.ts';
import { LocalError } from '../../client/local.ts';
import { type Done, serverOrDevice, type Wish } from '../../client/place.ts';
import { startShell } from '../../client/shell.ts';
import { byId, element } from '../../client/ui/dom.ts';
import { deviceWords, errorWords, placeWords, progressWords } from '../../client/ui/words.ts';
import type { hereTask, TextJob } from './here.web.ts';
import { PostCard } from './post-card.web.ts';

type Candidates = GenerateBody['candidates'];

const shell = startShell<typeof hereTask>('text');
const { words } = shell;
/** A post of 280 characters has about 60 tokens. */
const settings = { n: 3, maxTokens: 90, topP: 0.95 };

const form = byId<HTMLFormElement>('compose');
const prompt = byId<HTMLTextAreaElement>('prompt');
const seed = byId<HTMLInputElement>('seed');
const daring = byId<HTMLInputElement>('daring');
const bar = byId<HTMLProgressElement>('bar');

let running: AbortController | undefined;
let cards: readonly PostCard[] = [];

const drawSeed = (): void => {
  seed.value = String(crypto.getRandomValues(new Uint32Array(1))[0]);
};

const jobNow = (): TextJob => ({
  prompt: prompt.value,
  seed: seed.valueAsNumber,
  temperature: daring.valueAsNumber,
  ...settings,
  device: 'wasm',
});

/** Spaces alone are no beginning, and a seed out of its range is not valid; the form shows so where it is. */
function isFilled(): boolean {
  prompt.setCustomValidity(prompt.value.trim() === '' ? 'Write how the post begins.' : '');
  if (!seed.checkValidity()) form.querySelector('details')!.open = true; // what is hidden cannot be pointed at
  return form.reportValidity();
}

/** The texts from the server, or from this device when it is away. */
function write(job: TextJob, wish: Wish, onPiece: (piece: GenerateEvent) => void): Promise<Done<Candidates>> {
  const { device: _, prompt: beginning, ...options } = job;
  return serverOrDevice(shell.client, wish, {
    server: async ({ signal, model }) => {
      const call = { ...options, onPiece, ...(signal && { signal }), ...(model !== undefined && { model }) };
      const { body, ...facts } = await shell.client.generate(beginning, call);
      return { result: body.candidates, ...facts };
    },
    device: (call) => shell.local.run(job, { ...call, onPiece }),
  });
}

function layCards(job: TextJob): void {
  cards = Array.from({ length: job.n }, (_, i) => new PostCard(job.prompt, i + 1, shell.announce));
  byId('posts').replaceChildren(...cards.map(({ root }) => root));
}

function showProgress(text: string, fraction: number | undefined): void {
  byId('doing').textContent = text;
  if (fraction === undefined) bar.removeAttribute('value');
  else bar.value = fraction;
}

const wishFor = (job: TextJob, signal: AbortSignal): Wish => ({
  ...shell.wished(),
  signal,
  onProgress: (progress) => !signal.aborted && showProgress(progressWords(progress, words), progress.fraction),
  onFallback: (why) => {
    layCards(job); // what the server had begun is not continued
    shell.announce(`${words.doing} on this device: ${why}.`);
  },
});

async function generate(): Promise<void> {
  if (!isFilled()) return;
  running?.abort();
  const mine = new AbortController();
  running = mine;
  const job = jobNow();
  layCards(job);
  showProgress(`${words.doing} …`, undefined);
  shell.show('busy');
  shell.announce(`${words.doing}.`);
  try {
    const onPiece = ({ candidate, text }: GenerateEvent): void => {
      if (!mine.signal.aborted) cards[candidate]?.add(text);
    };
    const done = await write(job, wishFor(job, mine.signal), onPiece);
    if (!mine.signal.aborted) present(done, job);
  } catch (error) {
    if (!mine.signal.aborted) complain(error);
  }
}

function present(done: Done<Candidates>, job: TextJob): void {
  const { result, place } = done;
  const where = `${placeWords(done, words)} Seed ${job.seed}.`;
  for (const [i, { text, finishReason }] of result.entries()) cards[i]?.finish(text, finishReason);
  showPlace(where, place.kind === 'device' ? deviceWords(place, words) : []);
  finish();
  shell.announce(`${where} ${cards.map(({ text }, i) => `Post ${i + 1}: ${text}`).join(' ')}`);
  shell.doneAt(place);
}

function showPlace(text: string, reasons: readonly string[]): void {
  byId('place').textContent = text;
  byId('details').hidden = reasons.length === 0;
  byId('reasons').replaceChildren(...reasons.map((textContent) => element('li', { textContent })));
}

/** The button that had the focus may be going. */
function finish(): void {
  const wasOnStop = document.activeElement === byId('cancel');
  shell.show('done');
  if (wasOnStop) byId('another').focus();
}

/** What has been written stays. */
function stop(): void {
  if (running === undefined || byId('main').dataset.state !== 'busy') return;
  running.abort();
  for (const card of cards) card.cutOff();
  showPlace('Stopped.', []);
  finish();
  shell.announce('Stopped.');
}

function complain(error: unknown): void {
  const { problem, advice, code } = errorWords(error, words);
  byId('problem').textContent = problem;
  byId('advice').textContent = advice;
  byId('code').textContent = code;
  byId('try-here').hidden = error instanceof LocalError;
  if (!(error instanceof ApiError || error instanceof LocalError)) console.error(error);
  shell.show('error');
  byId('again').focus();
  shell.announce('');
}

function onKey(event: KeyboardEvent): void {
  if (event.key === 'Escape') stop();
  if (event.key !== 'Enter' || !(event.ctrlKey || event.metaKey)) return;
  event.preventDefault();
  void generate();
}

form.addEventListener('submit', (event) => {
  event.preventDefault();
  void generate();
});
form.addEventListener('keydown', onKey);
prompt.addEventListener('input', () => prompt.setCustomValidity(''));
daring.addEventListener('input', () => {
  byId('daring-value').textContent = daring.valueAsNumber.toFixed(1);
});
byId('cancel').addEventListener('click', stop);
byId('again').addEventListener('click', () => void generate());
byId('try-here').addEventListener('click', () => {
  shell.stayHere();
  void generate();
});
byId('another').addEventListener('click', () => {
  drawSeed();
  void generate();
});
drawSeed();
