import type { InstallSettings } from '../../lib/install/settings.ts';
import { deleteObjects, find } from './kubectl.ts';
import { toEventsName, toIdentityPolicy, toPodSelector } from './manifests/index.ts';
import { findRoutes, removeRoute } from './registration.ts';
import { removeCertManager, removeRenewal } from './remove-renewal.ts';
import { toProbeName } from './smoke-test/index.ts';

/**
 * Removes what `deploy` installed, the webhook configuration first, so that no write waits for the rest.
 * Removes the routes of both wirings, whatever WIRING is set to.
 */
export async function undeploy(
  install: InstallSettings,
  print: (line: string) => void,
): Promise<boolean> {
  const { name, namespace } = install;
  const own = `--namespace=${namespace}`;
  const remove = async (...args: readonly string[]): Promise<void> => {
    const output = (await deleteObjects(...args)).trim();
    if (output !== '') print(output);
  };
  await remove('mutatingwebhookconfiguration', name, toProbeName(name));
  for (const service of await findRoutes(install)) {
    for (const line of await removeRoute(service, namespace)) print(line);
  }
  await remove('ksvc', name, own);
  const pods = toPodSelector({ serving: 'deployment', name });
  await remove('deployment', own, `--selector=${pods}`);
  await remove('poddisruptionbudget', name, own);
  await remove('networkpolicy', name, toIdentityPolicy(name), own);
  await remove('rolebinding,role', 'image-cloner-leases', own);
  await remove('clusterrolebinding,clusterrole', toEventsName(name));
  for (const output of [await removeRenewal(install), await removeCertManager(install)]) {
    if (output.trim() !== '') print(output.trim());
  }
  await remove('secret', `${name}-tls`, own);
  await remove('serviceaccount', 'image-cloner', own);
  await remove('namespace', toProbeName(name));

  if ((await find('namespace', namespace)) !== undefined) {
    print(
      `Kept: the namespace ${namespace} with its Secret registry-auth and the settings, which the next deploy uses again.`,
    );
  }
  print(
    'Workloads keep the images of the backup; the annotation image-cloner/original-images lists their originals.',
  );
  return true;
}
