/** Made by the build: `hereTask` of every task that has a page and a `here.web.ts`. */
declare module 'virtual:here-tasks' {
  export const hereTasks: import('./task.ts').HereTasks;
}
