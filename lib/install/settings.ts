import * as v from 'valibot';
import { namespaceOfService, parseConfig, toBackupNamespace } from '../config.ts';
import { ConfigError } from '../errors.ts';
import type { BackupPlace } from './match-conditions.ts';
import { knownWorkloads } from './rules.ts';

/** What an installation is called and where it runs: everything that `just gen` can be told. */
export interface InstallSettings {
  readonly name: string;
  /** Of the Knative Service and of its Secrets. */
  readonly namespace: string;
  /** The ClusterIP Service that the API server calls. */
  readonly service: { readonly name: string; readonly namespace: string };
  /** `https://host:port` of a webhook outside the cluster, called instead of the Service. */
  readonly url?: string;
  readonly path: string;
  readonly workloads: readonly string[];
  readonly failurePolicy: 'Fail' | 'Ignore';
  readonly timeoutSeconds: number;
  /** Absent where nobody said which namespace it has. */
  readonly backup?: BackupPlace;
  /** Where the backup registry runs, if that is in this cluster. */
  readonly registryNamespace?: string;
  /** What the certificate is for. */
  readonly hosts: readonly [string, ...string[]];
  readonly outDir: string;
  readonly keepCaKey: boolean;
}

const text = v.pipe(v.string(), v.trim());

/** Services and Knative Services: RFC 1035, so a digit does not come first. */
const serviceName = v.pipe(
  text,
  v.regex(
    /^[a-z]([-a-z0-9]{0,61}[a-z0-9])?$/,
    'must be the name of a Service: a-z, 0-9 and -, a letter first, at most 63 characters',
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
    (value) => toOrigin(value) !== undefined,
    'must be https://host:port and no more; WEBHOOK_PATH is appended',
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

const workloads = v.pipe(
  text,
  v.transform((value) => value.split(/[\s,]+/).filter((item) => item !== '')),
  v.check(
    (items) => items.length > 0 && items.every((item) => knownWorkloads.includes(item)),
    `must be a list of some of ${knownWorkloads.join(', ')}`,
  ),
);

const secondsMessage = 'must be a whole number from 1 to 30';
const seconds = v.pipe(
  text,
  v.regex(/^\d{1,2}$/, secondsMessage),
  v.transform(Number),
  v.minValue(1, secondsMessage),
  v.maxValue(30, secondsMessage),
);

const flag = v.pipe(
  text,
  v.picklist(['true', 'false'], 'must be true or false'),
  v.transform((value) => value === 'true'),
);

const variables = {
  NAME: v.optional(serviceName, 'image-cloner'),
  NAMESPACE: v.optional(namespaceName, 'image-cloner'),
  SERVICE_NAME: v.optional(serviceName),
  SERVICE_NAMESPACE: v.optional(namespaceName, 'kourier-system'),
  WEBHOOK_URL: v.optional(origin),
  WEBHOOK_PATH: v.optional(path, '/clone-image'),
  WORKLOADS: v.optional(workloads, 'deployments,daemonsets,statefulsets,cronjobs,jobs'),
  FAILURE_POLICY: v.optional(
    v.pipe(text, v.picklist(['Fail', 'Ignore'], 'must be Fail or Ignore')),
    'Fail',
  ),
  TIMEOUT_SECONDS: v.optional(seconds, '10'),
  OUT_DIR: v.optional(text, 'certs'),
  KEEP_CA_KEY: v.optional(flag, 'false'),
};

const schema = v.object(variables);

/**
 * Environment → settings. An empty variable counts as not set; `REGISTRY` and `REGISTRY_NAMESPACE` mean what they mean to the webhook.
 * Throws one `ConfigError` that lists every problem.
 */
export function parseSettings(env: Readonly<Record<string, string | undefined>>): InstallSettings {
  const given = Object.fromEntries(
    Object.keys(variables).flatMap((name) => {
      const value = env[name];
      return value === undefined || value.trim() === '' ? [] : [[name, value]];
    }),
  );
  const result = v.safeParse(schema, given);
  const registry = readRegistry(env);
  const problems = [
    ...(result.issues ?? []).map((issue) => `${v.getDotPath(issue) ?? ''} ${issue.message}`),
    ...registry.problems,
  ];
  if (!result.success || problems.length > 0) throw new ConfigError(problems);

  const o = result.output;
  const service = { name: o.SERVICE_NAME ?? o.NAME, namespace: o.SERVICE_NAMESPACE };
  const url = o.WEBHOOK_URL === undefined ? undefined : toOrigin(o.WEBHOOK_URL);
  const host = `${service.name}.${service.namespace}.svc`;
  return {
    name: o.NAME,
    namespace: o.NAMESPACE,
    service,
    ...(url !== undefined && { url: url.origin }),
    path: o.WEBHOOK_PATH,
    workloads: o.WORKLOADS,
    failurePolicy: o.FAILURE_POLICY,
    timeoutSeconds: o.TIMEOUT_SECONDS,
    ...registry.settings,
    hosts:
      url === undefined
        ? // The API server checks the first one; the second is for other clients in the cluster.
          [host, `${host}.cluster.local`]
        : [url.hostname.replace(/^\[(.*)\]$/, '$1')],
    outDir: o.OUT_DIR,
    keepCaKey: o.KEEP_CA_KEY,
  };
}

/** The API server wants https, a host, and neither user, query nor fragment; the path is ours to append. */
function toOrigin(value: string): URL | undefined {
  const url = URL.parse(value) ?? undefined;
  // The whole of a URL with a user, a path, a query or a fragment is more than its origin.
  return url?.protocol === 'https:' && url.href === `${url.origin}/` ? url : undefined;
}

function readRegistry({
  REGISTRY,
  REGISTRY_NAMESPACE,
}: Readonly<Record<string, string | undefined>>): {
  readonly problems: readonly string[];
  readonly settings: Pick<InstallSettings, 'backup' | 'registryNamespace'>;
} {
  try {
    const { backup } = parseConfig({ REGISTRY, REGISTRY_NAMESPACE });
    const { domain, namespace } = backup;
    const registryNamespace = namespaceOfService(domain);
    return {
      problems: [],
      settings: {
        ...(registryNamespace !== undefined && { registryNamespace }),
        ...(namespace !== undefined && {
          backup: { domain, namespace: toBackupNamespace(backup, namespace) },
        }),
      },
    };
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    return { problems: error.problems, settings: {} };
  }
}
