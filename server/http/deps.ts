import type { Logger } from 'pino';
import type { ModelHost } from '../serve/host.ts';
import type { PicturePool } from '../serve/pictures.ts';
import type { ServedTask } from '../serve/task.ts';
import type { TextPool } from '../serve/texts.ts';
import type { ModelStore } from '../store/store.ts';

/** Everything that the routes need; `createApp` takes it, so tests can pass their own. */
export interface Deps {
  readonly store: ModelStore;
  readonly host: ModelHost;
  /** The tasks that have a route. */
  readonly tasks: readonly ServedTask[];
  readonly pictures: PicturePool;
  readonly texts: TextPool;
  readonly log: Logger;
  /** Folder of the built page; nothing is served from it where it does not exist. */
  readonly clientDir: string;
  /** True once the server has been asked to stop. */
  readonly isDraining: () => boolean;
}
