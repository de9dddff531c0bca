import * as v from 'valibot';
import { namespaceOfService, toBackupNamespace } from '../config/backup-registry.ts';
import { parseConfig } from '../config/config.ts';
import { findUnknownVariables } from '../config/unknown-variables.ts';
import { type Env, pickVariables, toProblems } from '../config/values.ts';
import { configVariables } from '../config/variables.ts';
import { ConfigError } from '../errors.ts';
import type { BackupLocation } from '../image/backup-name.ts';
import type { CloudIdentity } from './cloud-identity.ts';
import { gatewayNamespaces } from './excluded-namespaces.ts';
import {
  deployVariables,
  parseOrigin,
  type SettingValues,
  schema,
  settingVariables,
  variables,
} from './setting-variables.ts';

/** One installation in a cluster: its names, its webhook and its certificate. */
export interface InstallSettings {
  readonly name: string;
  /** Of the webhook and of its Secrets. */
  readonly namespace: string;
  /** `knative`: a Knative Service. `deployment`: a Deployment, for a cluster without Knative. */
  readonly serving: 'knative' | 'deployment';
  /** Pods that run at any time. */
  readonly minScale: number;
  /**
   * Where TLS from the API server ends. `gateway`: at Knative's gateway, which forwards to the pod. `direct`: in the pod, on a
   * port of its own that bypasses Knative.
   */
  readonly wiring: 'gateway' | 'direct';
  /** File below knative/gateway/; unused with the direct wiring. */
  readonly gateway: 'kourier' | 'contour' | 'istio';
  /** The ClusterIP Service that the API server calls. */
  readonly service: { readonly name: string; readonly namespace: string };
  /** `https://host:port` of a webhook outside the cluster, called instead of the Service. */
  readonly url?: string;
  readonly path: string;
  readonly workloads: readonly string[];
  /** Value of the namespace label `image-cloner` that opts a namespace in. */
  readonly labelValue: string;
  readonly failurePolicy: 'Fail' | 'Ignore';
  readonly timeoutSeconds: number;
  /** What renews the certificate: the CronJob of image-cloner, cert-manager, or a person with the files of `gen`. */
  readonly certificates: 'renew' | 'cert-manager' | 'files';
  /** Absent if the backup's namespace is not configured. */
  readonly backup?: Pick<BackupLocation, 'domain' | 'namespace'>;
  /** Namespace of a backup registry that runs in this cluster. */
  readonly registryNamespace?: string;
  /** Subject alternative names of the certificate. */
  readonly hosts: readonly [string, ...string[]];
  /** The identities of the pods in clouds. */
  readonly cloudIdentities: readonly CloudIdentity[];
  readonly outDir: string;
  readonly keepCaKey: boolean;
}

const knownNames = [...settingVariables, ...configVariables, ...deployVariables].map(
  ({ name }) => name,
);

/** Reads which installation is meant. Throws `ConfigError` as `parseSettings` does. */
export function parseSelection(env: Env): Pick<InstallSettings, 'name' | 'namespace'> {
  const { NAME, NAMESPACE } = variables;
  const selection = v.object({ NAME, NAMESPACE });
  const result = v.safeParse(selection, pickVariables(env, selection.entries));
  if (!result.success) throw new ConfigError(toProblems(result.issues));
  return { name: result.output.NAME, namespace: result.output.NAMESPACE };
}

/**
 * Reads the settings from the environment. An empty variable counts as not set; `REGISTRY` and `REGISTRY_NAMESPACE` mean what
 * they mean to the webhook. Throws one `ConfigError` that lists every problem, misspelt variables of the webhook included.
 */
export function parseSettings(env: Env): InstallSettings {
  const result = v.safeParse(schema, pickVariables(env, variables));
  const registry = parseRegistry(env);
  const problems = [
    ...toProblems(result.issues),
    ...findUnknownVariables(env, knownNames),
    ...(result.success ? findConflicts(result.output) : []),
    ...(registry instanceof ConfigError ? registry.problems : []),
  ];
  if (!result.success || registry instanceof ConfigError || problems.length > 0) {
    throw new ConfigError(problems);
  }

  const o = result.output;
  const service = toService(o);
  const url = o.WEBHOOK_URL === undefined ? undefined : parseOrigin(o.WEBHOOK_URL);
  return {
    name: o.NAME,
    namespace: o.NAMESPACE,
    serving: o.SERVING,
    minScale: o.MIN_SCALE,
    wiring: toWiring(o),
    gateway: o.GATEWAY,
    service,
    ...(url !== undefined && { url: url.origin }),
    path: o.WEBHOOK_PATH,
    workloads: o.WORKLOADS,
    labelValue: o.LABEL_VALUE ?? o.NAME,
    failurePolicy: o.FAILURE_POLICY,
    timeoutSeconds: o.TIMEOUT_SECONDS,
    certificates: o.CERTIFICATES,
    ...registry,
    hosts: url === undefined ? toServiceHosts(service) : [url.hostname.replace(/^\[(.*)\]$/, '$1')],
    cloudIdentities: o.CLOUD_IDENTITY,
    outDir: o.OUT_DIR,
    keepCaKey: o.KEEP_CA_KEY,
  };
}

/** The API server verifies the first name, other clients in the cluster the second. */
export function toServiceHosts({
  name,
  namespace,
}: InstallSettings['service']): InstallSettings['hosts'] {
  const host = `${name}.${namespace}.svc`;
  return [host, `${host}.cluster.local`];
}

/** Only Knative has a gateway. */
function toWiring({ WIRING, SERVING }: SettingValues): InstallSettings['wiring'] {
  return WIRING ?? (SERVING === 'knative' ? 'gateway' : 'direct');
}

/** With the direct wiring, the name NAME is taken: Knative's Route creates a Service of that name beside the pods. */
function toService(o: SettingValues): InstallSettings['service'] {
  return toWiring(o) === 'direct'
    ? { name: o.SERVICE_NAME ?? `${o.NAME}-webhook`, namespace: o.NAMESPACE }
    : {
        name: o.SERVICE_NAME ?? o.NAME,
        namespace: o.SERVICE_NAMESPACE ?? gatewayNamespaces[o.GATEWAY],
      };
}

function findConflicts(o: SettingValues): readonly string[] {
  if (o.SERVING === 'deployment' && o.WIRING === 'gateway') {
    return [
      'WIRING must be direct or not be set with SERVING=deployment: only Knative has a gateway',
    ];
  }
  if (toWiring(o) !== 'direct' || o.WEBHOOK_URL !== undefined) return [];
  const elsewhere = o.SERVICE_NAMESPACE !== undefined && o.SERVICE_NAMESPACE !== o.NAMESPACE;
  return [
    ...(o.MIN_SCALE === 0
      ? [
          'MIN_SCALE must be at least 1 with WIRING=direct: only a gateway starts a pod for a review',
        ]
      : []),
    ...(elsewhere
      ? [
          `SERVICE_NAMESPACE must be ${o.NAMESPACE} or not be set with WIRING=direct: a Service selects pods of its own namespace only`,
        ]
      : []),
    ...(toService(o).name === o.NAME
      ? [
          `SERVICE_NAME must not be ${o.NAME} with WIRING=direct: Knative creates a Service of that name`,
        ]
      : []),
  ];
}

function parseRegistry(
  env: Env,
): Pick<InstallSettings, 'backup' | 'registryNamespace'> | ConfigError {
  try {
    const { REGISTRY, REGISTRY_NAMESPACE } = env;
    const { backup } = parseConfig({ REGISTRY, REGISTRY_NAMESPACE });
    const { domain, namespace } = backup;
    const registryNamespace = namespaceOfService(domain);
    return {
      ...(registryNamespace !== undefined && { registryNamespace }),
      ...(namespace !== undefined && {
        backup: { domain, namespace: toBackupNamespace(backup, namespace) },
      }),
    };
  } catch (error) {
    if (error instanceof ConfigError) return error;
    throw error;
  }
}
