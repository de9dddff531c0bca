import {
  findAuthProblems,
  isCloud,
  type RegistryAuth,
  registryAuths,
} from '../../lib/config/registry-auth.ts';
import { type Cloud, cloudOf } from '../../lib/image/cloud-registry.ts';
import { findIdentityProblems } from '../../lib/install/cloud-identity.ts';
import type { ResolvedSettings } from '../../lib/install/record/index.ts';
import { readData } from './kubectl.ts';
import { type DeploySettings, withRecorded } from './settings.ts';

/** What decides where the pods get the credentials of the backup. */
interface AuthChoice {
  readonly configured: RegistryAuth | 'auto';
  /** `REGISTRY_AUTH` of what is deployed; absent if there is none. */
  readonly recorded: string | undefined;
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

/** Records where the pods get the credentials of the backup. */
export async function withRegistryAuth(
  settings: DeploySettings,
  { kept, deployed }: ResolvedSettings,
): Promise<DeploySettings> {
  const { install, backup } = settings;
  // Without a cluster, the preflight says so.
  const secret = await readData('secret', 'registry-auth', install.namespace).catch(() => ({}));
  const auth = chooseRegistryAuth({
    configured: kept.includes('REGISTRY_AUTH') ? 'auto' : settings.registryAuth,
    recorded: deployed['REGISTRY_AUTH'],
    hasSecret: Object.keys(secret).length > 0,
    domain: backup.domain,
  });
  if (auth === undefined) return settings;
  return { ...withRecorded(settings, { REGISTRY_AUTH: auth }), registryAuth: auth };
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
