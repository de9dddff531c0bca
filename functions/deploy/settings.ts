import * as v from 'valibot';
import { type Config, configVariables, parseConfig } from '../../lib/config/config.ts';
import { CloneError, ConfigError } from '../../lib/errors.ts';
import { parseReference } from '../../lib/index.ts';
import { type InstallSettings, parseSettings } from '../../lib/install/settings.ts';

/** What the deployment is told: everything that `just gen` is told, and what runs behind the webhook. */
export interface DeploySettings {
  readonly install: InstallSettings;
  readonly image: string;
  /** Folder below knative/, and the pod's `CLONER`. */
  readonly variant: 'docker' | 'registry';
  /** A pod is started from its copy before the webhook is registered. */
  readonly probeImage: string;
  /** Appended to the pods of workloads, and so to that one. */
  readonly backupPullSecret?: string;
  /** Keys that the Secret image-cloner-files must have, since the pod's configuration names them. */
  readonly files: readonly string[];
  /** Where the copies go, as the pod will understand `env`: that alone is no whole configuration. */
  readonly backup: Config['backup'];
  readonly insecureRegistries: Config['insecureRegistries'];
  /** What else the webhook is configured with. */
  readonly env: ReadonlyMap<string, string>;
}

const variables = v.object({
  IMAGE: v.pipe(
    v.string(),
    v.check(
      isPullable,
      'must name a registry that the nodes can pull from, such as registry.example.com/image-cloner:v1; "docker push" it there first',
    ),
  ),
  PROBE_IMAGE: v.optional(
    v.pipe(v.string(), v.check(isReference, 'must be the name of an image, such as busybox:1.36')),
  ),
  CLONER: v.picklist(['docker', 'registry'], 'must be docker or registry'),
});

/** Of this machine, or settled by the manifests. */
const notForPods = new Set([
  'CLONER',
  'DOCKER_HOST',
  'PORT',
  'TLS_PORT',
  'REGISTRY_AUTH_DIR',
  'TLS_CERT_FILE',
  'TLS_PRIVATE_KEY_FILE',
]);
/** Where the manifests mount the Secret image-cloner-files. */
const filesDir = '/files/';

/**
 * Environment → settings. Throws one `ConfigError` that lists every problem, those with which the webhook would not start included.
 */
export function parseDeploySettings(
  env: Readonly<Record<string, string | undefined>>,
): DeploySettings {
  const { IMAGE = '', CLONER = 'docker' } = env;
  const PROBE_IMAGE = env['PROBE_IMAGE']?.trim() ?? '';
  const own = v.safeParse(variables, {
    IMAGE,
    CLONER,
    ...(PROBE_IMAGE !== '' && { PROBE_IMAGE }),
  });
  const passed = toPodEnv(env);
  const files = [...passed].filter(([name]) => name.endsWith('_FILE'));
  const install = attempt(() => parseSettings(env));
  const config = attempt(() =>
    parseConfig({ ...Object.fromEntries(passed), CLONER, ...toMountedTls(install) }),
  );
  const problems = new Set([
    ...(own.issues ?? []).map((issue) => `${v.getDotPath(issue) ?? ''} ${issue.message}`),
    ...(install instanceof ConfigError ? install.problems : []),
    ...(config instanceof ConfigError ? config.problems : []),
    ...files.flatMap(([name, path]) => problemOfFile(name, path)),
    ...problemOfClientCa(install, passed),
  ]);
  if (
    !own.success ||
    install instanceof ConfigError ||
    config instanceof ConfigError ||
    problems.size > 0
  ) {
    throw new ConfigError([...problems]);
  }
  const { IMAGE: image, CLONER: variant, PROBE_IMAGE: probeImage = image } = own.output;
  const { backupPullSecret, backup, insecureRegistries } = config;
  return {
    install,
    image,
    variant,
    probeImage,
    backup,
    insecureRegistries,
    ...(backupPullSecret !== undefined && { backupPullSecret }),
    files: files.map(([, path]) => path.slice(filesDir.length)),
    env: passed,
  };
}

function toPodEnv(env: Readonly<Record<string, string | undefined>>): ReadonlyMap<string, string> {
  const names = configVariables.map(({ name }) => name).filter((name) => !notForPods.has(name));
  return new Map(
    names.flatMap((name) => {
      const value = env[name]?.trim() ?? '';
      return value === '' ? [] : [[name, value] as const];
    }),
  );
}

/** Behind a gateway, it is the gateway that speaks TLS with the API server, and nobody would ask for the certificate. */
function problemOfClientCa(
  install: InstallSettings | ConfigError,
  passed: ReadonlyMap<string, string>,
): readonly string[] {
  const isGateway = !(install instanceof ConfigError) && install.wiring === 'gateway';
  return isGateway && passed.has('TLS_CLIENT_CA_FILE')
    ? ['TLS_CLIENT_CA_FILE needs WIRING=direct: the gateway asks nobody for a certificate']
    : [];
}

/** What the manifests of the direct wiring add. */
function toMountedTls(install: InstallSettings | ConfigError): Readonly<Record<string, string>> {
  const isDirect = !(install instanceof ConfigError) && install.wiring === 'direct';
  return isDirect
    ? { TLS_PORT: '8443', TLS_CERT_FILE: '/tls/tls.crt', TLS_PRIVATE_KEY_FILE: '/tls/tls.key' }
    : {};
}

/** A pod sees the files of its volumes, not of this machine. */
function problemOfFile(name: string, path: string): readonly string[] {
  const key = path.startsWith(filesDir) ? path.slice(filesDir.length) : '';
  return /^[-._a-zA-Z0-9]+$/.test(key)
    ? []
    : [
        `${name} must be ${filesDir}KEY, a key of the Secret image-cloner-files that the pod sees there: kubectl -n NAMESPACE create secret generic image-cloner-files --from-file=KEY=${path}`,
      ];
}

/** `image-cloner:v1` is Docker Hub's `library/image-cloner`, which is nobody's to push to. */
function isPullable(image: string): boolean {
  if (!isReference(image)) return false;
  const { domain, path } = parseReference(image);
  return domain !== 'docker.io' || !path.startsWith('library/');
}

function isReference(image: string): boolean {
  try {
    parseReference(image);
    return true;
  } catch (error) {
    if (error instanceof CloneError) return false;
    throw error;
  }
}

function attempt<Result>(work: () => Result): Result | ConfigError {
  try {
    return work();
  } catch (error) {
    if (error instanceof ConfigError) return error;
    throw error;
  }
}
