export { createApp } from './app.ts';
export type { Deps } from './deps.ts';
export { type RunningServer, type ServerOptions, startServer } from './main.ts';
export { type ModelStore, type ModelVersion, openStore } from './store.ts';
