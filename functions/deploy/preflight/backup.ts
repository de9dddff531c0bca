import { connect } from 'node:net';
import { toSentence } from '../../shared/run-command.ts';
import type { DeploySettings } from '../settings.ts';
import { pushTestImage } from '../smoke-test/index.ts';

/** What a push from this machine says about the backup. */
interface BackupFindings {
  readonly problems: readonly string[];
  readonly notes: readonly string[];
}

const connectTimeoutMs = 5_000;

/**
 * Pushes a test image of a few hundred bytes with the webhook's credentials, so that a wrong password, a registry without HTTPS or a
 * namespace without the right to push is found before anything is created. Only pods have a cloud identity and the docker socket.
 */
export async function tryBackup(settings: DeploySettings): Promise<BackupFindings> {
  const { registryAuth, variant, backup } = settings;
  if (registryAuth !== 'file' || variant !== 'registry') return { problems: [], notes: [] };
  const { domain } = backup;
  // A registry inside the cluster or behind a firewall answers the pods only.
  if (!(await accepts(domain))) {
    const note = `this machine does not reach the backup registry ${domain}, so only the pods try it`;
    return { problems: [], notes: [note] };
  }
  try {
    await pushTestImage(settings);
    return { problems: [], notes: [] };
  } catch (error) {
    const problem = `the backup registry ${domain} did not take a test image from this machine: ${toSentence(error)}`;
    return { problems: [problem], notes: [] };
  }
}

/** Whether a connection to the host is accepted. */
async function accepts(domain: string): Promise<boolean> {
  const { hostname, port } = new URL(
    `https://${domain === 'docker.io' ? 'registry-1.docker.io' : domain}`,
  );
  const opened = Promise.withResolvers<boolean>();
  const socket = connect({ host: hostname.replace(/^\[(.*)\]$/, '$1'), port: Number(port || 443) });
  socket.setTimeout(connectTimeoutMs, () => opened.resolve(false));
  socket.on('connect', () => opened.resolve(true));
  socket.on('error', () => opened.resolve(false));
  const isOpen = await opened.promise;
  socket.destroy();
  return isOpen;
}
