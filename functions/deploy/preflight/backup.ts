import { CloneError } from '../../../lib/errors.ts';
import { toSentence } from '../../shared/run-command.ts';
import type { DeploySettings } from '../settings.ts';
import { pushTestImage } from '../smoke-test/index.ts';

/** What a push from this machine says about the backup. */
interface BackupFindings {
  readonly problems: readonly string[];
  readonly notes: readonly string[];
}

/**
 * Pushes a test image of a few hundred bytes with the webhook's credentials, so that a wrong password, a registry without HTTPS or a
 * namespace without the right to push is found before anything is created. Only pods have a cloud identity and the docker socket.
 */
export async function tryBackup(settings: DeploySettings): Promise<BackupFindings> {
  const { registryAuth, variant, backup } = settings;
  if (registryAuth !== 'file' || variant !== 'registry') return { problems: [], notes: [] };
  try {
    await pushTestImage(settings);
    return { problems: [], notes: [] };
  } catch (error) {
    const message = `${backup.domain} did not take a test image from this machine: ${toSentence(error)}`;
    // A registry inside the cluster or behind a firewall answers the pods only.
    return error instanceof CloneError && error.isUnreachable
      ? { problems: [], notes: [`${message}; the pods must reach it`] }
      : { problems: [message], notes: [] };
  }
}
