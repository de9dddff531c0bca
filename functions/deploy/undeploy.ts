import type { InstallSettings } from '../../lib/install/settings.ts';
import { find, mustKubectl } from './kubectl.ts';
import { toMappedHost } from './manifests.ts';
import { toProbeName } from './probe.ts';

/** Takes out what `deploy` put in, the webhook configuration first: from then on nobody waits for the rest. */
export async function undeploy(
  install: InstallSettings,
  print: (line: string) => void,
): Promise<boolean> {
  const { name, namespace, service } = install;
  const host = toMappedHost(install);
  const own = `--namespace=${namespace}`;
  const remove = async (...args: readonly string[]): Promise<void> => {
    const said = await mustKubectl(['delete', '--ignore-not-found', ...args]);
    if (said !== '') print(said.trim());
  };
  await remove('mutatingwebhookconfiguration', name, toProbeName(name));
  await remove('domainmapping', host, own);
  await remove('clusterdomainclaim', host);
  await remove('service', service.name, `--namespace=${service.namespace}`);
  await remove('ksvc', name, own);
  await remove('secret', `${name}-tls`, own);
  await remove('serviceaccount', 'image-cloner', own);

  if ((await find('namespace', namespace)) !== undefined) {
    print(`The namespace ${namespace} and its Secret registry-auth are yours and stay.`);
  }
  print(
    'Workloads keep the images of the backup; image-cloner/original-images says what they were.',
  );
  return true;
}
