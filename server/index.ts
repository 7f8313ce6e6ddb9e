export { createApp } from './http/app.ts';
export type { Deps } from './http/deps.ts';
export { type RunningServer, type ServerOptions, startServer } from './main.ts';
export { type ModelStore, type ModelVersion, openStore } from './store/store.ts';
