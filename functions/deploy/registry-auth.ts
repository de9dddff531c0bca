import {
  findAuthProblems,
  isCloud,
  type RegistryAuth,
  registryAuths,
} from '../../lib/config/registry-auth.ts';
import { type Cloud, cloudOf } from '../../lib/image/cloud-registry.ts';
import { findIdentityProblems } from '../../lib/install/cloud-identity.ts';
import { mustKubectl, readData } from './kubectl.ts';
import type { DeploySettings } from './settings.ts';

const recordedPath = '{.spec.template.spec.containers[0].env[?(@.name=="REGISTRY_AUTH")].value}';

/** What decides where the pods get the credentials of the backup. */
interface AuthChoice {
  readonly configured: RegistryAuth | 'auto';
  /** `REGISTRY_AUTH` of the running Service; empty if there is none. */
  readonly recorded: string;
  readonly hasSecret: boolean;
  /** Of the backup. */
  readonly domain: string;
}

/**
 * Resolves `auto`, so that a pod whose Secret has vanished does not use another identity by itself: an earlier result stays, unless
 * it is the cloud of another registry. `undefined` if there are no credentials.
 */
export function chooseRegistryAuth(choice: AuthChoice): RegistryAuth | undefined {
  const { configured, hasSecret, domain } = choice;
  if (configured !== 'auto') return configured;
  const recorded = registryAuths.find((auth) => auth === choice.recorded);
  if (recorded !== undefined && (!isCloud(recorded) || recorded === cloudOf(domain))) {
    return recorded;
  }
  return hasSecret ? 'file' : cloudOf(domain);
}

/** Records in the variables of the pods where they get the credentials of the backup. */
export async function withRegistryAuth(settings: DeploySettings): Promise<DeploySettings> {
  const { install, registryAuth: configured, backup } = settings;
  const { name, namespace } = install;
  const output = ['--ignore-not-found', `--output=jsonpath=${recordedPath}`];
  const [recorded, secret] = await Promise.all([
    // Without Knative or a cluster, the preflight says so.
    mustKubectl(['get', 'ksvc', name, `--namespace=${namespace}`, ...output]).catch(() => ''),
    readData('secret', 'registry-auth', namespace).catch(() => ({})),
  ]);
  const hasSecret = Object.keys(secret).length > 0;
  const auth = chooseRegistryAuth({ configured, recorded, hasSecret, domain: backup.domain });
  if (auth === undefined) return settings;
  return {
    ...settings,
    registryAuth: auth,
    env: new Map([...settings.env, ['REGISTRY_AUTH', auth]]),
  };
}

/** Problems of the resolved identity: one sentence for each variable to change. */
export function findCloudProblems(settings: DeploySettings): readonly string[] {
  const { registryAuth, sourceCloudAuth, install } = settings;
  const used = new Set<Cloud>([
    ...(isCloud(registryAuth) ? [registryAuth] : []),
    ...sourceCloudAuth,
  ]);
  return [
    ...findAuthProblems(registryAuth, settings),
    ...findIdentityProblems(install.cloudIdentities, [...used]),
  ];
}
