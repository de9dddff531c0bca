import * as v from 'valibot';
import { flag, list, listVariables, oneOf, text, wholeNumber } from '../config/values.ts';
import { type CloudIdentity, parseCloudIdentity } from './cloud-identity.ts';
import { knownWorkloads } from './rules.ts';

/** The name of a Service or Knative Service is an RFC 1035 label: it starts with a letter. */
const serviceName = v.pipe(
  text,
  v.regex(
    /^[a-z]([-a-z0-9]{0,61}[a-z0-9])?$/,
    'must be the name of a Service: a-z, 0-9 and -, a letter first, at most 63 characters',
  ),
  // Installations of the first version share the label value `enabled`.
  v.check(
    (value) => value !== 'enabled' && value !== 'disabled',
    'must not be enabled or disabled: it is also the value of the namespace label',
  ),
);

const namespaceName = v.pipe(
  text,
  v.regex(
    /^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$/,
    'must be the name of a namespace: a-z, 0-9 and -, at most 63 characters',
  ),
);

const origin = v.pipe(
  text,
  v.check(
    (value) => parseOrigin(value) !== undefined,
    'must be https://host:port without a path; WEBHOOK_PATH is appended',
  ),
);

/** What the API server accepts as `clientConfig.service.path`. */
const path = v.pipe(
  text,
  v.regex(
    /^(\/[a-z0-9]([-a-z0-9.]*[a-z0-9])?)+$/,
    'must be a path such as /clone-image: a-z, 0-9, - and . between slashes',
  ),
);

/** `disabled` opts objects out. */
const labelValue = v.pipe(
  text,
  v.regex(
    /^(?!disabled$)[A-Za-z0-9]([-\w.]{0,61}[A-Za-z0-9])?$/,
    'must be the value of a label, at most 63 characters, and not disabled',
  ),
);

const workloads = v.pipe(
  list,
  v.check(
    (items) => items.length > 0 && items.every((item) => knownWorkloads.includes(item)),
    `must list one or more of ${knownWorkloads.join(', ')}`,
  ),
);

const cloudIdentities = v.pipe(
  list,
  v.rawTransform<string[], readonly CloudIdentity[]>(({ dataset, addIssue, NEVER }) => {
    const identities = dataset.value.map(parseCloudIdentity);
    const known = identities.filter((identity) => identity !== undefined);
    if (known.length === identities.length) return known;
    addIssue({
      message:
        'must list the ARN of a role, pod-identity, gke, the e-mail address of a Google service account, the client ID of an Azure identity, or node-role',
    });
    return NEVER;
  }),
);

/** A test compares the table in knative/configuration.md with these. */
export const variables = {
  NAME: v.optional(serviceName, 'image-cloner'),
  NAMESPACE: v.optional(namespaceName, 'image-cloner'),
  SERVING: v.optional(oneOf(['knative', 'deployment']), 'knative'),
  MIN_SCALE: v.optional(wholeNumber(0, 3), '2'),
  WIRING: v.optional(oneOf(['gateway', 'direct'])),
  GATEWAY: v.optional(oneOf(['kourier', 'contour', 'istio']), 'kourier'),
  SERVICE_NAME: v.optional(serviceName),
  SERVICE_NAMESPACE: v.optional(namespaceName),
  WEBHOOK_URL: v.optional(origin),
  WEBHOOK_PATH: v.optional(path, '/clone-image'),
  WORKLOADS: v.optional(workloads, 'deployments,daemonsets,statefulsets,cronjobs,jobs'),
  LABEL_VALUE: v.optional(labelValue),
  FAILURE_POLICY: v.optional(oneOf(['Fail', 'Ignore']), 'Fail'),
  TIMEOUT_SECONDS: v.optional(wholeNumber(1, 30), '10'),
  CERTIFICATES: v.optional(oneOf(['renew', 'cert-manager', 'files']), 'renew'),
  CLOUD_IDENTITY: v.optional(cloudIdentities, ''),
  OUT_DIR: v.optional(text, 'certs'),
  KEEP_CA_KEY: v.optional(flag, 'false'),
};

export const schema = v.object(variables);

/** The value of each variable, valid or by default. */
export type SettingValues = v.InferOutput<typeof schema>;

/** The variables that `parseSettings` reads and their defaults, in the order of the table in knative/configuration.md. */
export const settingVariables = listVariables(variables);

/** Variables of an installation that `deploy` alone reads. */
export const deployVariables: ReturnType<typeof listVariables> = [
  { name: 'IMAGE' },
  { name: 'PROBE_IMAGE' },
];

/** The API server accepts https, a host and a path, but no user, query or fragment; `path` is appended to the origin. */
export function parseOrigin(value: string): URL | undefined {
  const url = URL.parse(value) ?? undefined;
  return url?.protocol === 'https:' && url.href === `${url.origin}/` ? url : undefined;
}
