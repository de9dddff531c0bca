import * as v from 'valibot';

/** What the kubelet says of the one container of a pod. */
export type Pull =
  | { readonly state: 'pulled' }
  | { readonly state: 'waiting'; readonly says: string }
  | { readonly state: 'failing'; readonly says: string };

const state = v.object({
  waiting: v.optional(
    v.object({ reason: v.optional(v.string(), ''), message: v.optional(v.string(), '') }),
  ),
  running: v.optional(v.object({})),
  terminated: v.optional(v.object({})),
});

const pod = v.object({
  status: v.optional(
    v.object({
      conditions: v.optional(
        v.array(
          v.object({
            type: v.string(),
            status: v.string(),
            message: v.optional(v.string(), ''),
          }),
        ),
        [],
      ),
      containerStatuses: v.optional(
        v.array(v.object({ imageID: v.optional(v.string(), ''), state: v.optional(state, {}) })),
        [],
      ),
    }),
    { conditions: [], containerStatuses: [] },
  ),
});

/** The kubelet's reasons for an image that it does not get; all others, CreateContainerError for one, come after the pull. */
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

/** Pod → whether its image is on the node. What becomes of the container afterwards is of no account. */
export function judgePull(found: unknown): Pull {
  const { conditions, containerStatuses } = v.parse(pod, found).status;
  const [container] = containerStatuses;
  const { waiting, running, terminated } = container?.state ?? {};
  if (running !== undefined || terminated !== undefined) return { state: 'pulled' };
  if (waiting !== undefined && pullReasons.has(waiting.reason)) {
    return {
      state: 'failing',
      says: [waiting.reason, waiting.message].filter(Boolean).join(': '),
    };
  }
  if (waiting !== undefined && !beforePull.has(waiting.reason)) return { state: 'pulled' };
  const open = conditions.filter(({ status, message }) => status === 'False' && message !== '');
  return { state: 'waiting', says: open.map(({ message }) => message).join('; ') || 'nothing' };
}

/** Symptom → what to do; container runtimes have no codes, only words. The first that fits is the answer. */
const advice: readonly (readonly [RegExp, (host: string, secret: string | undefined) => string])[] =
  [
    [
      /x509|certificate/i,
      (host) =>
        `the nodes do not trust the certificate of ${host}: give its CA to their container runtime (containerd: /etc/containerd/certs.d/${host}/hosts.toml)`,
    ],
    [
      /server gave HTTP response to HTTPS client/i,
      (host) =>
        `${host} speaks plain http, and the nodes are not told so: tell their container runtime (containerd: /etc/containerd/certs.d/${host}/hosts.toml)`,
    ],
    [
      /no such host|lookup .* (on|:)|dial tcp|i\/o timeout|connection refused|no route to host/i,
      (host) =>
        `the nodes do not find or reach ${host}: they ask their own DNS, not the cluster's, which alone knows names such as registry.tools.svc`,
    ],
    [
      /\b401\b|\b403\b|unauthorized|authorization|forbidden|denied|no basic auth/i,
      (_host, secret) =>
        secret === undefined
          ? 'the nodes may not read the backup: set BACKUP_PULL_SECRET to the name of a pull secret, which "just pull-secret NAMESPACE" makes'
          : `the pull secret ${secret} does not open the backup: mend it ("just pull-secret NAMESPACE")`,
    ],
  ];

/** What a person can do about a node that does not get an image from `host`. */
export function toPullAdvice(says: string, host: string, secret: string | undefined): string {
  const fitting = advice.find(([symptom]) => symptom.test(says));
  return fitting === undefined
    ? `see that every node can pull from ${host}`
    : fitting[1](host, secret);
}
