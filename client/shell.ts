import type { TaskWords } from '../tasks/task.ts';
import { type Client, createClient } from './api.ts';
import { type WebDevice, webDeviceNames } from './devices.ts';
import type { AnyHereTask } from './local/task.ts';
import { createLocalRunner, type LocalRunner } from './local.ts';
import { ModelChoice } from './model-choice.ts';
import { keepOffline } from './offline.ts';
import { baseUrl, pages } from './pages.ts';
import type { Place, Wish } from './place.ts';
import { byId, find } from './ui/dom.ts';
import { xhrSend } from './xhr.ts';

/** One part of a page is there at a time; `none` where nobody has registered a model for it. */
export type PageState = 'empty' | 'busy' | 'done' | 'error' | 'none';

/** What every page has: the header with its sign, the switch "On this device", the choice of a model, and the line for screen readers. */
export interface Shell<T extends AnyHereTask = AnyHereTask> {
  readonly client: Client;
  readonly local: LocalRunner<T>;
  readonly words: TaskWords;
  show(state: PageState): void;
  /** Has screen readers say it; what is announced is on the screen too. */
  announce(text: string): void;
  /** Where and with what the user wants it done. */
  wished(): Pick<Wish, 'on' | 'device' | 'model'>;
  /** Ticks the switch. */
  stayHere(): void;
  /** To be called with where something was done: another model of the server's than the one kept is then kept. */
  doneAt(place: Place): void;
}

/** `?device=webgl` has this device do it, on that backend: for trying things out. */
function forcedDevice(): WebDevice | undefined {
  const asked = new URLSearchParams(location.search).get('device') ?? '';
  return Object.hasOwn(webDeviceNames, asked) ? (asked as WebDevice) : undefined;
}

/** startShell: wires what the page of a task shares with the others, and has it kept for offline use. */
export function startShell<T extends AnyHereTask>(task: string): Shell<T> {
  const client = createClient({ baseUrl, send: xhrSend });
  const here = find<HTMLInputElement>(document, 'input[name=here]');
  const forced = forcedDevice();
  if (forced !== undefined) here.checked = true;
  const main = byId('main');
  const show = (state: PageState): void => {
    main.dataset.state = state;
  };
  let kept = '';
  const keep = async (): Promise<void> => {
    const state = await keepOffline(client, task, choice.name);
    kept = state.ready ? state.model : '';
    const sign = byId('offline');
    sign.hidden = !state.ready;
    sign.textContent = state.ready ? 'Works offline' : '';
    sign.title = state.ready ? `This page, its runtime and ${state.model} are kept on this device` : '';
    if (!state.ready) console.info(`Not available offline: ${state.reason}`);
  };
  // One after the other: each drops what it does not name.
  let keeping = Promise.resolve();
  const refreshOffline = (): void => {
    keeping = keeping.then(keep);
  };
  const choice = new ModelChoice(task, refreshOffline);
  refreshOffline();
  void choice.show(client, () => main.dataset.state === 'empty' && show('none'));
  return {
    client,
    local: createLocalRunner<T>(task),
    words: pages.find((page) => page.task === task)!.words,
    show,
    announce: (text) => {
      byId('status').textContent = text;
    },
    wished: () => ({
      on: here.checked ? 'device' : 'auto',
      device: forced ?? 'auto',
      ...(choice.name !== undefined && { model: choice.name }),
    }),
    stayHere: () => {
      here.checked = true;
    },
    doneAt: (place) => {
      if (place.kind === 'server' && place.model !== kept) refreshOffline();
    },
  };
}
