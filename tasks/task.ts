import type { z } from 'zod';

/** What a model of the task takes; the name is that of the form's field or of the JSON body's. */
export interface TaskInput {
  readonly name: string;
  readonly type: 'image' | 'text';
  /** Whether a request may omit it; no by default. */
  readonly optional?: boolean;
}

/** The words with which a page speaks of the task. */
export interface TaskWords {
  /** What the button does: `Restore`. */
  readonly verb: string;
  /** What is happening: `Restoring`. */
  readonly doing: string;
  /** What has happened: `Restored`. */
  readonly did: string;
  /** What it is done to; `this photo` by default. */
  readonly what?: string;
  /** What differs about a result that was made on the device. */
  readonly different?: string;
}

/** The page of a task. */
export interface TaskPage {
  /** Its address, below the address at which the app is mounted: `/NAME`. */
  readonly path: string;
  /** Its name in the header. */
  readonly link: string;
  readonly words: TaskWords;
  /** Where its models run in a browser; on every device by default. */
  readonly devices?: readonly ('webgpu' | 'webgl' | 'wasm')[];
}

/** Sections of `config.json` by name, each with its schema. */
export type ConfigSections = Readonly<Record<string, z.ZodType>>;

/**
 * All that server, page and command line know of a task before they load it. The name is the argument of the commands, the stem of
 * the route and the name of the task's default model; a store may hold other models of the task under names of their own.
 */
export interface TaskContract<
  Name extends string = string,
  Sections extends ConfigSections = ConfigSections,
  Query extends z.ZodType = z.ZodType,
> {
  readonly name: Name;
  readonly inputs: readonly TaskInput[];
  /** How a model of the task is fed, by the name of the section in `config.json`; none where the model's own file states it. */
  readonly sections: Sections;
  /** Address of the task's route; `/v1/NAME` by default. */
  readonly route?: string;
  /** What a request may ask for: the query of a picture's route, the body of a text's. */
  readonly query: Query;
  /** Omitted where the task has no page. */
  readonly page?: TaskPage;
}

/** contract({ ... }): keeps the literal types of a task's contract. */
export const contract = <const Name extends string, Sections extends ConfigSections, Query extends z.ZodType>(
  parts: TaskContract<Name, Sections, Query>,
): TaskContract<Name, Sections, Query> => parts;

export const routeOf = ({ name, route = `/v1/${name}` }: Pick<TaskContract, 'name' | 'route'>): string => route;

/** imagesOf: the inputs of a task that are files of pictures; the first is the one that the answer is about. */
export const imagesOf = ({ inputs }: Pick<TaskContract, 'inputs'>): readonly TaskInput[] =>
  inputs.filter(({ type }) => type === 'image');

/** What a request of the task asks for, its defaults filled in. */
export type QueryOf<C extends TaskContract> = z.output<C['query']>;

/** How a model of the task is fed. */
export type SpecOf<C extends TaskContract> = z.output<C['sections'][keyof C['sections']]>;
