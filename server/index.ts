export { createApp } from './http/app.ts';
export type { Deps } from './http/deps.ts';
export { type RunningServer, type ServerOptions, startServer } from './main.ts';
export { createService, type Service, type ServiceOptions } from './service.ts';
export { type ModelStore, type ModelVersion, openStore } from './store/store.ts';
