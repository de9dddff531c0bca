/** Imported dynamically, so that dockerode is loaded by nobody who does not use it. */
export { createDockerCloner } from './cloner.ts';
export { openDaemon } from './daemon.ts';
