import { tryParse } from '../../lib/admission/original-images.ts';
import { type Config, parseConfig } from '../../lib/config/config.ts';
import { configVariables } from '../../lib/config/variables.ts';
import { CloneError, ConfigError } from '../../lib/errors.ts';
import {
  isRecorded,
  proxyVariables,
  type ResolvedSettings,
} from '../../lib/install/record/index.ts';
import { type InstallSettings, parseSettings } from '../../lib/install/settings.ts';

/** The settings of one installation, and the image and configuration of the webhook. */
export interface DeploySettings {
  readonly install: InstallSettings;
  readonly image: string;
  /** Folder below knative/, and the pod's `CLONER`. */
  readonly variant: 'docker' | 'registry';
  /** Pull secrets of `image`, which the ServiceAccount of the webhook has. @default none */
  readonly imagePullSecrets?: readonly string[];
  /** The image of the smoke test's pod. */
  readonly probeImage: string;
  /** Appended to the pods of workloads, and to the smoke test's pod. */
  readonly backupPullSecret?: string;
  /** Keys of the Secret image-cloner-files that the configuration names. */
  readonly files: readonly string[];
  /** The backup registry, parsed from `env` and the fixed variables of the manifests. */
  readonly backup: Config['backup'];
  readonly naming: Config['naming'];
  /** `auto` until `deploy` has resolved it. */
  readonly registryAuth: Config['registryAuth'];
  readonly sourceCloudAuth: Config['sourceCloudAuth'];
  readonly insecureRegistries: Config['insecureRegistries'];
  readonly platforms: Config['platforms'];
  /** The settings to record, by the name of their variable. */
  readonly record: Readonly<Record<string, string>>;
  /** The variables of the pod that the manifests do not set. */
  readonly env: ReadonlyMap<string, string>;
}

/** The variables of the pod that the manifests do not set. */
const podVariables: readonly string[] = [
  ...configVariables
    .map(({ name }) => name)
    .filter((name) => name !== 'CLONER' && isRecorded(name)),
  ...proxyVariables,
];
/** The variables that the manifests of WIRING=direct add. */
const mountedTls = {
  TLS_PORT: '8443',
  TLS_CERT_FILE: '/tls/tls.crt',
  TLS_PRIVATE_KEY_FILE: '/tls/tls.key',
};
/** Mount path of the Secret image-cloner-files. */
const filesDir = '/files/';

/** Throws one `ConfigError` that lists every problem, including those that would stop the webhook at its start. */
export function parseDeploySettings({ env, settings }: ResolvedSettings): DeploySettings {
  const image = env['IMAGE'] ?? '';
  const probeImage = env['PROBE_IMAGE']?.trim() || image;
  const podEnv = toPodEnv(settings);
  const files = [...podEnv].filter(([name]) => name.endsWith('_FILE'));
  const install = attempt(() => parseSettings(env));
  const wiring = install instanceof ConfigError ? undefined : install.wiring;
  const config = attempt(() =>
    parseConfig({
      ...Object.fromEntries(podEnv),
      CLONER: env['CLONER'],
      ...(wiring === 'direct' && mountedTls),
    }),
  );
  const problems = new Set([
    ...findImageProblems(image, probeImage),
    ...(install instanceof ConfigError ? install.problems : []),
    ...(config instanceof ConfigError ? config.problems : []),
    ...files.flatMap(([name, path]) => problemOfFile(name, path)),
    // A gateway terminates the API server's TLS connection.
    ...(wiring === 'gateway' && podEnv.has('TLS_CLIENT_CA_FILE')
      ? ['TLS_CLIENT_CA_FILE needs WIRING=direct: a gateway requests no client certificate']
      : []),
  ]);
  if (install instanceof ConfigError || config instanceof ConfigError || problems.size > 0) {
    throw new ConfigError([...problems]);
  }
  const { cloner: variant, backupPullSecret, backup, naming, insecureRegistries } = config;
  const { registryAuth, sourceCloudAuth, platforms } = config;
  return {
    install,
    image,
    variant,
    probeImage,
    backup,
    naming,
    registryAuth,
    sourceCloudAuth,
    insecureRegistries,
    platforms,
    ...(backupPullSecret !== undefined && { backupPullSecret }),
    files: files.map(([, path]) => path.slice(filesDir.length)),
    record: settings,
    env: podEnv,
  };
}

/** As `settings`, but with these values recorded and passed to the pods. */
export function withRecorded(
  settings: DeploySettings,
  values: Readonly<Record<string, string>>,
): DeploySettings {
  const record = { ...settings.record, ...values };
  return { ...settings, record, env: toPodEnv(record) };
}

function findImageProblems(image: string, probeImage: string): readonly string[] {
  const problems: string[] = [];
  if (!isPullable(image)) {
    problems.push(
      'IMAGE must name a registry that the nodes can pull from, such as registry.example.com/image-cloner:v1; "docker push" it there first',
    );
  }
  if (probeImage !== image && tryParse(probeImage) instanceof CloneError) {
    problems.push('PROBE_IMAGE must be an image name such as busybox:1.36');
  }
  return problems;
}

function toPodEnv(settings: Readonly<Record<string, string>>): ReadonlyMap<string, string> {
  return new Map(
    podVariables.flatMap((name) => {
      const value = settings[name];
      return value === undefined ? [] : [[name, value] as const];
    }),
  );
}

/** A pod has the files of its volumes, not those of this machine. */
function problemOfFile(name: string, path: string): readonly string[] {
  const key = path.startsWith(filesDir) ? path.slice(filesDir.length) : '';
  return /^[-._a-zA-Z0-9]+$/.test(key)
    ? []
    : [
        `${name} must be ${filesDir}KEY, a key of the Secret image-cloner-files, which the pod mounts there: kubectl -n NAMESPACE create secret generic image-cloner-files --from-file=KEY=${path}`,
      ];
}

/** `image-cloner:v1` means Docker Hub's `library/image-cloner`, which users cannot push. */
function isPullable(image: string): boolean {
  const reference = tryParse(image);
  if (reference instanceof CloneError) return false;
  return reference.domain !== 'docker.io' || !reference.path.startsWith('library/');
}

function attempt<Result>(work: () => Result): Result | ConfigError {
  try {
    return work();
  } catch (error) {
    if (error instanceof ConfigError) return error;
    throw error;
  }
}
