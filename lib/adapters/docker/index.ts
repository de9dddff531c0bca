/** Copies through a docker daemon: pull, tag, push. Import it dynamically: loading dockerode takes 200 ms. */
export { createDockerCloner } from './cloner.ts';
export { watchDaemon } from './daemon-watch.ts';
export { openDaemon } from './open-daemon.ts';
