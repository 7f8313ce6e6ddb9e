import type { ServedPictureTask, ServedTask } from '../server/serve/task.ts';
import { classifyTask } from './classify/serve.node.ts';
import { restoreTask } from './restore/serve.node.ts';
import { segmentTask } from './segment/serve.node.ts';
import type { QueryOf } from './task.ts';
import { textTask } from './text/serve.node.ts';

/** Every task that is served. Servers and their worker threads load this table by its address, so another one can take its place. */
export const servedTasks = [restoreTask, segmentTask, classifyTask, textTask] as const satisfies readonly ServedTask[];

type PictureRow = Extract<(typeof servedTasks)[number], { kind: 'picture' }>;

/** A task that a picture is sent to. */
export type PictureTask = PictureRow['contract']['name'];

type Rows = { readonly [R in PictureRow as R['contract']['name']]: R };
/** What a request may ask of a task that takes pictures, and what its worker answers. */
type Asked = { readonly [T in PictureTask]: QueryOf<Rows[T]['contract']> };
type Results = { readonly [T in PictureTask]: Awaited<ReturnType<Rows[T]['run']>> };
export type RowOf<T extends PictureTask> = Rows[T];
export type AskedOf<T extends PictureTask> = Asked[T];
export type ResultOf<T extends PictureTask> = Results[T];

/** rowOf: the row of a task that takes pictures. */
export const rowOf = <T extends PictureTask>(task: T) =>
  servedTasks.find(({ contract }) => contract.name === task) as unknown as ServedPictureTask<
    Rows[T]['contract'],
    Results[T]
  >;
