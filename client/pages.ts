import type { TaskPage } from '../tasks/task.ts';

/** Filled in at build time: the pages of the contracts. */
declare const __PAGES__: readonly (TaskPage & { readonly task: string })[];

export const pages = __PAGES__;

/** The folder of the pages: the server's root, or the path below which another app has mounted it. */
export const baseUrl = new URL('.', location.href).href;
