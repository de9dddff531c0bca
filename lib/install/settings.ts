import * as v from 'valibot';
import { namespaceOfService, toBackupNamespace } from '../config/backup-registry.ts';
import { parseConfig } from '../config/config.ts';
import { ConfigError } from '../errors.ts';
import { gatewayNamespaces } from './excluded-namespaces.ts';
import type { BackupPlace } from './match-conditions.ts';
import { knownWorkloads } from './rules.ts';

/** What an installation is called and where it runs: everything that `just gen` can be told. */
export interface InstallSettings {
  readonly name: string;
  /** Of the Knative Service and of its Secrets. */
  readonly namespace: string;
  /**
   * How the API server's https gets to the pod. `gateway`: Knative's gateway ends it and goes on as to every Knative Service. `direct`: the
   * pod ends it itself, past Knative, on a port of its own.
   */
  readonly wiring: 'gateway' | 'direct';
  /** File below knative/gateway/; of no account where the wiring is direct. */
  readonly gateway: 'kourier' | 'contour' | 'istio';
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
  WIRING: v.optional(
    v.pipe(text, v.picklist(['gateway', 'direct'], 'must be gateway or direct')),
    'gateway',
  ),
  GATEWAY: v.optional(
    v.pipe(text, v.picklist(['kourier', 'contour', 'istio'], 'must be kourier, contour or istio')),
    'kourier',
  ),
  SERVICE_NAME: v.optional(serviceName),
  SERVICE_NAMESPACE: v.optional(namespaceName),
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

/** The variables that `parseSettings` reads, in the order of the table in knative/README.md, and what they are when they are not set. */
export const settingVariables: readonly { readonly name: string; readonly default?: string }[] =
  Object.entries(variables).map(([name, variable]) => {
    const value = v.getDefault(variable);
    return { name, ...(typeof value === 'string' && { default: value }) };
  });

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
    ...(result.success ? problemsOfDirect(result.output) : []),
    ...registry.problems,
  ];
  if (!result.success || problems.length > 0) throw new ConfigError(problems);

  const o = result.output;
  const service = toService(o);
  const url = o.WEBHOOK_URL === undefined ? undefined : toOrigin(o.WEBHOOK_URL);
  const host = `${service.name}.${service.namespace}.svc`;
  return {
    name: o.NAME,
    namespace: o.NAMESPACE,
    wiring: o.WIRING,
    gateway: o.GATEWAY,
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

type Output = v.InferOutput<typeof schema>;

/** Knative's Route keeps a Service NAME of its own beside the pods. */
function toService(o: Output): InstallSettings['service'] {
  return o.WIRING === 'direct'
    ? { name: o.SERVICE_NAME ?? `${o.NAME}-webhook`, namespace: o.NAMESPACE }
    : {
        name: o.SERVICE_NAME ?? o.NAME,
        namespace: o.SERVICE_NAMESPACE ?? gatewayNamespaces[o.GATEWAY],
      };
}

function problemsOfDirect(o: Output): readonly string[] {
  if (o.WIRING !== 'direct' || o.WEBHOOK_URL !== undefined) return [];
  const elsewhere = o.SERVICE_NAMESPACE !== undefined && o.SERVICE_NAMESPACE !== o.NAMESPACE;
  return [
    ...(elsewhere
      ? [
          `SERVICE_NAMESPACE must be ${o.NAMESPACE} or not be set with WIRING=direct: a Service finds pods of its own namespace only`,
        ]
      : []),
    ...(toService(o).name === o.NAME
      ? [
          `SERVICE_NAME must not be ${o.NAME} with WIRING=direct: Knative keeps a Service of that name for itself`,
        ]
      : []),
  ];
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
