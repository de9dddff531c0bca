import { parseSettings } from '../../../lib/install/settings.ts';
import { toWebhookConfiguration } from '../../../lib/install/webhook-configuration.ts';
import { type ApiServer, startApiServer } from './api-server.ts';
import { createAuthDir } from './auth-dir.ts';
import { type Registry, startRegistry } from './docker-registry.ts';
import { eventually } from './eventually.ts';
import { findFreePort } from './port.ts';
import { createTls } from './tls.ts';
import { startWebhook, type Webhook } from './webhook.ts';

/** An API server with the webhook configuration that `deploy` registers, the webhook, a source and a backup. */
export interface InstalledWebhook {
  readonly source: Registry;
  readonly backup: Registry;
  readonly apiServer: ApiServer;
  /** Of the webhook. */
  readonly env: Readonly<Record<string, string>>;
  readonly webhook: Webhook;
  /** Starts the webhook again after it was stopped. */
  restart(): Promise<Webhook>;
  /** Stops all of it, also the webhook that was started again. */
  stop(): Promise<void>;
}

export interface InstalledWebhookOptions {
  /** Namespaces to create; they are opted in. */
  readonly namespaces: readonly [string, ...string[]];
  /** Variables of the webhook and of the installation beside those of the registries. */
  readonly env?: Readonly<Record<string, string>>;
}

const user = { name: 'acme', password: 'secret' };

/** Resolves when the API server calls the webhook. Copies are in `backups/`. */
export async function startInstalledWebhook({
  namespaces,
  env: more = {},
}: InstalledWebhookOptions): Promise<InstalledWebhook> {
  const [source, backup, apiServer, tls, authDir, port] = await Promise.all([
    startRegistry(),
    startRegistry({ users: [user] }),
    startApiServer(),
    createTls(),
    createAuthDir(user),
    findFreePort(),
  ]);
  const env = {
    CLONER: 'registry',
    REGISTRY: backup.host,
    REGISTRY_NAMESPACE: 'backups',
    REGISTRY_AUTH_DIR: authDir,
    ...more,
  };
  const webhook = await startWebhook({ tls, env, port });
  const settings = parseSettings({ ...env, WEBHOOK_URL: `https://127.0.0.1:${port}` });
  for (const name of namespaces) {
    await apiServer.createNamespace(name, { 'image-cloner': settings.labelValue });
  }
  await apiServer.mustKubectl(
    ['create', '--filename=-'],
    JSON.stringify(toWebhookConfiguration(settings, tls.ca)),
  );
  await eventually('the API server calls the webhook', async () => {
    const args = ['create', 'deployment', 'probe', '--image=backups/probe', '--dry-run=server'];
    await apiServer.kubectl([...args, `--namespace=${namespaces[0]}`]);
    return webhook.log().some(({ msg }) => msg === 'review answered');
  });
  let running = webhook;
  return {
    source,
    backup,
    apiServer,
    env,
    webhook,
    restart: async () => {
      running = await startWebhook({ tls, env, port });
      return running;
    },
    stop: async () => {
      await running.stop();
      await Promise.all([apiServer.stop(), source.stop(), backup.stop()]);
    },
  };
}
