/**
 * Lets the API server call the webhook for one pod before the registration, and a node pull that pod's copy.
 * Leaves nothing in the cluster but the copy in the backup.
 */
export { callThroughApiServer, toProbeName } from './probe.ts';
export { askBackup, pushTestImage, runTestPod } from './test-pod.ts';
