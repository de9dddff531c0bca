import { isFailureOf } from '../../errors.ts';
import type { Reference } from '../../image/reference.ts';
import type {
  Credentials,
  ImageCloner,
  PullSecretRefs,
  RegistryAccess,
  WorkloadSecrets,
} from '../../ports/index.ts';
import type { BackupFinding } from './verification.ts';

export interface CheckPullDeps {
  readonly cloner: Pick<ImageCloner, 'resolve'>;
  readonly secrets: Pick<WorkloadSecrets, 'keyring'>;
  /** `BACKUP_PULL_SECRET`. Without it, nodes are expected to have credentials of their own. */
  readonly backupPullSecret?: string | undefined;
}

/** Opens a copy that is whole as the kubelet would: with each entry of the pod's pull secrets, else without credentials. */
export async function checkPull(
  { cloner, secrets, backupPullSecret }: CheckPullDeps,
  copy: Reference & { readonly digest: string },
  pod: PullSecretRefs,
  signal: AbortSignal,
): Promise<BackupFinding> {
  const { keyring, warnings } = await secrets.keyring(pod, signal);
  const found = keyring.find(copy);
  const attempts: readonly (Credentials | undefined)[] = found.length > 0 ? found : [undefined];
  for (const credentials of attempts) {
    const answer = await tryPull(cloner, copy, { side: 'backup', credentials }, signal);
    if (answer !== 'denied') return answer;
  }
  const [unread] = warnings;
  if (unread !== undefined) return { state: 'whole', what: `whole; not pulled: ${unread}` };
  if (found.length > 0) {
    return { state: 'denied', what: 'the backup refuses the pull secrets of the pod' };
  }
  return backupPullSecret === undefined
    ? { state: 'whole', what: 'whole; only nodes with credentials of their own can pull it' }
    : { state: 'denied', what: `the pod has no pull secret for the backup (${backupPullSecret})` };
}

async function tryPull(
  cloner: Pick<ImageCloner, 'resolve'>,
  { domain, path, digest }: Reference & { readonly digest: string },
  access: RegistryAccess,
  signal: AbortSignal,
): Promise<BackupFinding | 'denied'> {
  try {
    const options = { isFresh: true, isFinal: true };
    const found = await cloner.resolve({ domain, path, digest }, access, signal, options);
    // Some registries say that a repository does not exist instead of refusing access.
    return found === undefined ? 'denied' : { state: 'whole', what: 'whole' };
  } catch (error) {
    signal.throwIfAborted();
    if (!isFailureOf('backup', error)) throw error;
    return error.reason === 'DENIED' ? 'denied' : { state: 'unchecked', what: error.message };
  }
}
