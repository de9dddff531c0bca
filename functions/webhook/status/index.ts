/**
 * `GET /status` of one replica, on the pod's loopback for `kubectl port-forward`. The page itself is loaded at the first request,
 * because most pods never show it.
 */
export { createReplicaStatus } from './replica-status.ts';
