import type { Logger } from 'pino';
import type { ModelHost } from '../serve/host.ts';
import type { Pool } from '../serve/pool.ts';
import type { TextWriter } from '../serve/text/writer.ts';
import type { ModelStore } from '../store/store.ts';

/** Everything that the routes need; `createApp` takes it, so tests can pass their own. */
export interface Deps {
  readonly store: ModelStore;
  readonly host: ModelHost;
  readonly pool: Pool;
  readonly texts: TextWriter;
  readonly log: Logger;
  /** Folder of the built page; nothing is served from it where it does not exist. */
  readonly clientDir: string;
  /** True once the server has been asked to stop. */
  readonly isDraining: () => boolean;
}
