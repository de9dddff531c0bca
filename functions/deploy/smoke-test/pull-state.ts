import * as v from 'valibot';
import { podObject } from '../objects.ts';

/** The state of the image pull of a pod with one container. */
export type PullState =
  | { readonly state: 'pulled' }
  | { readonly state: 'waiting' | 'failing'; readonly reason: string };

/** The kubelet's reasons for a failed pull; all others, such as CreateContainerError, come after the pull. */
const pullReasons = new Set([
  'ErrImagePull',
  'ImagePullBackOff',
  'ImageInspectError',
  'ErrImageNeverPull',
  'InvalidImageName',
  'RegistryUnavailable',
  'SignatureValidationFailed',
]);
const beforePull = new Set(['', 'ContainerCreating', 'PodInitializing']);

/** Reads from a pod whether a node has its image; ignores what happens to the container afterwards. */
export function toPullState(object: unknown): PullState {
  const { conditions, containerStatuses } = v.parse(podObject, object).status;
  const [container] = containerStatuses;
  const { waiting, running, terminated } = container?.state ?? {};
  if (running !== undefined || terminated !== undefined) return { state: 'pulled' };
  if (waiting !== undefined && pullReasons.has(waiting.reason)) {
    const reason = [waiting.reason, waiting.message].filter(Boolean).join(': ');
    return { state: 'failing', reason };
  }
  if (waiting !== undefined && !beforePull.has(waiting.reason)) return { state: 'pulled' };
  const open = conditions.filter(({ status, message }) => status === 'False' && message !== '');
  const reason = open.map(({ message }) => message).join('; ') || 'no reason was given';
  return { state: 'waiting', reason };
}

/** Container runtimes report only text, so advice is chosen by it; the first match counts. */
const advice: readonly (readonly [RegExp, (host: string, secret: string | undefined) => string])[] =
  [
    [
      /x509|certificate/i,
      (host) =>
        `the nodes do not trust the certificate of ${host}: add its CA to their container runtime (containerd: /etc/containerd/certs.d/${host}/hosts.toml)`,
    ],
    [
      /server gave HTTP response to HTTPS client/i,
      (host) =>
        `${host} uses plain http, and the nodes expect https: configure their container runtime (containerd: /etc/containerd/certs.d/${host}/hosts.toml)`,
    ],
    [
      /no such host|lookup .* (on|:)|dial tcp|i\/o timeout|connection refused|no route to host/i,
      (host) =>
        `the nodes do not find or reach ${host}: nodes use their own DNS, which does not resolve cluster names such as registry.tools.svc`,
    ],
    [
      /\b401\b|\b403\b|unauthorized|authorization|forbidden|denied|no basic auth/i,
      (_host, secret) =>
        secret === undefined
          ? 'the nodes may not read the backup: set BACKUP_PULL_SECRET to the name of a pull secret, which "just pull-secret NAMESPACE" creates'
          : `the backup rejects the pull secret ${secret}: update it with "just pull-secret NAMESPACE"`,
    ],
  ];

/** How to fix a failed pull from `host`. */
export function toPullAdvice(reason: string, host: string, secret: string | undefined): string {
  const match = advice.find(([pattern]) => pattern.test(reason));
  return match === undefined
    ? `check that every node can pull from ${host}`
    : match[1](host, secret);
}
